"""The errors that dhallmark raises, and the exit codes that they become.

::

    Error
    ├── UsageError            2   the command line asks for something that does not exist or does not fit
    ├── VerdictError          1/3 a verdict was reached, and it is not `accepted`
    ├── InputError            4   a file of the user's is wrong: file, line or field, and what to do
    │   ├── ConfigError           dhallmark.yaml, policy.yaml
    │   ├── RenderError           Dhall, the closure of its imports, the objects that it yields
    │   └── FormatError           a record, bundle, manifest or archive that cannot be read
    ├── UnavailableError      5   something outside did not answer: registry, Fulcio, Rekor, engine, disk
    │   ├── ToolError             a program that is missing or failed: command, exit code, last lines
    │   └── RegistryError         an OCI registry: method, URL, status
    └── SigningError          6   no signature could be made: token, certificate, log, timestamp

Any other exception that reaches the user is a defect (exit code 70, EX_SOFTWARE of sysexits.h).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dhallmark.verdict import Verdict


class ExitCode(IntEnum):
    """What a `dhallmark` process ends with. Stable: CI jobs branch on these."""

    OK = 0
    """Done; where a verdict was asked for, it is `accepted`."""
    REJECTED = 1
    """The verdict is `rejected`."""
    USAGE = 2
    """The command line is wrong; nothing was done."""
    INDETERMINATE = 3
    """The verdict is `indeterminate`: it blocks like a rejection, for want of an answer."""
    INPUT = 4
    """A file of the user's is wrong."""
    UNAVAILABLE = 5
    """A service, tool or resource that is needed did not answer."""
    SIGNING = 6
    """No signature could be made."""
    INTERNAL = 70
    """A defect of dhallmark's own."""
    INTERRUPTED = 130
    """Stopped by the user (128 + SIGINT)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where in the user's input an error stands."""

    file: str
    """Path as the user would write it, relative where possible, or a URL."""
    line: int | None = None
    """1-based."""
    column: int | None = None
    """1-based."""
    field: str | None = None
    """Path of the field, such as `applications.ingress.entry`."""

    def __str__(self) -> str:
        position = self.file
        if self.line is not None:
            position += f":{self.line}"
            if self.column is not None:
                position += f":{self.column}"
        return f"{position} ({self.field})" if self.field else position


class Error(Exception):
    """Base of all errors that dhallmark raises on purpose."""

    exit_code: ExitCode = ExitCode.INTERNAL

    def __init__(self, message: str, *, where: Location | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        """One sentence: what is wrong."""
        self.where = where
        """Where in the user's input, if it is there."""
        self.hint = hint
        """What to do about it."""

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text}\n  hint: {self.hint}" if self.hint else text

    def to_json(self) -> dict[str, object]:
        """The error as `--output json` prints it."""
        body: dict[str, object] = {
            "error": type(self).__name__,
            "exitCode": int(self.exit_code),
            "message": self.message,
        }
        if self.where:
            body["where"] = {
                key: value
                for key, value in (
                    ("file", self.where.file),
                    ("line", self.where.line),
                    ("column", self.where.column),
                    ("field", self.where.field),
                )
                if value is not None
            }
        if self.hint:
            body["hint"] = self.hint
        return body


class UsageError(Error):
    """The command line asks for something that does not exist or does not fit together."""

    exit_code = ExitCode.USAGE


class InputError(Error):
    """A file of the user's is wrong."""

    exit_code = ExitCode.INPUT


class ConfigError(InputError):
    """`dhallmark.yaml` or a policy file is wrong."""

    def __init__(
        self,
        message: str,
        *,
        where: Location | None = None,
        hint: str | None = None,
        others: tuple[ConfigError, ...] = (),
    ) -> None:
        super().__init__(message, where=where, hint=hint)
        self.others = others
        """What else is wrong in the same file: a user mends all of it in one go."""


class RenderError(InputError):
    """Dhall, the closure of its imports, or the objects that it yields are wrong."""


class FormatError(InputError):
    """A record, bundle, manifest or archive cannot be read as what it claims to be."""


class UnavailableError(Error):
    """Something outside did not answer. Nothing may be concluded from it but `indeterminate`."""

    exit_code = ExitCode.UNAVAILABLE


class ToolError(UnavailableError):
    """A program is missing or ended with a failure that says nothing about the user's input."""

    def __init__(
        self,
        message: str,
        *,
        command: tuple[str, ...] = (),
        status: int | None = None,
        stderr: str = "",
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.command = command
        """The program and its arguments; never holds a secret."""
        self.status = status
        """Its exit code, or the negative number of the signal that ended it."""
        self.stderr = stderr
        """The last lines that it printed."""


class RegistryError(UnavailableError):
    """An OCI registry answered with something other than what the distribution specification allows here."""

    def __init__(
        self, message: str, *, method: str, url: str, status: int | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.method = method
        self.url = url
        self.status = status
        """HTTP status, or None where no answer came."""


class SigningError(Error):
    """No signature could be made: the token, the certificate, the log or the timestamp failed."""

    exit_code = ExitCode.SIGNING


class VerdictError(Error):
    """A verdict was reached that is not `accepted`, and what was asked for may not go on."""

    def __init__(self, verdict: Verdict, *, hint: str | None = None) -> None:
        super().__init__(verdict.summary(), hint=hint)
        self.verdict = verdict
        self.exit_code = verdict.exit_code
