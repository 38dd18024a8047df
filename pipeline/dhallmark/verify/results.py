"""Test results: one that failed refuses the artifact, one that is required must say enough.

Source: in-toto attestation framework, spec/predicates/test-result.md (v0.1).
"""

from __future__ import annotations

from collections.abc import Sequence

from dhallmark.config.policy import StatementRule
from dhallmark.reasons import Reason
from dhallmark.statement import Statement
from dhallmark.verify.refusal import Refusal

_ORDER = ("FAILED", "WARNED", "PASSED")


def require_not_failed(statement: Statement) -> None:
    """Refuse a test result that says FAILED or lists failed tests (P3), and one that is none."""
    result = _result(statement)
    failed = _names(statement, "failedTests")
    if result == "FAILED" or failed:
        raise Refusal(
            Reason.TEST_RESULT_FAILED,
            "a test of this artifact failed",
            found=", ".join(failed[:3]) or result,
        )


def require_result(statement: Statement, rule: StatementRule) -> None:
    """Refuse a test result that says less than the rule wants, or lacks a test that must have passed."""
    result = _result(statement)
    if _ORDER.index(result) < _ORDER.index(rule.result):
        raise Refusal(
            Reason.TEST_RESULT_INSUFFICIENT, "the test result says too little", expected=rule.result, found=result
        )
    missing = [name for name in rule.passed_tests if name not in _names(statement, "passedTests")]
    if missing:
        raise Refusal(
            Reason.TEST_RESULT_INSUFFICIENT, "a test that must pass is not among those that did", expected=missing[0]
        )


def _result(statement: Statement) -> str:
    result = statement.predicate.get("result")
    if not isinstance(result, str) or result not in _ORDER:
        raise Refusal(Reason.STATEMENT_PREDICATE, "the test result is none", found=str(result)[:100])
    return result


def _names(statement: Statement, key: str) -> Sequence[str]:
    names = statement.predicate.get(key, [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Refusal(Reason.STATEMENT_PREDICATE, f"{key} of the test result is no list of names")
    return names
