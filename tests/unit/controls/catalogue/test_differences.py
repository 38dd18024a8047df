"""What other consumers say: each word of it about a control and a consumer that exist."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dhallmark.control import Control
from dhallmark.controls.catalogue import CONTROLS
from dhallmark.controls.catalogue.differences import DIFFERENCES, as_seen
from dhallmark.controls.catalogue.expected import (
    COSIGN,
    DHALLMARK,
    FLUX,
    OTHERS,
    accepted_by_all,
    by_all,
    hole,
    only,
    rejected,
)
from dhallmark.controls.consumers import CONSUMERS
from dhallmark.controls.consumers.dialect import DIALECTS
from dhallmark.reasons import Reason
from dhallmark.verdict import Outcome


def test_every_consumer_has_a_dialect() -> None:
    assert set(DIALECTS) == set(CONSUMERS)
    assert DIALECTS[DHALLMARK].coarse == {}
    assert DIALECTS[DHALLMARK].blind == {}


@pytest.mark.parametrize("name", OTHERS)
def test_a_consumer_is_blind_to_a_reason_or_says_it_in_its_way(name: str) -> None:
    dialect = DIALECTS[name]
    assert not set(dialect.blind) & set(dialect.coarse)
    assert all(len(why) > len(name) for why in dialect.blind.values())


def test_every_difference_is_about_a_control_and_is_one() -> None:
    known = {control.id for control in CONTROLS}
    assert set(DIFFERENCES) <= known
    for per_consumer in DIFFERENCES.values():
        for names in per_consumer:
            assert set(names) <= set(OTHERS)


def test_a_difference_replaces_what_the_dialect_has(any_control: Control) -> None:
    seen = as_seen(replace(any_control, id="T3-origin", expect=by_all(Reason.LOG_ORIGIN)))
    assert seen.expect[DHALLMARK] == rejected(Reason.LOG_ORIGIN)
    assert seen.expect[COSIGN] == rejected(Reason.LOG_CHECKPOINT)
    assert seen.expect["sigstore-python"].out_of_scope
    unasked = as_seen(replace(any_control, id="C9", expect=by_all(Reason.IDENTITY_SUBJECT_MISMATCH)))
    assert set(unasked.expect) == set(DIALECTS) - {"sigstore-python"}
    assert as_seen(any_control).expect == any_control.expect


def test_what_is_said_of_all_follows_the_dialects() -> None:
    expected = by_all(Reason.STATEMENT_MISSING, but={FLUX: rejected(Reason.SIGNATURE_NONE), "kyverno": None})
    assert expected[DHALLMARK] == rejected(Reason.STATEMENT_MISSING)
    assert expected[COSIGN].outcome is Outcome.ACCEPTED
    assert expected[COSIGN].out_of_scope
    assert [expected[name] for name in FLUX] == [rejected(Reason.SIGNATURE_NONE)] * len(FLUX)
    assert "kyverno" not in expected
    with pytest.raises(KeyError, match="no consumer 'flux'"):
        by_all(Reason.STATEMENT_MISSING, but={"flux": None})


def test_the_other_forms_of_an_expectation() -> None:
    assert set(accepted_by_all()) == set(DIALECTS)
    assert only(COSIGN, hole("why")) == {COSIGN: hole("why")}
    assert rejected(Reason.REGISTRY_UNAVAILABLE).outcome is Outcome.INDETERMINATE


@pytest.fixture
def any_control() -> Control:
    return next(control for control in CONTROLS if control.id == "S1")
