"""Passwords of key files and PINs of tokens: where they come from.

As with tokens, a secret never stands in an argument, a log, an exception or a `repr`. It is read only when the key
turns out to need one.
"""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, Protocol

from dhallmark.errors import SigningError, UsageError

_MAX_BYTES = 4096


class SecretSource(Protocol):
    """Where a secret comes from."""

    def read(self, what: str) -> bytes:
        """The secret, not empty. `what` says for people what it opens. Raises SigningError without quoting it."""
        ...


@dataclass(frozen=True, slots=True)
class FileSecret:
    """A file that holds the secret alone; one line end after it does not count."""

    path: Path

    def read(self, what: str) -> bytes:
        try:
            with self.path.open("rb") as file:
                content = file.read(_MAX_BYTES + 1)
        except OSError as error:
            raise SigningError(f"cannot read {what} from {self.path}: {error.strerror}") from error
        if len(content) > _MAX_BYTES:
            raise SigningError(f"the file {self.path} holds more than {_MAX_BYTES} bytes: not {what}")
        return _not_empty(content.removesuffix(b"\n").removesuffix(b"\r"), f"the file {self.path}", what)


@dataclass(frozen=True, slots=True)
class VariableSecret:
    """An environment variable, given by its name."""

    name: str
    environment: Mapping[str, str] = field(repr=False)

    def read(self, what: str) -> bytes:
        value = os.fsencode(self.environment.get(self.name, ""))
        return _not_empty(value, f"the environment variable {self.name}", what)


@dataclass(frozen=True, slots=True)
class PromptSecret:
    """The person at the terminal."""

    def read(self, what: str) -> bytes:
        try:
            value = getpass.getpass(f"{what}: ")
        except (EOFError, OSError) as error:
            raise SigningError(f"nobody gave {what}") from error
        return _not_empty(value.encode(), "the answer", what)


@dataclass(frozen=True, slots=True)
class NoSecret:
    """None is given, and nobody can be asked."""

    def read(self, what: str) -> NoReturn:
        raise SigningError(
            f"{what} is needed, and none is given",
            hint="name a file with --key-password-file, or an environment variable with --key-password-env",
        )


def choose_secret(
    *,
    file: Path | None = None,
    variable: str | None = None,
    environment: Mapping[str, str] | None = None,
    interactive: bool | None = None,
) -> SecretSource:
    """The source that is named, else the terminal where there is one.

    `environment` and `interactive` are the process's own where they are not given. Raises UsageError for two sources.
    """
    if file is not None and variable is not None:
        raise UsageError("more than one source of the key's password is given", hint="give a file or a variable")
    if file is not None:
        return FileSecret(file)
    if variable is not None:
        return VariableSecret(variable, os.environ if environment is None else environment)
    if sys.stdin.isatty() if interactive is None else interactive:
        return PromptSecret()
    return NoSecret()


def _not_empty(value: bytes, where: str, what: str) -> bytes:
    if not value:
        raise SigningError(f"{where} is empty or not set: no {what.removeprefix('the ')}")
    return value
