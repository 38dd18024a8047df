"""Reading the conditions that source-controller wrote about the catalogue's mutants, and those that it never would.

`recorded/` holds conditions of the real controller beside a real API server, without the times of their last change. Of
messages that were the same for several bundles one is kept.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dhallmark.controls.consumers.source_controller_answers import read_conditions
from dhallmark.reasons import Reason
from dhallmark.verdict import Outcome

RECORDED = Path(__file__).parent / "recorded" / "source-controller-1.9.json"
ANSWERS = [pytest.param(answer, id=answer["control"]) for answer in json.loads(RECORDED.read_text(encoding="utf-8"))]
UNSIGNED = "failed to verify the signature using provider 'cosign keyless': no signatures found"
PULL = "OCIArtifactPullFailed"
DOWN = 'failed to determine artifact digest: Get "http://127.0.0.1:5000/v2/": dial tcp: connect: connection refused'


def condition(kind: str, status: str, reason: str = "VerificationError", message: str = UNSIGNED) -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": message, "observedGeneration": 1}


@pytest.mark.parametrize("answer", ANSWERS)
def test_recorded_conditions_are_read_as_the_reason_that_it_was(answer: dict[str, Any]) -> None:
    check = read_conditions(answer["conditions"])
    assert (check.reason.value if check.reason else None) == answer["reason"]
    assert check.detail


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_word_more_in_a_message_makes_the_answer_unreadable(answer: dict[str, Any]) -> None:
    if answer["reason"] is None:
        return
    changed = json.dumps(answer["conditions"])
    for word in ("failed to verify ", "failed to fetch ", "bundle does not ", "no signatures "):
        changed = changed.replace(word, word.replace(" ", " perhaps ", 1))
    check = read_conditions(json.loads(changed))
    assert (check.reason, check.outcome) == (Reason.CONSUMER_UNREADABLE, Outcome.INDETERMINATE)


@pytest.mark.parametrize("answer", ANSWERS)
def test_the_order_of_conditions_says_nothing(answer: dict[str, Any]) -> None:
    assert read_conditions(answer["conditions"][::-1]) == read_conditions(answer["conditions"])


@pytest.mark.parametrize(
    ("conditions", "reason"),
    [
        ([condition("Ready", "False"), condition("SourceVerified", "False")], Reason.SIGNATURE_NONE),
        (
            [condition("Ready", "False", PULL, DOWN), condition("FetchFailed", "True", PULL, DOWN)],
            Reason.REGISTRY_UNAVAILABLE,
        ),
        # What was verified before says nothing about why it is not ready now.
        (
            [
                condition("Ready", "False", PULL, DOWN),
                condition("FetchFailed", "True", PULL, DOWN),
                condition("SourceVerified", "True", "Succeeded", "verified signature of revision x"),
            ],
            Reason.REGISTRY_UNAVAILABLE,
        ),
        ([condition("Ready", "True", "Succeeded", "stored artifact")], None),
        ([], Reason.CONSUMER_UNREADABLE),
        ([condition("SourceVerified", "False")], Reason.CONSUMER_UNREADABLE),
        ([condition("Ready", "False")], Reason.CONSUMER_UNREADABLE),
        ([condition("Ready", "Unknown"), condition("SourceVerified", "False")], Reason.CONSUMER_UNREADABLE),
        ([condition("Ready", "False"), condition("SourceVerified", "True")], Reason.CONSUMER_UNREADABLE),
        ([condition("Ready", "True"), condition("SourceVerified", "False")], Reason.CONSUMER_UNREADABLE),
        (
            [condition("Ready", "False"), condition("SourceVerified", "False", message="another")],
            Reason.CONSUMER_UNREADABLE,
        ),
        (
            [condition("Ready", "False"), condition("SourceVerified", "False", reason="Another")],
            Reason.CONSUMER_UNREADABLE,
        ),
        ([{"type": "Ready", "status": "False"}, {"type": "SourceVerified", "status": "False"}],
         Reason.CONSUMER_UNREADABLE),
        ([{"type": "Ready"}, {}], Reason.CONSUMER_UNREADABLE),
    ],
)  # fmt: skip
def test_ready_counts_where_the_condition_that_it_sums_up_says_the_same(
    conditions: list[dict[str, Any]], reason: Reason | None
) -> None:
    assert read_conditions(conditions).reason is reason
