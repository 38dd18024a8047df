"""Verdicts as lines: what `to_json` says, to the byte, and the same verdict again."""

from __future__ import annotations

import pickle

from hypothesis import given
from hypothesis import strategies as st

from dhallmark import strictjson
from dhallmark.reasons import Reason
from dhallmark.verdict import Check, Verdict
from dhallmark.verify.judged import Judged

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
CHECKS = st.lists(
    st.builds(
        Check,
        name=TEXT,
        reason=st.none() | st.sampled_from(Reason),
        detail=TEXT,
        evidence=st.dictionaries(TEXT, TEXT, max_size=3),
    ),
    max_size=3,
).map(tuple)
VERDICTS = st.recursive(
    st.builds(Verdict, subject=TEXT, checks=CHECKS),
    lambda inner: st.builds(
        Verdict,
        subject=TEXT,
        checks=CHECKS,
        parts=st.lists(inner, max_size=3).map(tuple),
        ignored=st.lists(inner, max_size=2).map(tuple),
    ),
    max_leaves=6,
)


@given(VERDICTS)
def test_a_line_is_the_verdicts_json_and_holds_all_of_it(verdict: Verdict) -> None:
    judged = Judged.of(7, verdict)
    assert judged.line == strictjson.dump_compact(verdict.to_json())
    assert (judged.number, judged.outcome, judged.reason) == (7, verdict.outcome, verdict.reason)
    assert judged.verdict == verdict
    assert pickle.loads(pickle.dumps(judged)) == judged  # noqa: S301 - our own
