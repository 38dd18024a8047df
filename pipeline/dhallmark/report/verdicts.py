"""From verdicts to a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.console import Group

from dhallmark.reason_catalogue import CATALOGUE
from dhallmark.report.document import Document, Entry, Level, Rule
from dhallmark.verdict import Check, Outcome, Verdict
from dhallmark.verify.show import verdict_tree

SCHEMA = "dhallmark.dev/verdicts/v1"


def verdicts_document(
    verdicts: Sequence[Verdict], *, policy: str = "", facts: Mapping[str, str] | None = None
) -> Document:
    """The report on `verdicts`. `policy` is the policy's file; `facts` say by what else was judged."""
    whole = Verdict.of("all", parts=verdicts)
    codes = sorted({reason for verdict in verdicts for reason in verdict.reasons})
    return Document(
        kind="verify",
        title="Verification",
        level=Level.of(whole.outcome),
        said=_said(whole),
        summary=_summary(verdicts),
        facts={**({"policy": policy} if policy else {}), **(facts or {})},
        entries=tuple(verdict_entry(verdict) for verdict in verdicts),
        rules={
            code.value: Rule(summary=CATALOGUE[code].summary, remedy=CATALOGUE[code].remedy) for code in codes
        },
        file=policy,
        data=verdicts_to_json(verdicts),
        text=Group(*(verdict_tree(verdict) for verdict in verdicts)),
    )  # fmt: skip


def verdicts_to_json(verdicts: Sequence[Verdict]) -> dict[str, object]:
    """The verdicts as JSON; see docs/schemas/verdicts-v1.schema.json."""
    return {
        "schema": SCHEMA,
        "outcome": Verdict.of("all", parts=verdicts).outcome.value,
        "verdicts": [verdict.to_json() for verdict in verdicts],
    }


def _summary(verdicts: Sequence[Verdict]) -> str:
    counts = Counter(verdict.outcome for verdict in verdicts)
    found = ", ".join(f"{counts[outcome]} {outcome.value}" for outcome in Outcome if counts[outcome])
    return f"{len(verdicts)} verified: {found}" if verdicts else "nothing was verified, which is never success"


def verdict_entry(verdict: Verdict) -> Entry:
    """A verdict as an entry, with its checks and parts."""
    parts = [check_entry(check) for check in verdict.checks] + [verdict_entry(part) for part in verdict.parts]
    beside = [_beside(item) for item in verdict.ignored]
    reason = verdict.reason
    return Entry(
        name=verdict.subject,
        level=Level.of(verdict.outcome),
        said=_said(verdict),
        rule=reason.value if reason else "",
        message=next((check.detail for check in verdict.walk() if reason and check.reason is reason), ""),
        parts=(*parts, *beside),
    )


def _beside(verdict: Verdict) -> Entry:
    """What was looked at and counts for nothing: whatever was found in it is no finding against the artifact."""
    reason = verdict.reason
    return Entry(
        name=verdict.subject,
        level=Level.NOTE,
        said="counts for nothing",
        rule=reason.value if reason else "",
        message=next((check.detail for check in verdict.walk() if check.detail), ""),
    )


def check_entry(check: Check) -> Entry:
    """One check as an entry."""
    return Entry(
        name=check.name,
        level=Level.of(check.outcome),
        said=f"{check.outcome.value}({check.reason.value})" if check.reason else check.outcome.value,
        rule=check.reason.value if check.reason else "",
        message=check.detail or (CATALOGUE[check.reason].summary if check.reason else ""),
        facts=check.evidence,
    )


def _said(verdict: Verdict) -> str:
    return f"{verdict.outcome.value}({verdict.reason.value})" if verdict.reason else verdict.outcome.value
