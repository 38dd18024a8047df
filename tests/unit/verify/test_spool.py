"""Verdicts put aside: in the order of their targets, whatever order they came in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.errors import ExitCode
from dhallmark.reasons import Reason
from dhallmark.verdict import Check, Outcome, Verdict
from dhallmark.verify import spool as module
from dhallmark.verify.judged import Judged
from dhallmark.verify.spool import Spool

REASONS = [None, Reason.SUBJECT_MISMATCH, Reason.REGISTRY_UNAVAILABLE]


def verdict(number: int, reason: Reason | None = None) -> Verdict:
    return Verdict.of(f"é {number}", checks=[Check(name="x", reason=reason)])


@pytest.fixture
def spool() -> Iterator[Spool]:
    made = Spool()
    yield made
    made.close()


@given(st.permutations(range(8)), st.lists(st.sampled_from(REASONS), min_size=8, max_size=8))
def test_verdicts_come_back_in_the_order_of_their_targets(order: list[int], reasons: list[Reason | None]) -> None:
    spool = Spool()
    try:
        for number in order:
            spool.add(Judged.of(number, verdict(number, reasons[number])))
        assert list(spool) == [verdict(number, reasons[number]) for number in range(8)]
        assert [one.reason for one in spool.refused()] == [reason for reason in reasons if reason]
        whole = Verdict.of("all", parts=spool)
        assert (len(spool), spool.outcome, spool.exit_code) == (8, whole.outcome, whole.exit_code)
        assert spool.reasons.total() == sum(reason is not None for reason in reasons)
    finally:
        spool.close()


def test_what_is_read_between_verdicts_does_not_move_where_the_next_one_goes(spool: Spool) -> None:
    for number in range(4):
        spool.add(Judged.of(number, verdict(number)))
        assert next(iter(spool)) == verdict(0)
    assert list(spool) == [verdict(number) for number in range(4)]


def test_nothing_is_no_success(spool: Spool) -> None:
    assert (len(spool), spool.outcome, spool.exit_code) == (0, Outcome.INDETERMINATE, ExitCode.INDETERMINATE)
    assert list(spool.lines()) == []


def test_a_target_without_a_verdict_leaves_a_gap_and_no_rubbish(spool: Spool) -> None:
    spool.add(Judged.of(2, verdict(2)))
    assert list(spool) == [verdict(2)]


def test_many_verdicts_are_not_held_in_memory(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_IN_MEMORY", 100)
    small = Spool()
    try:
        for number in range(50):
            small.add(Judged.of(number, verdict(number)))
        assert small._file._rolled  # type: ignore[attr-defined]
        assert [one.subject for one in small] == [f"é {number}" for number in range(50)]
    finally:
        small.close()
