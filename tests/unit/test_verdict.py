import pytest

from dhallmark.errors import ExitCode, VerdictError
from dhallmark.reasons import CATALOGUE, Reason
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


def test_a_verdict_error_ends_the_process_as_the_verdict_says() -> None:
    error = VerdictError(Verdict.of("x", checks=[UNSURE]))
    assert error.exit_code is ExitCode.INDETERMINATE
    assert str(error) == "indeterminate(registry.unavailable): x"


def test_every_reason_is_catalogued_with_what_to_do() -> None:
    assert set(CATALOGUE) == set(Reason)
    for info in CATALOGUE.values():
        assert info.summary.endswith(".")
        assert info.remedy.endswith(".")
