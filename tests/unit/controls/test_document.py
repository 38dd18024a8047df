"""A run of controls as a matrix: what a row says, and what a person is told first."""

from __future__ import annotations

import pytest

from dhallmark.controls.case import Case
from dhallmark.controls.document import controls_document
from dhallmark.controls.report import Answer, Finding, Report
from dhallmark.reasons import Reason
from dhallmark.report.document import Level
from dhallmark.verdict import Outcome

GOOD = Answer(outcome=Outcome.ACCEPTED, reason=None, words="")
REFUSED = Answer(outcome=Outcome.REJECTED, reason=Reason.SIGNATURE_NONE, words="no signatures found")
AWAY = Answer.unanswered(Reason.REGISTRY_UNAVAILABLE, "connection refused")
DIGEST = "sha256:" + "ab" * 32


def finding(mutant: Answer, *, control: str = "S1", consumer: str = "strict") -> Finding:
    case = Case.model_validate(
        {
            "id": control,
            "group": "signature",
            "title": "unsigned",
            "flaw": "a registry that drops referrers",
            "reference": f"r.test/web@{DIGEST}",
            "subjectName": "r.test/web",
            "good": DIGEST,
            "mutant": DIGEST,
            "expect": {
                "strict": {"outcome": "rejected", "reason": "signature.none"},
                "blind": {"outcome": "accepted", "outOfScope": "Blind 2 sees nothing"},
            },
        }
    )
    return Finding(case=case, consumer=consumer, version="1.2", before=GOOD, mutant=mutant, after=GOOD)


PASSED, FAILED, UNKNOWN = finding(REFUSED), finding(GOOD), finding(AWAY)
HOLE = finding(GOOD, consumer="blind")


@pytest.mark.parametrize(
    ("findings", "row", "whole"),
    [
        ((PASSED,), Level.PASSED, Level.PASSED),
        ((PASSED, HOLE), Level.PASSED, Level.PASSED),
        ((UNKNOWN, HOLE), Level.UNKNOWN, Level.UNKNOWN),
        ((FAILED, HOLE), Level.FAILED, Level.FAILED),
        ((HOLE,), Level.NOTE, Level.UNKNOWN),
    ],
)
def test_a_row_is_as_bad_as_its_worst_cell(findings: tuple[Finding, ...], row: Level, whole: Level) -> None:
    document = controls_document(Report(findings=findings))
    assert [entry.level for entry in document.entries] == [row]
    assert document.level is whole


def test_a_row_says_what_was_changed_what_was_said_and_how_it_was_read() -> None:
    document = controls_document(Report(findings=(PASSED, HOLE)))
    assert document.columns == ("strict", "blind")
    (row,) = document.entries
    assert row.message == "unsigned"
    assert row.facts["flaw in the field"] == "a registry that drops referrers"
    strict, blind = row.parts
    assert strict.facts["in its own words"] == "no signatures found"
    assert strict.facts["read as"] == strict.facts["must say"] == "rejected(signature.none)"
    assert (blind.said, blind.message) == ("out-of-scope", "Blind 2 sees nothing")
    assert document.facts["strict"] == "1.2"
    assert "blind" in document.summary
    assert [*document.notes.values()] == [("Blind 2 sees nothing: shown by control S1",)]


def test_controls_make_rows_of_their_own_and_columns_are_shared() -> None:
    document = controls_document(Report(findings=(PASSED, finding(REFUSED, control="S2"), HOLE)))
    assert [(entry.name, len(entry.parts)) for entry in document.entries] == [("S1", 2), ("S2", 1)]


def test_a_run_without_controls_says_so() -> None:
    document = controls_document(Report(findings=()))
    assert document.level is Level.UNKNOWN
    assert document.summary == "no control ran"
