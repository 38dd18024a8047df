"""A report as SARIF 2.1.0 (OASIS), for code scanning: one result a finding, one rule a code.

A finding about a registry's content is in no file; code scanning wants one, so such a result points to the policy that
it was judged by, and names what it is about as a logical location (SARIF 2.1.0, sections 3.28 and 3.33).
"""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath
from urllib.parse import quote

from dhallmark import strictjson
from dhallmark.report.document import Document, Entry, Level, printable
from dhallmark.version import tool_version

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_KINDS = {Level.FAILED: ("fail", "error"), Level.UNKNOWN: ("fail", "error"), Level.NOTE: ("informational", "none")}
"""Kind and level of a result (3.27.9, 3.27.10). What may not be concluded blocks, so it fails, too."""


def to_sarif(document: Document) -> bytes:
    """`document` as a SARIF log with one run."""
    findings = [(row, case, leaf) for row, case in document.cases() for leaf in case.findings()]
    codes = list(dict.fromkeys(_code(leaf, document) for _, _, leaf in findings))
    run = {
        "tool": {
            "driver": {
                "name": "dhallmark",
                "semanticVersion": tool_version(),
                "rules": [_rule(code, document) for code in codes],
            }
        },
        "columnKind": "unicodeCodePoints",
        "results": [_result(row, case, leaf, document, codes) for row, case, leaf in findings],
        # Whether the tool could look at all of it; what it found does not count here.
        "invocations": [{"executionSuccessful": document.count(Level.UNKNOWN) == 0}],
    }
    return strictjson.dump({"$schema": _SCHEMA, "version": "2.1.0", "runs": [_shown(run)]})


def _code(leaf: Entry, document: Document) -> str:
    return leaf.rule or f"{document.kind}.{leaf.level.value}"


def _rule(code: str, document: Document) -> dict[str, object]:
    rule = document.rules.get(code)
    if rule is None:
        return {"id": code}
    body: dict[str, object] = {"id": code, "shortDescription": {"text": rule.summary}}
    if rule.remedy:
        body["help"] = {"text": rule.remedy}
    return body


def _result(row: Entry, case: Entry, leaf: Entry, document: Document, codes: list[str]) -> dict[str, object]:
    code = _code(leaf, document)
    about = [row.name] if row is case else [row.name, case.name]
    if leaf is not case:
        about.append(leaf.name)
    message = f"{about[0]}: {leaf.message or leaf.said}"
    kind, level = _KINDS[leaf.level]
    return {
        "ruleId": code,
        "ruleIndex": codes.index(code),
        "kind": kind,
        "level": level,
        "message": {"text": message},
        "locations": [_location(leaf.file or case.file or document.file, leaf.line or case.line, about)],
        "partialFingerprints": {
            "dhallmark/v1": hashlib.sha256("\0".join((code, *about)).encode("utf-8", "replace")).hexdigest()
        },
        "properties": {"said": leaf.said, **leaf.facts},
    }


def _location(file: str, line: int | None, about: list[str]) -> dict[str, object]:
    body: dict[str, object] = {"logicalLocations": [{"fullyQualifiedName": " / ".join(about)}]}
    if file:
        uri = quote(PurePosixPath(file).as_posix(), errors="replace")
        region = {"region": {"startLine": line}} if line else {}
        body["physicalLocation"] = {"artifactLocation": {"uri": uri}, **region}
    return body


def _shown(value: object) -> object:
    """`value` with every text in it printable."""
    match value:
        case str():
            return printable(value)
        case dict():
            return {printable(key): _shown(item) for key, item in value.items()}
        case list():
            return [_shown(item) for item in value]
        case _:
            return value
