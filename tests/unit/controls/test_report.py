"""When a control passes, and how the report says so."""

from __future__ import annotations

import pytest
from rich.console import Console

from dhallmark.controls.case import Case
from dhallmark.controls.report import Answer, Finding, Report, Status
from dhallmark.errors import ExitCode
from dhallmark.reasons import Reason
from dhallmark.verdict import Outcome

GOOD = Answer(outcome=Outcome.ACCEPTED, reason=None, words="")
REFUSED = Answer(outcome=Outcome.REJECTED, reason=Reason.SIGNATURE_NONE, words="no signatures found")
OTHERWISE = Answer(outcome=Outcome.REJECTED, reason=Reason.SUBJECT_MISMATCH, words="x\x00y")
AWAY = Answer.unanswered(Reason.REGISTRY_UNAVAILABLE, "connection refused")
DIGEST = "sha256:" + "ab" * 32
CASE = Case.model_validate(
    {
        "id": "S1",
        "group": "signature",
        "title": "unsigned",
        "flaw": "x",
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


def finding(mutant: Answer, *, before: Answer = GOOD, after: Answer = GOOD, consumer: str = "strict") -> Finding:
    return Finding(case=CASE, consumer=consumer, version="1", before=before, mutant=mutant, after=after)


CASES: list[tuple[Finding, Status]] = [
    (finding(REFUSED), Status.PASSED),
    (finding(OTHERWISE), Status.FAILED),
    (finding(GOOD), Status.FAILED),
    (finding(AWAY), Status.INDETERMINATE),
    # An outage is not a refusal.
    (finding(REFUSED, before=AWAY), Status.INDETERMINATE),
    (finding(REFUSED, after=AWAY), Status.INDETERMINATE),
    (finding(REFUSED, before=REFUSED, after=REFUSED), Status.FAILED),
    (finding(REFUSED, after=REFUSED), Status.FAILED),
    (finding(GOOD, consumer="blind"), Status.HOLE),
    # A hole that is closed: the catalogue is wrong.
    (finding(REFUSED, consumer="blind"), Status.FAILED),
]


@pytest.mark.parametrize(("one", "status"), CASES)
def test_a_control_passes_only_by_the_exact_answer_between_two_acceptances(one: Finding, status: Status) -> None:
    assert one.status is status
    assert bool(one.explanation) is (status is not Status.PASSED)
    assert one.to_json()["status"] == status.value


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        ((), ExitCode.INDETERMINATE),
        ((CASES[0][0],), ExitCode.OK),
        ((CASES[0][0], CASES[8][0]), ExitCode.OK),
        ((CASES[8][0],), ExitCode.INDETERMINATE),
        ((CASES[0][0], CASES[3][0]), ExitCode.INDETERMINATE),
        ((CASES[0][0], CASES[3][0], CASES[1][0]), ExitCode.REJECTED),
    ],
)
def test_a_run_succeeds_only_if_something_passed_and_nothing_else_happened(
    findings: tuple[Finding, ...], code: ExitCode
) -> None:
    assert Report(findings=findings).exit_code is code


@pytest.mark.parametrize(
    ("findings", "outcome", "reasons"),
    [
        ((CASES[0][0],), Outcome.ACCEPTED, set()),
        ((CASES[0][0], CASES[3][0]), Outcome.INDETERMINATE, {Reason.CONTROL_UNANSWERED}),
        ((CASES[0][0], CASES[1][0]), Outcome.REJECTED, {Reason.CONTROL_FAILED}),
    ],
)
def test_a_run_is_one_verdict_with_a_reason_for_what_did_not_pass(
    findings: tuple[Finding, ...], outcome: Outcome, reasons: set[Reason]
) -> None:
    verdict = Report(findings=findings).verdict()
    assert verdict.reasons == reasons
    assert verdict.outcome is outcome is Report(findings=findings).outcome


def test_the_table_names_what_did_not_pass() -> None:
    console = Console(width=200, record=True, file=None, quiet=False)
    with console.capture() as capture:
        console.print(Report(findings=tuple(one for one, _ in CASES)).to_text())
    text = capture.get()
    assert "must be rejected(signature.none), was rejected(subject.mismatch)" in text
    assert "the good artifact was indeterminate(registry.unavailable) before the mutant: connection refused" in text
    assert "- Blind 2 sees nothing: shown by control S1\n" in text


def hole(control: str, says: str, *, consumer: str = "blind") -> Finding:
    expect = {consumer: {"outcome": "accepted", "outOfScope": says}}
    case = Case.model_validate({**CASE.model_dump(mode="json", by_alias=True), "id": control, "expect": expect})
    return Finding(case=case, consumer=consumer, version="1", before=GOOD, mutant=GOOD, after=GOOD)


def test_what_a_consumer_leaves_open_is_said_once_with_all_controls_that_show_it() -> None:
    report = Report(
        findings=(
            hole("P3-alone", "Other sees nothing", consumer="other"),
            hole("P3-alone", "Blind sees nothing"),
            hole("T5", "Blind believes in the future"),
            CASES[0][0],
            hole("P3-beside", "Blind sees nothing"),
            hole("P6", "Blind sees nothing"),
        )
    )
    assert [str(one) for one in report.holes] == [
        "Blind sees nothing: shown by controls P3-alone, P3-beside and P6",
        "Blind believes in the future: shown by control T5",
        "Other sees nothing: shown by control P3-alone",
    ]
    assert report.to_json()["holes"] == [one.to_json() for one in report.holes]
