"""The catalogue: what each control must say of itself, and how controls are chosen."""

from __future__ import annotations

import re

import pytest

from dhallmark.control import Control, Group
from dhallmark.controls.case import Case
from dhallmark.controls.catalogue import CONTROLS, FIRST, select
from dhallmark.controls.consumers import CONSUMERS, make_consumer
from dhallmark.controls.consumers.dialect import DHALLMARK, DIALECTS, FLUX_1_9
from dhallmark.errors import UsageError
from dhallmark.verdict import Outcome, outcome_of

DIGEST = "sha256:" + "ab" * 32


def test_ids_are_unique_and_none_is_the_family_of_another() -> None:
    ids = [control.id for control in CONTROLS]
    assert len(set(ids)) == len(ids)
    assert not set(ids) & {name.partition("-")[0] for name in ids if "-" in name}


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.id)
def test_a_control_says_what_each_consumer_must_answer(control: Control) -> None:
    assert control.title
    assert control.flaw
    assert control.expect
    assert set(control.expect) <= set(CONSUMERS)
    positive = control.expect[DHALLMARK].outcome is Outcome.ACCEPTED
    for name, expectation in control.expect.items():
        accepted = expectation.outcome is Outcome.ACCEPTED
        assert (expectation.reason is None) is accepted
        # What should have been refused and was not is a hole, said as such; dhallmark must leave none open unsaid.
        if accepted:
            assert bool(expectation.out_of_scope) is not positive, name
        elif expectation.out_of_scope:
            # An outage that was taken for something else: refused, and for a reason that is not the true one.
            assert control.expect[DHALLMARK].outcome is Outcome.INDETERMINATE, name
            assert expectation.outcome is Outcome.REJECTED, name
        if expectation.reason is not None:
            assert expectation.outcome is outcome_of(expectation.reason)
    case = Case.of(control, reference=f"r.test/web@{DIGEST}", subject_name="r.test/web", good=DIGEST, mutant=DIGEST)
    assert Case.model_validate(case.model_dump(mode="json", by_alias=True)) == case


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.id)
def test_dhallmark_is_asked_about_everything_and_leaves_no_hole_open(control: Control) -> None:
    assert not control.expect[DHALLMARK].out_of_scope


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.id)
def test_a_hole_is_a_sentence_about_whoever_leaves_it_open(control: Control) -> None:
    for name, expectation in control.expect.items():
        if expectation.out_of_scope:
            title, says = DIALECTS[name].title, expectation.out_of_scope
            assert re.fullmatch(rf"{re.escape(title)} [a-z]+s [^.]+", says), says


def test_the_hole_that_most_are_not_aware_of_is_said_in_plain_words() -> None:
    control = next(control for control in CONTROLS if control.id == "P3-alone")
    assert control.expect[FLUX_1_9].out_of_scope == (
        "Flux 2.9 accepts any signed statement of this identity about the digest, a failed test result included"
    )


def test_what_must_be_accepted_is_known_as_such() -> None:
    positive = {control.id for control in CONTROLS if control.expect[DHALLMARK].outcome is Outcome.ACCEPTED}
    mine = {"S0", "S9", "T0", "C14", "R5-beside"}
    assert positive >= mine
    assert all(name.startswith("R9-") for name in positive - mine)


def test_a_release_runs_the_few_that_matter_most() -> None:
    families = {control.id.partition("-")[0] for control in FIRST}
    assert families == {"S1", "S2", "S6", "C1", "C2", "P1"}
    assert select(first=True) == FIRST
    assert [control.id for control in select(first=True, only=["S9"])] == [
        control.id for control in CONTROLS if control.release or control.id == "S9"
    ]


def ids_of(group: Group) -> list[str]:
    return [control.id for control in CONTROLS if control.group is group]


@pytest.mark.parametrize(
    ("only", "groups", "ids"),
    [
        (("S1",), (), ["S1"]),
        (("S2",), (), ["S2-repacked", "S2-served"]),
        (("P1-other",), (), ["P1-other"]),
        ((), (Group.CERTIFICATE,), ids_of(Group.CERTIFICATE)),
        (("S1",), (Group.CERTIFICATE,), ["S1", *ids_of(Group.CERTIFICATE)]),
        ((), (), [control.id for control in CONTROLS]),
    ],
)
def test_controls_are_chosen_by_id_family_and_group(
    only: tuple[str, ...], groups: tuple[Group, ...], ids: list[str]
) -> None:
    assert [control.id for control in select(only=only, groups=groups)] == ids


def test_what_does_not_exist_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="S99"):
        select(only=["S1", "S99"])
    with pytest.raises(UsageError, match="nobody"):
        make_consumer("nobody")


@pytest.mark.parametrize("name", CONSUMERS)
def test_a_consumer_knows_its_name(name: str) -> None:
    assert make_consumer(name).name == name
