"""The formats of reports, and writing one to a file: `--report html=report.html`."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from rich.console import Console

from dhallmark import strictjson
from dhallmark.errors import UsageError
from dhallmark.files import write_atomic
from dhallmark.report.document import Document
from dhallmark.report.html import to_html
from dhallmark.report.junit import to_junit
from dhallmark.report.markdown import to_markdown
from dhallmark.report.sarif import to_sarif

_WIDTH = 160
"""Columns of a text report in a file: wide enough for digests."""


class Format(StrEnum):
    """What a report can be written as."""

    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"
    SARIF = "sarif"
    MARKDOWN = "markdown"
    HTML = "html"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A report that somebody asked for."""

    format: Format
    path: Path

    @classmethod
    def parse(cls, text: str) -> Wanted:
        """From `FORMAT=FILE`. Raises UsageError."""
        name, equals, path = text.partition("=")
        if not equals or not path or name not in set(Format):
            raise UsageError(
                f"no report of the form {text!r}",
                hint=f"expected FORMAT=FILE, with a format of {', '.join(Format)}",
            )
        return cls(Format(name), Path(path))


def write_reports(document: Document, wanted: Sequence[Wanted]) -> None:
    """Write `document` in each format that is wanted; each file is whole or not there. Raises OSError."""
    for one in wanted:
        write_atomic(one.path, to_bytes(document, one.format))


def to_bytes(document: Document, format: Format) -> bytes:  # noqa: A002  (the field's word)
    """`document` in one format."""
    return _WRITERS[format](document)


def _to_json(document: Document) -> bytes:
    return strictjson.dump(dict(document.data))


def _to_text(document: Document) -> bytes:
    out = io.StringIO()
    console = Console(file=out, width=_WIDTH, highlight=False, markup=False, emoji=False, color_system=None)
    console.print(document.text, crop=False)
    return out.getvalue().encode("utf-8", "backslashreplace")


_WRITERS: dict[Format, Callable[[Document], bytes]] = {
    Format.TEXT: _to_text,
    Format.JSON: _to_json,
    Format.JUNIT: to_junit,
    Format.SARIF: to_sarif,
    Format.MARKDOWN: to_markdown,
    Format.HTML: to_html,
}
