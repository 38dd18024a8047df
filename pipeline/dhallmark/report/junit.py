"""A report as JUnit XML, for a CI's test view: what may not be concluded is an error, a note a skipped test."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from dhallmark.report.document import Document, Entry, Level, printable

_TAGS = {Level.FAILED: "failure", Level.UNKNOWN: "error", Level.NOTE: "skipped"}


def to_junit(document: Document) -> bytes:
    """`document` as one test suite, with a test for each case."""
    suites = ET.Element("testsuites")
    suite = ET.SubElement(
        suites,
        "testsuite",
        name=f"dhallmark {document.kind}",
        tests=str(sum(1 for _ in document.cases())),
        failures=str(document.count(Level.FAILED)),
        errors=str(document.count(Level.UNKNOWN)),
        skipped=str(document.count(Level.NOTE)),
    )
    for row, case in document.cases():
        matrix = row is not case
        test = ET.SubElement(
            suite,
            "testcase",
            classname=f"{document.kind}.{printable(case.name)}" if matrix else document.kind,
            name=printable(f"{row.name} {row.message}".strip() if matrix else case.name),
        )
        if case.file:
            test.set("file", printable(case.file))
        tag = _TAGS.get(case.level)
        if tag is not None:
            told = ET.SubElement(
                test, tag, message=printable(case.message or case.said), type=printable(case.rule or case.said)
            )
            told.text = printable("\n".join(_lines(case, document)))
    ET.indent(suites)
    content: bytes = ET.tostring(suites, encoding="utf-8", xml_declaration=True)
    return content + b"\n"


def _lines(case: Entry, document: Document) -> list[str]:
    """Each finding below `case`, with what was seen and what to do."""
    lines = []
    for leaf in case.findings():
        lines.append(f"{leaf.name}: {leaf.said}: {leaf.message}")
        lines += [f"  {name}: {value}" for name, value in leaf.facts.items()]
        rule = document.rules.get(leaf.rule)
        if rule and rule.remedy:
            lines.append(f"  what to do: {rule.remedy}")
    return lines
