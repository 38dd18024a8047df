"""The JSON that `dhallmark verify` and `dhallmark controls` print, as models: for schemas, and for reading it again."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dhallmark.config.base import Model
from dhallmark.control import Group
from dhallmark.record import Record
from dhallmark.report.model import ControlStatus
from dhallmark.verdict import Outcome


class AnswerRecord(Model):
    """What was said of one artifact."""

    outcome: Outcome
    reason: str | None = None
    """The stable code of the reason; not there where it was accepted."""
    words: str = ""
    """In the consumer's own words, or in those of the check that decided."""


class CheckRecord(Model):
    """One thing that was looked at."""

    name: str
    outcome: Outcome
    reason: str | None = None
    """The stable code of what was found; not there where the check passed."""
    detail: str = ""
    """What was seen, in a sentence."""
    evidence: dict[str, str] = Field(default_factory=dict)
    """What was seen, by name: `expected`, `found` and the like."""


class VerdictRecord(Model):
    """The verdict on one thing, with those on its parts."""

    subject: str
    """A reference by digest, a file, a predicate type."""
    outcome: Outcome
    reason: str | None = None
    """The stable code of the first reason that decided; not there where it was accepted."""
    checks: tuple[CheckRecord, ...] = ()
    parts: tuple[VerdictRecord, ...] = ()
    ignored: tuple[VerdictRecord, ...] = ()
    """What was looked at and counts for nothing, such as a stranger's bundle beside the good ones."""


class VerdictsRecord(Record):
    """What `dhallmark verify` prints."""

    schema_: Annotated[Literal["dhallmark.dev/verdicts/v1"], Field(alias="schema")] = "dhallmark.dev/verdicts/v1"
    outcome: Outcome
    """A rejection outweighs an indeterminate answer, which outweighs all acceptances."""
    verdicts: tuple[VerdictRecord, ...]


class ExpectedRecord(Model):
    """What a consumer must say."""

    outcome: Outcome
    reason: str | None = None
    out_of_scope: str = ""
    """Why this consumer cannot see the flaw by design; empty where it can."""


class FindingRecord(Model):
    """One control with one consumer."""

    control: str
    group: Group
    title: str
    """What was changed."""
    flaw: str
    """The flaw in the field that the control stands for."""
    consumer: str
    version: str
    """The consumer's version, by its own word; empty where it could not be run."""
    status: ControlStatus
    expected: ExpectedRecord
    before: AnswerRecord
    """On the good artifact, before the mutant."""
    mutant: AnswerRecord
    after: AnswerRecord
    """On the good artifact, after the mutant."""
    explanation: str = ""
    """Why it did not pass; empty where it did."""


class HoleRecord(Model):
    """What a consumer leaves open by design."""

    consumer: str
    version: str
    says: str
    """A sentence on what it does instead of seeing the flaw."""
    controls: tuple[str, ...]
    """The controls that show it."""


class NotApplicableRecord(Model):
    """A control that cannot be made of this artifact under this policy."""

    control: str
    title: str
    why: str


class ControlsRecord(Record):
    """What `dhallmark controls` prints."""

    schema_: Annotated[Literal["dhallmark.dev/controls-report/v1"], Field(alias="schema")] = (
        "dhallmark.dev/controls-report/v1"
    )
    outcome: Outcome
    counts: dict[ControlStatus, int]
    holes: tuple[HoleRecord, ...] = ()
    findings: tuple[FindingRecord, ...]
    not_applicable: tuple[NotApplicableRecord, ...] = ()
