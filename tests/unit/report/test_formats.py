"""Every format, over the same documents: it is well-formed, says what was found, and takes any text for text."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.errors import UsageError
from dhallmark.reasons import Reason
from dhallmark.report.document import Document, Entry, Level, Rule, printable
from dhallmark.report.formats import Format, Wanted, to_bytes, write_reports
from dhallmark.report.verdicts import verdicts_document
from dhallmark.verdict import Check, Verdict

GOOD = Verdict.of("r.test/good", checks=[Check(name="artifact.manifest")])
BAD = Verdict.of(
    "r.test/bad",
    checks=[Check(name="artifact.manifest")],
    parts=[
        Verdict.of(
            "https://slsa.dev/provenance/v1",
            checks=[
                Check(
                    name="identity",
                    reason=Reason.IDENTITY_SUBJECT_MISMATCH,
                    detail="another workflow signed",
                    evidence={"expected": "release.yaml", "found": "fork.yaml"},
                )
            ],
        )
    ],
    ignored=[Verdict.of("bundle sha256:…", checks=[Check(name="signature", reason=Reason.SIGNATURE_INVALID)])],
)
UNKNOWN = Verdict.of("r.test/away", checks=[Check(name="registry", reason=Reason.REGISTRY_UNAVAILABLE)])
DOCUMENT = verdicts_document([GOOD, BAD, UNKNOWN], policy="policy.yaml")
MATRIX = Document(
    kind="controls",
    title="Negative controls",
    level=Level.FAILED,
    said="rejected",
    summary="1 failed",
    notes={"Left open": ("blind sees nothing: shown by control S1",)},
    columns=("strict", "blind"),
    entries=(
        Entry(
            name="S1",
            level=Level.FAILED,
            said="failed",
            message="unsigned",
            parts=(
                Entry(name="strict", level=Level.FAILED, said="failed", rule="S1", message="accepted it"),
                Entry(name="blind", level=Level.NOTE, said="out-of-scope", rule="S1", message="sees nothing"),
            ),
        ),
    ),
    rules={"S1": Rule(summary="unsigned", remedy="mend the policy")},
)


class Page(HTMLParser):
    """The elements, attributes and text of a page."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(content.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def test_junit_has_a_test_for_each_case() -> None:
    (suite,) = ET.fromstring(to_bytes(DOCUMENT, Format.JUNIT))  # noqa: S314  (made by us, above)
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "3",
        "failures": "1",
        "errors": "1",
        "skipped": "0",
    }
    assert [test.get("name") for test in suite] == ["r.test/good", "r.test/bad", "r.test/away"]
    failure = suite[1][0]
    assert failure.get("type") == "identity.subject-mismatch"
    assert "found: fork.yaml" in str(failure.text)
    assert "what to do" in str(failure.text)


def test_junit_of_a_matrix_has_a_test_for_each_cell() -> None:
    (suite,) = ET.fromstring(to_bytes(MATRIX, Format.JUNIT))  # noqa: S314  (made by us, above)
    assert [(test.get("classname"), test[0].tag) for test in suite] == [
        ("controls.strict", "failure"),
        ("controls.blind", "skipped"),
    ]


