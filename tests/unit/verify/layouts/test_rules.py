"""Artifact rules give what in-toto's reference implementation gives."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from in_toto.exceptions import RuleVerificationError
from in_toto.models.link import Link
from in_toto.rulelib import unpack_rule
from in_toto.verifylib import RULE_TRACE, verify_item_rules

from dhallmark.reasons import Reason
from dhallmark.verify.layouts.evidence import Artifacts, StepRecord
from dhallmark.verify.layouts.model import Rule
from dhallmark.verify.layouts.rules import Side, apply_rules, require_consumed
from dhallmark.verify.refusal import Refusal

FIRST, SECOND = "first", "second"
NAMES = ["a", "b", "dir/a", "dir/b", "dir/sub/a", "out/a", "out/dir/a", "dir:dir", "dir:out/dir"]
PATTERNS = ["*", "a", "b", "dir/*", "d*", "*/a", "?", "[ab]", "[!a]", "dir:*", "out/*", "sub/a", "none", "[", "dir:dir"]
PREFIXES = ["dir", "dir/", "out", "out/dir", "dir:out", "none"]

artifacts = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["1", "2"]).map(lambda one: {"sha256": one * 64}))
generic = st.tuples(
    st.sampled_from(["CREATE", "DELETE", "MODIFY", "ALLOW", "DISALLOW", "REQUIRE", "allow", "Create"]),
    st.sampled_from(PATTERNS + NAMES),
).map(list)


@st.composite
def match_rules(draw: st.DrawFn) -> list[str]:
    words = ["MATCH", draw(st.sampled_from(PATTERNS))]
    if draw(st.booleans()):
        words += ["IN", draw(st.sampled_from(PREFIXES))]
    words += ["WITH", draw(st.sampled_from(["MATERIALS", "PRODUCTS", "products"]))]
    if draw(st.booleans()):
        words += ["IN", draw(st.sampled_from(PREFIXES))]
    return [*words, "FROM", draw(st.sampled_from([FIRST, SECOND, "nobody"]))]


rule_sets = st.lists(st.one_of(generic, match_rules()), max_size=6)


def of(rules: list[list[str]]) -> list[Rule]:
    return [Rule(words=tuple(words), data=unpack_rule(words)) for words in rules]


def by_reference(side: str, rules: list[list[str]], links: Mapping[str, Link]) -> set[str] | None:
    """What is left over by in-toto itself; None where it refuses."""
    try:
        verify_item_rules(FIRST, side, rules, links)
    except RuleVerificationError:
        return None
    return set(RULE_TRACE["trace"][-1]["queue"]) if rules else set(getattr(links[FIRST], side))


def by_us(side: Side, rules: list[list[str]], chain: Mapping[str, StepRecord]) -> set[str] | None:
    try:
        return apply_rules(side, of(rules), chain[FIRST], chain)
    except Refusal:
        return None


@given(side=st.sampled_from(Side), rules=rule_sets, sets=st.tuples(artifacts, artifacts, artifacts, artifacts))
@example(
    side=Side.PRODUCTS,
    rules=[["MATCH", "*", "IN", "dir:out", "WITH", "PRODUCTS", "IN", "dir:", "FROM", SECOND], ["DISALLOW", "*"]],
    sets=({}, {"dir:out/dir": {"sha256": "1" * 64}}, {}, {"dir:dir": {"sha256": "1" * 64}}),
)
def test_same_verdict_and_same_rest_as_in_toto(
    side: Side, rules: list[list[str]], sets: tuple[Artifacts, Artifacts, Artifacts, Artifacts]
) -> None:
    chain = {
        FIRST: StepRecord(name=FIRST, materials=sets[0], products=sets[1]),
        SECOND: StepRecord(name=SECOND, materials=sets[2], products=sets[3]),
    }
    links = {
        name: Link(name=name, materials=dict(record.materials), products=dict(record.products))
        for name, record in chain.items()
    }
    assert by_us(side, rules, chain) == by_reference(str(side), rules, links)


def test_what_no_rule_is_about_is_refused() -> None:
    record = StepRecord(name=FIRST, materials={}, products={})
    require_consumed(Side.PRODUCTS, set(), record)
    with pytest.raises(Refusal) as refused:
        require_consumed(Side.PRODUCTS, {f"file{number}" for number in range(8)}, record)
    assert refused.value.reason is Reason.STEP_ARTIFACT_UNCHECKED
    assert refused.value.evidence["found"] == "file0, file1, file2, file3, file4 and 3 more"


def test_a_refusal_names_the_rule_and_what_it_found() -> None:
    record = StepRecord(name=FIRST, materials={}, products={"evil": {"sha256": "1" * 64}})
    with pytest.raises(Refusal) as refused:
        apply_rules(Side.PRODUCTS, of([["ALLOW", "good"], ["DISALLOW", "*"]]), record, {FIRST: record})
    assert refused.value.reason is Reason.STEP_ARTIFACT_RULE
    assert refused.value.evidence == {"rule": "DISALLOW *", "found": "evil"}
