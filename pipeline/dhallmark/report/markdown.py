"""A report as GitHub-flavoured Markdown, for a job's summary page or a comment on a change."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from dhallmark.report.document import Document, Entry, Level, printable

_MARKS = {Level.PASSED: "✅", Level.FAILED: "❌", Level.UNKNOWN: "❓", Level.NOTE: "⚠️"}
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&@!])")


def to_markdown(document: Document) -> bytes:
    """`document` as one page: the answer, a table of what was judged, and each finding with what to do."""
    lines = [
        f"## {_MARKS[document.level]} {_text(document.title)}: {_text(document.said)}",
        "",
        _text(document.summary),
    ]
    if document.facts:
        lines += ["", *(f"- {_text(name)}: {_text(value)}" for name, value in document.facts.items())]
    for heading, sentences in document.notes.items():
        lines += ["", f"### {_text(heading)}", "", *(f"- {_text(sentence)}" for sentence in sentences)]
    if document.entries:
        lines += ["", *(_matrix(document) if document.columns else _table(document))]
    for row, case in document.cases():
        lines += _findings(row, case, document)
    return ("\n".join(lines) + "\n").encode("utf-8", "backslashreplace")


def _matrix(document: Document) -> Iterator[str]:
    yield _row(["", "changed", *document.columns])
    yield _row(["---"] * (2 + len(document.columns)))
    for entry in document.entries:
        cells = {part.name: _MARKS[part.level] for part in entry.parts}
        yield _row([_text(entry.name), _text(entry.message), *(cells.get(name, "") for name in document.columns)])


def _table(document: Document) -> Iterator[str]:
    yield _row(["", "what", "verdict"])
    yield _row(["---"] * 3)
    for entry in document.entries:
        yield _row([_MARKS[entry.level], _text(entry.name), _text(entry.said)])


def _findings(row: Entry, case: Entry, document: Document) -> Iterator[str]:
    findings = list(case.findings())
    if case.level is Level.PASSED or not findings:
        return
    title = row.name if row is case else f"{row.name}, {case.name}"
    yield from ("", f"### {_MARKS[case.level]} {_text(title)}", "")
    for leaf in findings:
        yield f"- **{_text(leaf.said)}** {_text(leaf.name)}: {_text(leaf.message)}"
        yield from (f"  - {_text(name)}: {_text(value)}" for name, value in leaf.facts.items())
        rule = document.rules.get(leaf.rule)
        if rule and rule.remedy and leaf.level is not Level.NOTE:
            yield f"  - what to do: {_text(rule.remedy)}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _text(text: str) -> str:
    """`text` in one line, with nothing in it that Markdown, a mention or HTML would make something of."""
    return _SPECIAL.sub(r"\\\1", printable(text).replace("\n", " ").replace("\t", " "))
