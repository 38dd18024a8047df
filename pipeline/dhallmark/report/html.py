"""A report as one HTML page: no script, no font, no image, nothing fetched. It can be mailed, archived and printed.

The page is built as a tree of elements, so that no text in it is ever read as markup, and says by its own policy that
nothing may be loaded or run.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from xml.etree import ElementTree as ET

from dhallmark.report.document import Document, Entry, Level, printable
from dhallmark.version import tool_version

_MARKS = {Level.PASSED: "✓", Level.FAILED: "✗", Level.UNKNOWN: "?", Level.NOTE: "!"}
_WORDS = {
    Level.PASSED: "passed",
    Level.FAILED: "failed",
    Level.UNKNOWN: "nothing may be concluded",
    Level.NOTE: "known hole, or does not count",
}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_MANY = 200
"""Rows above which only those that did not pass are written one by one: a page is read by a person."""


def to_html(document: Document) -> bytes:
    """`document` as a page in UTF-8."""
    html = ET.Element("html", lang="en")
    head = ET.SubElement(html, "head")
    ET.SubElement(head, "meta", charset="utf-8")
    ET.SubElement(head, "meta", {"http-equiv": "Content-Security-Policy", "content": _POLICY})
    ET.SubElement(head, "meta", name="viewport", content="width=device-width, initial-scale=1")
    _add(head, "title", f"{document.title}: {document.said}")
    _add(head, "style", files("dhallmark.report").joinpath("report.css").read_text(encoding="utf-8"))
    body = ET.SubElement(html, "body")
    _head(body, document)
    for heading, sentences in document.notes.items():
        aside = ET.SubElement(body, "aside", {"class": Level.NOTE.value})
        _add(aside, "h2", heading)
        listed = ET.SubElement(aside, "ul")
        for sentence in sentences:
            _add(listed, "li", sentence)
    main = ET.SubElement(body, "main")
    if document.columns:
        _matrix(main, document)
    else:
        _list(main, document)
    _legend(body, document)
    content: bytes = ET.tostring(html, encoding="utf-8", method="html")
    return b"<!doctype html>\n" + content + b"\n"


def _head(body: ET.Element, document: Document) -> None:
    header = ET.SubElement(body, "header", {"class": document.level.value})
    title = ET.SubElement(header, "h1")
    _add(title, "span", _MARKS[document.level], kind="mark")
    _add(title, "span", f"{document.title}: {document.said}")
    _add(header, "p", document.summary)
    _facts(header, document.facts)


def _matrix(main: ET.Element, document: Document) -> None:
    """A row for each entry, with a cell for each column; opened, what each of them said."""
    grid = ET.SubElement(main, "div", {"class": "matrix", "style": f"--columns: {len(document.columns)}"})
    heading = ET.SubElement(grid, "div", {"class": "row heading"})
    _add(heading, "span", "")
    _add(heading, "span", "what was changed")
    for name in document.columns:
        _add(heading, "span", name, kind="cell")
    for entry in document.entries:
        details = ET.SubElement(grid, "details", {"class": entry.level.value})
        if entry.level in (Level.FAILED, Level.UNKNOWN):
            details.set("open", "open")
        summary = ET.SubElement(details, "summary", {"class": "row"})
        _add(summary, "code", entry.name)
        _add(summary, "span", entry.message)
        cells = {part.name: part for part in entry.parts}
        for name in document.columns:
            _cell(summary, cells.get(name))
        inside = ET.SubElement(details, "div", {"class": "inside"})
        _facts(inside, entry.facts)
        for part in entry.parts:
            section = ET.SubElement(inside, "section", {"class": part.level.value})
            title = ET.SubElement(section, "h3")
            _add(title, "span", _MARKS[part.level], kind="mark")
            _add(title, "span", f"{part.name}: {part.said}")
            if part.message:
                _add(section, "p", part.message)
            _facts(section, part.facts)
            _remedy(section, part, document)


def _cell(summary: ET.Element, part: Entry | None) -> None:
    if part is None:
        _add(summary, "span", "·", kind="cell none").set("title", "not asked")
    else:
        cell = _add(summary, "span", _MARKS[part.level], kind=f"cell mark {part.level.value}")
        cell.set("title", printable(f"{part.name}: {part.said}"))


def _list(main: ET.Element, document: Document) -> None:
    entries = document.entries
    if len(entries) > _MANY:
        shown = tuple(entry for entry in entries if entry.level is not Level.PASSED)
        _add(main, "p", f"{len(entries) - len(shown)} of {len(entries)} passed and are not listed one by one.")
        entries = shown
    for entry in entries:
        _entry(main, entry, document)


def _entry(parent: ET.Element, entry: Entry, document: Document) -> None:
    """An entry with its parts, open where it did not pass."""
    if not entry.parts:
        _leaf(parent, entry, document)
        return
    details = ET.SubElement(parent, "details", {"class": entry.level.value})
    if entry.level in (Level.FAILED, Level.UNKNOWN):
        details.set("open", "open")
    summary = ET.SubElement(details, "summary")
    _add(summary, "span", _MARKS[entry.level], kind="mark")
    _add(summary, "code", entry.name)
    _add(summary, "span", entry.said, kind="said")
    inside = ET.SubElement(details, "div", {"class": "inside"})
    _facts(inside, entry.facts)
    for part in entry.parts:
        _entry(inside, part, document)


def _leaf(parent: ET.Element, entry: Entry, document: Document) -> None:
    leaf = ET.SubElement(parent, "div", {"class": f"leaf {entry.level.value}"})
    line = ET.SubElement(leaf, "p")
    _add(line, "span", _MARKS[entry.level], kind="mark")
    _add(line, "code", entry.name)
    if entry.level is not Level.PASSED:
        _add(line, "span", entry.said, kind="said")
    if entry.message:
        _add(line, "span", entry.message)
    _facts(leaf, entry.facts)
    _remedy(leaf, entry, document)


def _remedy(parent: ET.Element, entry: Entry, document: Document) -> None:
    rule = document.rules.get(entry.rule)
    if rule is not None and rule.remedy and entry.level in (Level.FAILED, Level.UNKNOWN):
        line = _add(parent, "p", "", kind="remedy")
        _add(line, "strong", "What to do: ")
        _add(line, "span", rule.remedy)


def _facts(parent: ET.Element, facts: Mapping[str, str]) -> None:
    if not facts:
        return
    listed = ET.SubElement(parent, "dl")
    for name, value in facts.items():
        _add(listed, "dt", name)
        _add(listed, "dd", value)


def _legend(body: ET.Element, document: Document) -> None:
    footer = ET.SubElement(body, "footer")
    there = [level for level in Level if document.count(level)]
    line = ET.SubElement(footer, "p")
    for level in there:
        _add(line, "span", _MARKS[level], kind=f"mark {level.value}")
        _add(line, "span", f"{document.count(level)} {_WORDS[level]}")
    _add(footer, "p", f"dhallmark {tool_version()}")


def _add(parent: ET.Element, tag: str, text: str, *, kind: str = "") -> ET.Element:
    element = ET.SubElement(parent, tag, {"class": kind} if kind else {})
    element.text = text if tag == "style" else printable(text)
    return element
