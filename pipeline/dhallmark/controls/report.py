"""What a run of controls found: one model, as JSON and as a table for people.

The other formats are made from `dhallmark.controls.document`.

A control passes where its consumer said exactly what it must, and accepted the good artifact before and after: an
outage is not a refusal. What a consumer cannot see by design is an open hole: listed, and neither a pass nor a failure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from dhallmark.controls.case import Case, ExpectationRecord
from dhallmark.errors import ExitCode
from dhallmark.reasons import Reason
from dhallmark.verdict import Check, Outcome, Verdict

SCHEMA = "dhallmark.dev/controls-report/v1"
HOLES = "Left open by design, for somebody else to close"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a consumer said about one artifact."""

    outcome: Outcome
    reason: Reason | None
    words: str
    """In its own words, or in those of the check that decided."""

    def to_json(self) -> dict[str, object]:
        body: dict[str, object] = {"outcome": self.outcome.value}
        if self.reason is not None:
            body["reason"] = self.reason.value
        if self.words:
            body["words"] = self.words
        return body

    @classmethod
    def unanswered(cls, reason: Reason, words: str) -> Answer:
        """No answer, and why."""
        return cls(outcome=Check(name="", reason=reason).outcome, reason=reason, words=words)

    def __str__(self) -> str:
        return f"{self.outcome.value}({self.reason.value})" if self.reason else self.outcome.value


class Status(StrEnum):
    """How a control ended with one consumer."""

    PASSED = "passed"
    FAILED = "failed"
    HOLE = "out-of-scope"
    INDETERMINATE = "indeterminate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One control with one consumer."""

    case: Case
    consumer: str
    version: str
    before: Answer
    """About the good artifact, before the mutant."""
    mutant: Answer
    after: Answer
    """About the good artifact, after the mutant."""

    @property
    def expected(self) -> ExpectationRecord:
        return self.case.expect[self.consumer]

    @property
    def status(self) -> Status:
        if Outcome.INDETERMINATE in (self.before.outcome, self.after.outcome):
            return Status.INDETERMINATE
        if (self.before.outcome, self.after.outcome) != (Outcome.ACCEPTED, Outcome.ACCEPTED):
            return Status.FAILED
        if (self.mutant.outcome, self.mutant.reason) == (self.expected.outcome, self.expected.reason):
            return Status.HOLE if self.expected.out_of_scope else Status.PASSED
        return Status.INDETERMINATE if self.mutant.outcome is Outcome.INDETERMINATE else Status.FAILED

    @property
    def explanation(self) -> str:
        """Why it did not pass; empty where it did."""
        for when, answer in (("before", self.before), ("after", self.after)):
            if answer.outcome is not Outcome.ACCEPTED:
                return f"the good artifact was {answer} {when} the mutant: {answer.words}"
        if self.status is Status.HOLE:
            return self.expected.out_of_scope
        if self.status is Status.PASSED:
            return ""
        wanted = Answer(outcome=self.expected.outcome, reason=self.expected.reason, words="")
        return f"must be {wanted}, was {self.mutant}: {self.mutant.words}".removesuffix(": ")

    def to_json(self) -> dict[str, object]:
        body: dict[str, object] = {
            "control": self.case.id,
            "group": self.case.group.value,
            "title": self.case.title,
            "flaw": self.case.flaw,
            "consumer": self.consumer,
            "version": self.version,
            "status": self.status.value,
            "expected": self.expected.model_dump(mode="json", by_alias=True, exclude_none=True),
            "before": self.before.to_json(),
            "mutant": self.mutant.to_json(),
            "after": self.after.to_json(),
        }
        if self.explanation:
            body["explanation"] = self.explanation
        return body


_REASONS = {Status.FAILED: Reason.CONTROL_FAILED, Status.INDETERMINATE: Reason.CONTROL_UNANSWERED}


