"""What a judgement tells its caller, whatever was said inside."""

from __future__ import annotations

import json
import socket

import pytest

from dhallmark.controls.judgement import _conclude
from dhallmark.reasons import Reason

ISOLATED = b'{"isolated": true}\n'
BEFORE = b'{"before": {"outcome": "accepted", "reason": null, "words": ""}}\n'
END = b'{"reason": "consumer.limit", "detail": "it took 4 GiB"}\n'
ANSWER: dict[str, object] = {"before": {"outcome": "accepted", "reason": None, "words": ""}}

SAID: list[tuple[bytes, str, dict[str, object], Reason, str]] = [
    (b"", "", {}, Reason.ISOLATION_UNAVAILABLE, "without a word"),
    (b"", "no answer in 1 s", {}, Reason.ISOLATION_UNAVAILABLE, "no answer"),
    (ISOLATED, "", {}, Reason.CONSUMER_UNAVAILABLE, "without a word"),
    (ISOLATED + BEFORE, "no answer in 1 s", ANSWER, Reason.CONSUMER_LIMIT, "no answer"),
    (ISOLATED + BEFORE + END, "", ANSWER, Reason.CONSUMER_LIMIT, "4 GiB"),
    # A line that is cut off, and what is no answer
    (ISOLATED + BEFORE[:-1], "", {}, Reason.CONSUMER_UNAVAILABLE, ""),
    (ISOLATED + b"junk\n5\n[]\nnull\n\xff\xfe\n" + BEFORE, "", ANSWER, Reason.CONSUMER_UNAVAILABLE, ""),
    (ISOLATED + b"[" * 100_000 + b"\n" + BEFORE, "", ANSWER, Reason.CONSUMER_UNAVAILABLE, ""),
    (ISOLATED + b'{"reason": "made up"}\n', "", {}, Reason.CONSUMER_UNAVAILABLE, ""),
    (ISOLATED + b'{"reason": ["consumer.limit"]}\n', "", {}, Reason.CONSUMER_UNAVAILABLE, ""),
    (ISOLATED + b'{"anything": 1}\n' + BEFORE, "", ANSWER, Reason.CONSUMER_UNAVAILABLE, ""),
]


@pytest.mark.parametrize(("said", "late", "answers", "reason", "detail"), SAID)
def test_the_caller_hears_what_was_answered_and_why_the_rest_was_not(
    said: bytes, late: str, answers: dict[str, object], reason: Reason, detail: str
) -> None:
    caller, keeper = socket.socketpair()
    with caller, keeper:
        _conclude(said, keeper, late=late)
        body = json.loads(caller.recv(1_000_000))
    assert (body["answers"], body["reason"]) == (answers, reason.value)
    assert detail in body["detail"]
