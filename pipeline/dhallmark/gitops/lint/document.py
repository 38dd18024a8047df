"""Findings as a report."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from dhallmark.gitops.lint.baseline import Known
from dhallmark.gitops.lint.catalogue import RULES
from dhallmark.gitops.lint.model import Finding, Severity
from dhallmark.report.document import Document, Entry, Level, Rule

SCHEMA = "dhallmark.dev/lint/v1"
_LEVELS = {Severity.ERROR: Level.FAILED, Severity.WARNING: Level.FAILED, Severity.NOTE: Level.NOTE}
_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}


def lint_document(
    new: Sequence[Finding], *, known: Sequence[Finding] = (), gone: Sequence[Known] = (), files: int, objects: int
) -> Document:
    """The report on findings: those that are `new`, and how many are `known` or `gone` from the baseline."""
    counts = {severity: sum(one.severity is severity for one in new) for severity in Severity}
    told = ", ".join(
        f"{count} {severity.value}{'s' if count != 1 else ''}" for severity, count in counts.items() if count
    )
    failed = bool(counts[Severity.ERROR] or counts[Severity.WARNING])
    beside = f"; {len(known)} known by the baseline" if known else ""
    beside += f"; {len(gone)} in the baseline are gone" if gone else ""
    return Document(
        kind="lint",
        title="GitOps lint",
        level=Level.FAILED if failed else Level.PASSED,
        said="findings" if failed else "no finding",
        summary=f"{files} files, {objects} objects: {told or 'nothing found'}{beside}",
        entries=tuple(_entry(one) for one in new),
        rules={one.rule: _rule(one.rule) for one in new},
        data={
            "schema": SCHEMA,
            "files": files,
            "objects": objects,
            "counts": {severity.value: count for severity, count in counts.items()},
            "findings": [finding_to_json(one) for one in new],
            "known": len(known),
            "gone": [item.model_dump(mode="json", by_alias=True) for item in gone],
        },
        text=_text(new, f"{files} files, {objects} objects: {told or 'nothing found'}{beside}"),
    )


def finding_to_json(found: Finding) -> dict[str, object]:
    body: dict[str, object] = {
        "rule": found.rule,
        "severity": found.severity.value if found.severity else RULES[found.rule].severity.value,
        "file": found.file,
        "line": found.line,
        "subject": found.subject,
        "message": found.message,
    }
    if found.proposal:
        body["proposal"] = found.proposal
    if found.fix is not None:
        body["fixable"] = True
    return body


def _rule(name: str) -> Rule:
    info = RULES[name]
    return Rule(summary=f"{info.title} {info.why}", remedy=info.fix)


def _entry(found: Finding) -> Entry:
    severity = found.severity or RULES[found.rule].severity
    return Entry(
        name=f"{found.file}:{found.line}",
        level=_LEVELS[severity],
        said=f"{severity.value}({found.rule})",
        rule=found.rule,
        message=f"{found.subject}: {found.message}",
        facts={"proposal": found.proposal} if found.proposal else {},
        file=found.file,
        line=found.line,
    )


def _text(findings: Sequence[Finding], summary: str) -> RenderableType:
    lines: list[RenderableType] = []
    for found in findings:
        severity = found.severity or RULES[found.rule].severity
        line = Text(f"{found.file}:{found.line}: ", overflow="ignore", no_wrap=True)
        line.append(severity.value, style=_STYLES[severity])
        line.append(f" {found.rule} {found.subject}: {found.message}")
        lines.append(line)
        lines += [Text(f"    {part}", style="dim") for part in found.proposal.splitlines()]
    explained = [
        Text(f"{name}: {RULES[name].why} {RULES[name].fix}", style="dim")
        for name in dict.fromkeys(one.rule for one in findings)
    ]
    return Group(*lines, *([Text("")] if lines else []), *explained, Text(summary, style="bold"))
