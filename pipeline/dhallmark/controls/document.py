"""A run of controls as a report: the agreement matrix of controls and consumers."""

from __future__ import annotations

from collections.abc import Mapping

from dhallmark.controls.report import HOLES, Answer, Finding, Report, Status
from dhallmark.report.document import Document, Entry, Level, Rule

_LEVELS = {
    Status.PASSED: Level.PASSED,
    Status.FAILED: Level.FAILED,
    Status.HOLE: Level.NOTE,
    Status.INDETERMINATE: Level.UNKNOWN,
}
_SEVERITY = (Level.FAILED, Level.UNKNOWN, Level.PASSED, Level.NOTE)
_REMEDIES = {
    Status.FAILED: "Mend the consumer's policy, and do not deploy by it before it refuses this mutant.",
    Status.INDETERMINATE: "Run it again; if it stays so, read the consumer's own words and check its version.",
}


def controls_document(report: Report, *, policy: str = "", facts: Mapping[str, str] | None = None) -> Document:
    """The report on a run: a row for each control, a column for each consumer."""
    rows: dict[str, list[Finding]] = {}
    for finding in report.findings:
        rows.setdefault(finding.case.id, []).append(finding)
    versions = {finding.consumer: finding.version for finding in report.findings if finding.version}
    return Document(
        kind="controls",
        title="Negative controls",
        level=Level.of(report.outcome),
        said=report.outcome.value,
        summary=_summary(report),
        facts={**({"policy": policy} if policy else {}), **(facts or {}), **versions},
        entries=tuple(_row(findings) for findings in rows.values()),
        notes={HOLES: tuple(map(str, report.holes))} if report.holes else {},
        columns=tuple(dict.fromkeys(finding.consumer for finding in report.findings)),
        rules={name: _rule(findings) for name, findings in rows.items()},
        file=policy,
        data=report.to_json(),
        text=report.to_text(),
    )


def _summary(report: Report) -> str:
    counts = ", ".join(f"{report.count(status)} {status.value}" for status in Status if report.count(status))
    holes = sorted({hole.consumer for hole in report.holes})
    left = f"; holes that a consumer leaves open by design: {', '.join(holes)}" if holes else ""
    return f"{counts or 'no control ran'}{left}"


def _rule(findings: list[Finding]) -> Rule:
    case = findings[0].case
    worst = next((finding.status for finding in findings if finding.status in _REMEDIES), None)
    return Rule(summary=f"{case.title}. In the field: {case.flaw}", remedy=_REMEDIES[worst] if worst else "")


def _row(findings: list[Finding]) -> Entry:
    case = findings[0].case
    parts = tuple(_cell(finding) for finding in findings)
    level = min((part.level for part in parts), key=_SEVERITY.index)
    return Entry(
        name=case.id,
        level=level,
        said=level.value,
        message=case.title,
        facts={
            "flaw in the field": case.flaw,
            "good artifact": case.reference,
            "mutant": case.mutant or f"a {case.kind.value}",
        },
        parts=parts,
    )


def _cell(finding: Finding) -> Entry:
    expected = finding.expected
    wanted = Answer(outcome=expected.outcome, reason=expected.reason, words="")
    return Entry(
        name=finding.consumer,
        level=_LEVELS[finding.status],
        said=finding.status.value,
        rule=finding.case.id,
        message=finding.explanation,
        facts={
            "must say": str(wanted),
            "in its own words": finding.mutant.words or "nothing",
            "read as": str(finding.mutant),
            "the good one before": str(finding.before),
            "the good one after": str(finding.after),
            **({"version": finding.version} if finding.version else {}),
        },
    )
