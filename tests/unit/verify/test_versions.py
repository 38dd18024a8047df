"""Semantic versions and the least that may still be deployed."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.config.policy import VersionRule
from dhallmark.reasons import Reason
from dhallmark.verify.refusal import Refusal
from dhallmark.verify.versions import precedence, require_version

# The order that Semantic Versioning 2.0.0 gives in its section 11, and some of our own.
ASCENDING = [
    *("0.0.1", "0.9.10", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2"),
    *("1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1-0", "1.0.1", "1.2.0", "1.10.0", "2.0.0-1", "2.0.0"),
]


@pytest.mark.parametrize(("lower", "higher"), list(pairwise(ASCENDING)))
def test_versions_stand_in_their_order(lower: str, higher: str) -> None:
    first, second = precedence(lower), precedence(higher)
    assert first is not None
    assert second is not None
    assert first < second


@pytest.mark.parametrize("same", ["v1.2.3", "1.2.3+build.7", "1.2.3+001"])
def test_builds_and_a_leading_v_make_no_difference(same: str) -> None:
    assert precedence(same) == precedence("1.2.3")


@pytest.mark.parametrize(
    "text", ["", "1", "1.2", "01.2.3", "1.2.3-", "1.2.3-01", "1.2.3-a..b", "1.2.3\n", "\u0663.0.0", "1" * 300]
)
def test_what_is_no_version_has_no_place(text: str) -> None:
    assert precedence(text) is None


@given(st.text(max_size=30))
def test_any_text_is_a_version_or_none(text: str) -> None:
    assert precedence(text) is None or text[0] in "v0123456789"


PROD = "registry.test/acme/prod"


@pytest.mark.parametrize(
    ("rule", "version", "reason"),
    [
        ({"minimum": "1.4.0"}, "1.4.0", None),
        ({"minimum": "1.4.0"}, "1.10.0", None),
        ({"minimum": "1.4.0"}, "1.3.9", Reason.VERSION_ROLLBACK),
        ({"minimum": "1.4.0"}, "1.4.0-rc.1", Reason.VERSION_ROLLBACK),
        ({"minimum": "1.4.0"}, None, Reason.STATEMENT_PREDICATE),
        ({"minimum": "1.4.0"}, 2, Reason.STATEMENT_PREDICATE),
        ({"minimum": "1.4.0"}, "latest", Reason.STATEMENT_PREDICATE),
        ({"artifacts": {f"{PROD}/web": "1.4.0"}}, "1.3.0", Reason.VERSION_ROLLBACK),
        ({"artifacts": {PROD: "1.4.0"}}, "1.3.0", Reason.VERSION_ROLLBACK),
        ({"artifacts": {f"{PROD}/": "1.4.0"}}, "1.3.0", Reason.VERSION_ROLLBACK),
        # By whole parts of the name: another repository is not meant.
        ({"artifacts": {f"{PROD}/we": "1.4.0"}}, "1.3.0", None),
        ({"artifacts": {"registry.test/acme/dev": "1.4.0"}}, "1.3.0", None),
        ({"minimum": "1.0.0", "artifacts": {PROD: "1.2.0", f"{PROD}/web": "1.1.0"}}, "1.1.5", Reason.VERSION_ROLLBACK),
        ({"minimum": "1.0.0", "artifacts": {PROD: "1.2.0", f"{PROD}/web": "1.1.0"}}, "1.2.0", None),
        ({"minimum": "1.0.0", "parameter": "tag"}, "9.9.9", Reason.STATEMENT_PREDICATE),
    ],
)
def test_an_older_release_is_refused(rule: dict[str, Any], version: object, reason: Reason | None) -> None:
    demand = VersionRule.model_validate(rule)
    if reason is None:
        assert require_version({"version": version}, [f"{PROD}/web"], demand) == version
        return
    with pytest.raises(Refusal) as refusal:
        require_version({"version": version}, [f"{PROD}/web"], demand)
    assert refusal.value.reason is reason