def test_sarif_has_a_result_for_each_finding_and_a_rule_for_each_code() -> None:
    log = json.loads(to_bytes(DOCUMENT, Format.SARIF))
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert (log["version"], run["tool"]["driver"]["name"]) == ("2.1.0", "dhallmark")
    assert [rules[result["ruleIndex"]]["id"] for result in run["results"]] == [r["ruleId"] for r in run["results"]]
    found = {result["ruleId"]: result for result in run["results"]}
    assert {code: result["kind"] for code, result in found.items()} == {
        "identity.subject-mismatch": "fail",
        "signature.invalid": "informational",
        "registry.unavailable": "fail",
    }
    named = found["identity.subject-mismatch"]
    assert named["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "policy.yaml"
    assert named["properties"]["found"] == "fork.yaml"
    assert len({result["partialFingerprints"]["dhallmark/v1"] for result in run["results"]}) == 3
    assert run["invocations"] == [{"executionSuccessful": False}]


def test_sarif_points_into_the_file_that_a_finding_is_in() -> None:
    entry = Entry(name="G1", level=Level.FAILED, said="failed", file="a b/c.yaml", line=7)
    document = Document(kind="lint", title="x", level=Level.FAILED, said="x", summary="x", entries=(entry,))
    (result,) = json.loads(to_bytes(document, Format.SARIF))["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "a%20b/c.yaml"},
        "region": {"startLine": 7},
    }


def test_markdown_has_a_row_for_each_entry_and_what_to_do_for_each_finding() -> None:
    text = to_bytes(DOCUMENT, Format.MARKDOWN).decode()
    assert sum(line.startswith("| ") for line in text.splitlines()) == 2 + 3
    assert "❌" in text
    assert "found: fork.yaml" in text
    assert "what to do" in text


def test_markdown_of_a_matrix_has_a_column_for_each_consumer() -> None:
    text = to_bytes(MATRIX, Format.MARKDOWN).decode()
    assert "|  | changed | strict | blind |" in text
    assert "| S1 | unsigned | ❌ | ⚠️ |" in text


def test_what_must_be_read_besides_stands_before_the_rows() -> None:
    page = Page(to_bytes(MATRIX, Format.HTML)).text
    markdown = to_bytes(MATRIX, Format.MARKDOWN).decode()
    for text in (page, markdown):
        assert "Left open" in text
        assert text.index("blind sees nothing: shown by control S1") < text.index("unsigned")


@pytest.mark.parametrize("document", [DOCUMENT, MATRIX], ids=["list", "matrix"])
def test_a_page_loads_and_runs_nothing(document: Document) -> None:
    page = Page(to_bytes(document, Format.HTML))
    assert not {"script", "link", "img", "iframe", "object", "form", "base"} & set(page.tags)
    assert not {"src", "href", "onclick", "onload"} & page.attributes
    assert "details" in page.tags
    assert "default-src 'none'" in to_bytes(document, Format.HTML).decode()


def test_a_page_opens_what_did_not_pass_and_says_what_to_do() -> None:
    content = to_bytes(DOCUMENT, Format.HTML)
    text = Page(content).text
    assert content.count(b'<details class="failed" open="open">') == 2
    assert b'<details class="passed">' in content
    for part in ("another workflow signed", "fork.yaml", "What to do:", "policy.yaml", "1 failed"):
        assert part in text


def test_a_page_about_thousands_lists_those_that_did_not_pass() -> None:
    document = verdicts_document([*[GOOD] * 1000, BAD])
    page = Page(to_bytes(document, Format.HTML))
    assert "1000 of 1001 passed" in page.text
    assert "r.test/bad" in page.text
    assert "r.test/good" not in page.text


def test_json_is_the_data_of_the_document() -> None:
    body = json.loads(to_bytes(DOCUMENT, Format.JSON))
    assert (body["schema"], body["outcome"]) == ("dhallmark.dev/verdicts/v1", "rejected")


def test_text_is_without_colour() -> None:
    text = to_bytes(DOCUMENT, Format.TEXT).decode()
    assert "\x1b" not in text
    assert "rejected(identity.subject-mismatch): r.test/bad" in text


def test_nothing_verified_is_no_success() -> None:
    document = verdicts_document([])
    assert document.level is Level.UNKNOWN
    assert "never success" in document.summary


_TEXT = st.text(st.characters(exclude_categories=()), max_size=30) | st.sampled_from(
    ["<script>alert(1)</script>", '"><img src=x onerror=y>', "a|b\n| c |", "\x1b[2J", "]]>", "@everyone", "\udcff"]
)


def _entries(depth: int) -> st.SearchStrategy[Entry]:
    return st.builds(
        Entry,
        name=_TEXT,
        level=st.sampled_from(Level),
        said=_TEXT,
        rule=_TEXT,
        message=_TEXT,
        facts=st.dictionaries(_TEXT, _TEXT, max_size=2),
        file=_TEXT,
        line=st.none() | st.integers(1, 9),
        parts=st.lists(_entries(depth - 1), max_size=2).map(tuple) if depth else st.just(()),
    )


@given(
    st.builds(
        Document,
        kind=st.just("verify"),
        title=_TEXT,
        level=st.sampled_from(Level),
        said=_TEXT,
        summary=_TEXT,
        facts=st.dictionaries(_TEXT, _TEXT, max_size=2),
        notes=st.dictionaries(_TEXT, st.tuples(_TEXT, _TEXT), max_size=2),
        entries=st.lists(_entries(2), max_size=3).map(tuple),
        columns=st.sampled_from([(), ("a", "b")]),
        rules=st.dictionaries(_TEXT, st.builds(Rule, summary=_TEXT, remedy=_TEXT), max_size=2),
        file=_TEXT,
    )
)
def test_whatever_is_told_is_told_as_text(document: Document) -> None:
    ET.fromstring(to_bytes(document, Format.JUNIT))  # noqa: S314  (made by us, above)
    json.loads(to_bytes(document, Format.SARIF))
    page = Page(to_bytes(document, Format.HTML))
    assert not {"script", "img"} & set(page.tags)
    assert "onerror" not in page.attributes
    markdown = to_bytes(document, Format.MARKDOWN).decode()
    assert not any(character in markdown for character in "\x1b\udcff")
    assert "<script>" not in markdown


@given(_TEXT)
def test_printable_text_cannot_steer_a_terminal(text: str) -> None:
    shown = printable(text)
    assert all(character.isprintable() or character in "\n\t" for character in shown)
    shown.encode()


def test_each_report_that_is_wanted_is_written(tmp_path: Path) -> None:
    wanted = [Wanted.parse(f"{form.value}={tmp_path / form.value}") for form in Format]
    write_reports(DOCUMENT, wanted)
    assert {path.name for path in tmp_path.iterdir()} == {form.value for form in Format}
    assert all(one.path.read_bytes() == to_bytes(DOCUMENT, one.format) for one in wanted)


@pytest.mark.parametrize("text", ["", "html", "html=", "=x", "pdf=x", "HTML=x"])
def test_a_report_of_no_known_form_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        Wanted.parse(text)
    assert "FORMAT=FILE" in str(refused.value.hint)
