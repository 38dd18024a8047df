"""The report of a release: what was made, where it is, what was said of it, and how to check it oneself.

It is written to `release.json` (schema `dhallmark.dev/release/v1`) and shown as tables. It holds no secret, and of the
run only what a reader needs: no host, no user, no path of the machine.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field

from dhallmark.config.base import Model, Name, Version
from dhallmark.errors import ExitCode
from dhallmark.package.model import DigestText, Kind
from dhallmark.record import Record, parse_record
from dhallmark.verdict import Outcome, Verdict

SCHEMA = "dhallmark.dev/release/v1"
FILE = "release.json"


ControlStatus = Literal["passed", "failed", "out-of-scope", "indeterminate"]
"""`passed`: the verdict and the reason that it must give. `out-of-scope`: a hole of this consumer's, known and
explained."""


class VerdictLine(Model):
    """A verdict in one line."""

    outcome: Outcome
    reason: str | None = None
    """The stable code; None where accepted."""

    @classmethod
    def of(cls, verdict: Verdict) -> Self:
        reason = verdict.reason
        return cls(outcome=verdict.outcome, reason=reason.value if reason else None)

    def __str__(self) -> str:
        return f"{self.outcome.value}({self.reason})" if self.reason else self.outcome.value


class Released(Model):
    """One artifact: what it is, where it is, what the verifier said."""

    kind: Kind
    environment: Name
    name: str
    reference: str
    """`<registry>/<repository>:<version>`: what people pull."""
    digest: DigestText
    statements: Annotated[int, Field(ge=0)]
    """How many signed statements are attached to it."""
    verdict: VerdictLine

    @property
    def pinned(self) -> str:
        """`<registry>/<repository>@<digest>`: what machines pull."""
        return f"{self.reference.rpartition(':')[0]}@{self.digest}"


class ControlLine(Model):
    """One control's outcome at one consumer."""

    id: str
    title: str
    consumer: str
    status: ControlStatus
    found: str
    """What the consumer said of the mutant."""
    explanation: str = ""
    """Why it did not pass, or why this consumer cannot see the flaw; empty where it passed."""


class Command(Model):
    """A command that a reader can run to check for himself."""

    purpose: str
    command: str


class Report(Record):
    """The whole of a release."""

    schema_: Annotated[Literal["dhallmark.dev/release/v1"], Field(alias="schema")] = "dhallmark.dev/release/v1"
    project: Name
    version: Version
    revision: str
    """The commit that it was made from."""
    artifacts: Annotated[tuple[Released, ...], Field(min_length=1)]
    controls: tuple[ControlLine, ...] | None = None
    """None where no controls were run; they were then not passed either."""
    tree: tuple[str, ...] | None = None
    """Files of the deploy tree that changed; None where no tree was written."""
    foreign: tuple[str, ...] = ()
    """Files in the deploy tree that no attestation names: left as they are, deployed by Helm where they stand in a
    chart, and refused by `dhallmark verify --tree`."""
    checks: tuple[Command, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        """A rejection or a control that failed outweighs an answer that is missing.

        Controls that were asked for and of which none passed are no proof: `indeterminate`.
        """
        outcomes = {artifact.verdict.outcome for artifact in self.artifacts}
        controls = {control.status for control in self.controls or ()}
        if Outcome.REJECTED in outcomes or "failed" in controls:
            return ExitCode.REJECTED
        unproven = self.controls is not None and "passed" not in controls
        if Outcome.INDETERMINATE in outcomes or "indeterminate" in controls or unproven:
            return ExitCode.INDETERMINATE
        return ExitCode.OK

    @classmethod
    def parse(cls, content: bytes, *, file: str = FILE) -> Self:
        """Read a report. Raises FormatError."""
        return parse_record(cls, content, file=file)
