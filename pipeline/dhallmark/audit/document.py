"""Audits as a report: one entry for each artifact, with the verdict's checks and what differs, object by object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table

from dhallmark.audit.audit import describe
from dhallmark.audit.many import summary, to_record, whole_verdict
from dhallmark.audit.model import Audit, Difference, Sameness
from dhallmark.reason_catalogue import CATALOGUE
from dhallmark.report.document import Document, Entry, Level, Rule
from dhallmark.report.verdicts import check_entry, verdict_entry
from dhallmark.verdict import Check, Verdict

MAX_SHOWN = 200
"""Differences of one artifact that a report lists."""
_ON_SCREEN = 20
_ANSWERS = {True: "agrees", False: "disagrees", None: "gave no answer"}
_MARKS = {Sameness.EQUAL: "=", Sameness.EQUIVALENT: "≈", Sameness.DIFFERENT: "≠", Sameness.UNKNOWN: "?"}


def audits_document(
    audits: Sequence[Audit],
    *,
    checks: Sequence[Check] = (),
    policy: str = "",
    facts: Mapping[str, str] | None = None,
) -> Document:
    """The report on `audits`. `checks` are about all of them; `policy` is the policy's file."""
    whole = whole_verdict(audits, checks)
    codes = sorted(whole.reasons)
    return Document(
        kind="audit",
        title="Audit",
        level=Level.of(whole.outcome),
        said=_said(whole),
        summary=summary(audits),
        facts={**({"policy": policy} if policy else {}), **(facts or {})},
        entries=(*(check_entry(check) for check in checks), *(_entry(audit) for audit in audits)),
        rules={code.value: Rule(summary=CATALOGUE[code].summary, remedy=CATALOGUE[code].remedy) for code in codes},
        file=policy,
        data=to_record(audits, checks).to_json(),
        text=audits_text(audits, checks),
    )


def _entry(audit: Audit) -> Entry:
    verdict = audit.whole
    reason = verdict.reason
    own = [check_entry(check) for check in verdict.checks]
    shown = audit.differences[:MAX_SHOWN]
    parts = [
        *own,
        *(_difference(one) for one in shown),
        *(_way(way.name, way.meaning) for way in audit.ways),
        *(
            Entry(
                name=look.name,
                level=Level.NOTE,
                said=_ANSWERS[look.agrees],
                message=look.said,
            )
            for look in audit.looks
        ),
        *(verdict_entry(part) for part in verdict.parts),
    ]
    left = len(audit.differences) - len(shown)
    if left:
        parts.append(Entry(name="differences", level=Level.NOTE, said=f"{left} more", message="see the JSON report"))
    return Entry(
        name=audit.subject,
        level=Level.of(verdict.outcome),
        said=f"{audit.sameness.value}: {_said(verdict)}",
        rule=reason.value if reason else "",
        message=describe(audit.differences[0]) if audit.differences else _message(verdict),
        facts=dict(_facts(audit)),
        parts=tuple(parts),
    )


def _difference(difference: Difference) -> Entry:
    facts = {
        name: value
        for name, value in (
            ("field", difference.field),
            ("rebuilt", difference.rebuilt),
            ("published", difference.published),
        )
        if value
    }
    return Entry(
        name=difference.object or difference.file or difference.kind,
        level=Level.NOTE,
        said="differs",
        message=difference.detail,
        facts=facts,
        file=difference.file,
    )


def _way(name: str, meaning: str) -> Entry:
    return Entry(name=name, level=Level.NOTE, said="set aside", message=f"{meaning} differ")


def _facts(audit: Audit) -> Iterator[tuple[str, str]]:
    if audit.digest is not None:
        yield "published", audit.digest
    if audit.rebuild is not None:
        yield "rebuilt", audit.rebuild.digest
        yield "from", audit.rebuild.source
        yield "tools", ", ".join(f"{name} {version}" for name, version in sorted(audit.rebuild.tools.items()))
        yield "rebuilt in", audit.rebuild.image or "the auditor's own installation"
    if audit.record is not None and audit.record.revision:
        yield "source", f"{audit.record.repository}@{audit.record.revision}"
    if audit.origin is not None:
        yield "came in by", audit.origin.value
    if audit.lacks:
        yield "not recorded", ", ".join(audit.lacks)


def _message(verdict: Verdict) -> str:
    reason = verdict.reason
    return next((check.detail for check in verdict.walk() if reason and check.reason is reason), "")


def _said(verdict: Verdict) -> str:
    return f"{verdict.outcome.value}({verdict.reason.value})" if verdict.reason else verdict.outcome.value


def audits_text(audits: Sequence[Audit], checks: Sequence[Check] = ()) -> RenderableType:
    """For a terminal: a table, then what differs."""
    table = Table(box=None, pad_edge=False)
    for heading in ("", "artifact", "rebuild", "verdict"):
        table.add_column(heading, overflow="fold")
    for audit in audits:
        table.add_row(_MARKS[audit.sameness], audit.subject, audit.sameness.value, _said(audit.whole))
    lines: list[RenderableType] = [table]
    lines += [f"{check.outcome.value}({check.reason.value}) {check.detail}" for check in checks if check.reason]
    for audit in audits:
        lines += _details(audit)
    lines.append(summary(audits))
    return Group(*lines)


def _details(audit: Audit) -> list[str]:
    verdict = audit.whole
    lines = [f"  {describe(one)}" for one in audit.differences[:_ON_SCREEN]]
    left = len(audit.differences) - _ON_SCREEN
    if left > 0:
        lines.append(f"  … and {left} more: --output json and --report have all")
    lines += [f"  set aside: {way.name}: {way.meaning}" for way in audit.ways]
    if audit.lacks:
        lines.append(f"  not recorded: {', '.join(audit.lacks)}")
    if audit.origin is not None:
        lines.append(f"  came in by: {audit.origin.value}")
    for look in audit.looks:
        first = look.said.splitlines()[0] if look.said else ""
        lines.append(f"  {look.name} {_ANSWERS[look.agrees]}: {first}")
    if not audit.differences:
        lines += [f"  {check.reason.value}: {check.detail}" for check in verdict.walk() if check.reason is not None][:5]
    return [audit.subject, *lines] if lines else []
