import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.errors import ExitCode, FormatError, VerdictError
from dhallmark.reason_catalogue import CATALOGUE
from dhallmark.reasons import Reason
from dhallmark.verdict import Check, Outcome, Verdict

GOOD = Check(name="signature")
BAD = Check(name="identity", reason=Reason.IDENTITY_ISSUER_MISMATCH, detail="another issuer", evidence={"found": "x"})
UNSURE = Check(name="listing", reason=Reason.REGISTRY_UNAVAILABLE)


@pytest.mark.parametrize(
    ("checks", "outcome", "reason", "exit_code"),
    [
        ([], Outcome.INDETERMINATE, Reason.NOTHING_CHECKED, ExitCode.INDETERMINATE),
        ([GOOD], Outcome.ACCEPTED, None, ExitCode.OK),
        ([GOOD, BAD], Outcome.REJECTED, Reason.IDENTITY_ISSUER_MISMATCH, ExitCode.REJECTED),
        ([UNSURE, GOOD], Outcome.INDETERMINATE, Reason.REGISTRY_UNAVAILABLE, ExitCode.INDETERMINATE),
        ([UNSURE, BAD, GOOD], Outcome.REJECTED, Reason.IDENTITY_ISSUER_MISMATCH, ExitCode.REJECTED),
    ],
)
def test_the_worst_check_decides(
    checks: list[Check], outcome: Outcome, reason: Reason | None, exit_code: ExitCode
) -> None:
    flat = Verdict.of("x", checks=checks)
    nested = Verdict.of("y", parts=[Verdict.of("x", checks=checks)])
    for verdict in (flat, nested):
        assert (verdict.outcome, verdict.reason, verdict.exit_code) == (outcome, reason, exit_code)


def test_an_empty_part_spoils_an_accepted_whole() -> None:
    verdict = Verdict.of("all", checks=[GOOD], parts=[Verdict.of("nothing")])
    assert verdict.outcome is Outcome.INDETERMINATE
    assert verdict.reason is Reason.NOTHING_CHECKED


def test_an_accepted_verdict_has_no_reasons() -> None:
    assert Verdict.of("x", checks=[GOOD]).reasons == frozenset()
    assert Verdict.of("x", checks=[BAD, UNSURE]).reasons == {
        Reason.IDENTITY_ISSUER_MISMATCH,
        Reason.REGISTRY_UNAVAILABLE,
    }


def test_json_holds_the_whole_tree() -> None:
    verdict = Verdict.of("all", checks=[GOOD], parts=[Verdict.of("one", checks=[BAD])])
    assert verdict.to_json() == {
        "subject": "all",
        "outcome": "rejected",
        "reason": "identity.issuer-mismatch",
        "checks": [{"name": "signature", "outcome": "accepted"}],
        "parts": [
            {
                "subject": "one",
                "outcome": "rejected",
                "reason": "identity.issuer-mismatch",
                "checks": [
                    {
                        "name": "identity",
                        "outcome": "rejected",
                        "reason": "identity.issuer-mismatch",
                        "detail": "another issuer",
                        "evidence": {"found": "x"},
                    }
                ],
            }
        ],
    }


CHECKS = st.builds(
    Check,
    name=st.text(),
    reason=st.none() | st.sampled_from(Reason),
    detail=st.text(),
    evidence=st.dictionaries(st.text(), st.text(), max_size=3),
)
VERDICTS = st.recursive(
    st.builds(Verdict, subject=st.text(), checks=st.lists(CHECKS, max_size=3).map(tuple)),
    lambda inner: st.builds(
        Verdict,
        subject=st.text(),
        checks=st.lists(CHECKS, max_size=2).map(tuple),
        parts=st.lists(inner, max_size=3).map(tuple),
        ignored=st.lists(inner, max_size=2).map(tuple),
    ),
    max_leaves=6,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["subject", "checks", "parts", "ignored", "name", "reason", "evidence", "detail"]), inner
        )
    ),
)


@given(VERDICTS)
def test_a_verdict_comes_back_from_its_json(verdict: Verdict) -> None:
    assert Verdict.from_json(verdict.to_json()) == verdict


@given(JSON)
def test_any_other_json_is_no_verdict(body: object) -> None:
    try:
        verdict = Verdict.from_json(body)
    except FormatError:
        return
    assert isinstance(body, dict)
    assert verdict.subject == body["subject"]


def test_a_verdict_error_ends_the_process_as_the_verdict_says() -> None:
    error = VerdictError(Verdict.of("x", checks=[UNSURE]))
    assert error.exit_code is ExitCode.INDETERMINATE
    assert str(error) == "indeterminate(registry.unavailable): x"


def test_every_reason_is_catalogued_with_what_to_do() -> None:
    assert set(CATALOGUE) == set(Reason)
    for info in CATALOGUE.values():
        assert info.summary.endswith(".")
        assert info.remedy.endswith(".")
