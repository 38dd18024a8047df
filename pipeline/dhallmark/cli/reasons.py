"""`dhallmark reasons`: what each reason code means, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Annotated

from cyclopts import Parameter
from rich.table import Table

from dhallmark.cli.result import Result
from dhallmark.errors import UsageError
from dhallmark.reason_catalogue import CATALOGUE
from dhallmark.reasons import Reason
from dhallmark.verdict import outcome_of

_HEAD = """\
# Reasons
Every refusal gives one of these codes: in the verdict's tree, in reports, and on standard error. They are stable.
`rejected` says that something is wrong; `indeterminate` that it could not be looked at, which blocks all the same.
`dhallmark reasons CODE` tells the same on the command line.

This page is made from the catalogue: `dhallmark reasons --markdown > docs/reasons.md`.
"""


def reasons(
    *codes: str,
    markdown: Annotated[bool, Parameter(negative="")] = False,
) -> Result:
    """Say what reason codes mean, and what to do about them.

    Parameters
    ----------
    codes
        The codes, such as identity.subject-mismatch, or beginnings of them such as identity. All of them otherwise.
    markdown
        Print the page that docs/reasons.md holds.
    """
    chosen = [reason for reason in Reason if not codes or any(_fits(reason, code) for code in codes)]
    unknown = [code for code in codes if not any(_fits(reason, code) for reason in Reason)]
    if unknown:
        raise UsageError(f"no reason {unknown[0]!r}", hint="`dhallmark reasons` lists them")
    return Result(
        data={
            "schema": "dhallmark.dev/reasons/v1",
            "reasons": [
                {
                    "code": reason.value,
                    "outcome": outcome_of(reason).value,
                    "meaning": CATALOGUE[reason].summary,
                    "remedy": CATALOGUE[reason].remedy,
                }
                for reason in chosen
            ],
        },
        text=page(chosen) if markdown else _table(chosen),
    )


def _fits(reason: Reason, code: str) -> bool:
    return reason.value == code or reason.value.startswith(f"{code}.")


def page(chosen: Sequence[Reason]) -> str:
    """Reasons as Markdown, by what was checked."""
    parts = [_HEAD]
    ordered = sorted(chosen, key=lambda reason: reason.value)
    for subject, members in groupby(ordered, key=lambda reason: reason.value.partition(".")[0]):
        rows = [
            f"| `{reason.value}` | {outcome_of(reason)} | {CATALOGUE[reason].summary} | {CATALOGUE[reason].remedy} |"
            for reason in members
        ]
        head = ["| code | outcome | what it means | what to do |", "|---|---|---|---|"]
        parts.append("\n".join([f"## {subject}", *head, *rows]) + "\n")
    return "\n".join(parts)


def _table(chosen: Sequence[Reason]) -> Table:
    table = Table("code", "outcome", "what it means", "what to do", box=None, pad_edge=False)
    for reason in chosen:
        info = CATALOGUE[reason]
        table.add_row(reason.value, outcome_of(reason), info.summary, info.remedy)
    return table