def _check(finding: Finding) -> Check:
    name = f"control {finding.case.id}, {finding.consumer}"
    return Check(name=name, reason=_REASONS.get(finding.status), detail=finding.explanation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hole:
    """One thing that a consumer does not see by design, and which controls show it."""

    consumer: str
    version: str
    says: str
    """A sentence on what it does instead, which begins with its name."""
    controls: tuple[str, ...]

    def __str__(self) -> str:
        *others, last = self.controls
        shown = f"controls {', '.join(others)} and {last}" if others else f"control {last}"
        return f"{self.says}: shown by {shown}"

    def to_json(self) -> dict[str, object]:
        return {
            "consumer": self.consumer,
            "version": self.version,
            "says": self.says,
            "controls": list(self.controls),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A whole run."""

    findings: tuple[Finding, ...]
    skipped: tuple[Case, ...] = ()
    """Controls that cannot be made of this artifact under this policy. Neither passed nor failed, and always said."""

    @property
    def outcome(self) -> Outcome:
        """Accepted where every control passed or is a known hole, and at least one passed."""
        found = {finding.status for finding in self.findings}
        if Status.FAILED in found:
            return Outcome.REJECTED
        if Status.INDETERMINATE in found or Status.PASSED not in found:
            return Outcome.INDETERMINATE
        return Outcome.ACCEPTED

    @property
    def exit_code(self) -> ExitCode:
        return {
            Outcome.ACCEPTED: ExitCode.OK,
            Outcome.REJECTED: ExitCode.REJECTED,
            Outcome.INDETERMINATE: ExitCode.INDETERMINATE,
        }[self.outcome]

    def verdict(self) -> Verdict:
        """The run as one verdict: a check for each control with each consumer. A known hole counts for nothing."""
        counted = (finding for finding in self.findings if finding.status is not Status.HOLE)
        return Verdict.of("controls", checks=[_check(finding) for finding in counted])

    def count(self, status: Status) -> int:
        return sum(finding.status is status for finding in self.findings)

    @property
    def holes(self) -> tuple[Hole, ...]:
        """What the consumers leave open, by consumer: for somebody else to close, or for nobody."""
        shown: dict[tuple[str, str, str], list[str]] = {}
        for finding in self.findings:
            if finding.status is Status.HOLE:
                key = finding.consumer, finding.version, finding.explanation
                shown.setdefault(key, []).append(finding.case.id)
        holes = [Hole(consumer=key[0], version=key[1], says=key[2], controls=tuple(ids)) for key, ids in shown.items()]
        return tuple(sorted(holes, key=lambda hole: hole.consumer))

    def to_json(self) -> Mapping[str, object]:
        return {
            "schema": SCHEMA,
            "outcome": self.outcome.value,
            "counts": {status.value: self.count(status) for status in Status},
            "holes": [hole.to_json() for hole in self.holes],
            "findings": [finding.to_json() for finding in self.findings],
            "notApplicable": [
                {"control": case.id, "title": case.title, "why": case.not_applicable} for case in self.skipped
            ],
        }

    def to_text(self) -> RenderableType:
        """A table with a row for each control and consumer; below it what did not pass, and the holes."""
        table = Table("control", "changed", "consumer", "answer", "result", box=None, pad_edge=False)
        for finding in self.findings:
            table.add_row(
                finding.case.id,
                finding.case.title,
                f"{finding.consumer} {finding.version}",
                str(finding.mutant),
                Text(finding.status.value, style=_STYLES[finding.status]),
            )
        notes = [
            Text(f"{finding.case.id} {finding.consumer}: {finding.explanation}", style=_STYLES[finding.status])
            for finding in self.findings
            if finding.explanation and finding.status is not Status.HOLE
        ]
        notes += [Text(f"{case.id} not applicable: {case.not_applicable}", style="dim") for case in self.skipped]
        if self.holes:
            notes += [Text(f"\n{HOLES}:", style="bold")]
            notes += [Text(f"- {hole}", style=_STYLES[Status.HOLE]) for hole in self.holes]
        counts = ", ".join(f"{self.count(status)} {status.value}" for status in Status if self.count(status))
        return Lines(table, "", *notes, f"controls: {self.outcome.value} ({counts or 'none ran'})")


_STYLES = {
    Status.PASSED: "green",
    Status.FAILED: "bold red",
    Status.HOLE: "yellow",
    Status.INDETERMINATE: "magenta",
}
