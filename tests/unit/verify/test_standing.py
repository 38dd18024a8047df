"""Whether policy, trust root and signatures are still to be believed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dhallmark.config.policy import Origin, Policy, TrustRootRule
from dhallmark.digest import Digest
from dhallmark.reasons import Reason
from dhallmark.statement import COSIGN_SIGN_V1
from dhallmark.verify import standing
from dhallmark.verify.refusal import Refusal

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ROOT, OLD_ROOT = Digest.of(b"root"), Digest.of(b"old root")


def reason_of(check: Callable[[], object]) -> Reason | None:
    try:
        check()
    except Refusal as refusal:
        return refusal.reason
    return None


def make_policy(**more: object) -> Policy:
    return Policy.model_validate(
        {
            "schemaVersion": 1,
            "identities": {"release": {"issuer": "https://issuer.test", "subject": "https://release.test"}},
            "statements": [{"predicateType": COSIGN_SIGN_V1, "identities": ["release"]}],
            **more,
        }
    )


@pytest.mark.parametrize(
    ("expires", "reason"),
    [
        (None, None),
        ("2026-11-22T12:00:00Z", None),
        ("2026-11-22T11:59:59Z", Reason.POLICY_EXPIRED),
        ("2026-11-22T12:59:59+01:00", Reason.POLICY_EXPIRED),
    ],
)
def test_a_policy_ends(expires: str | None, reason: Reason | None) -> None:
    policy = make_policy(expires=expires)
    assert reason_of(lambda: standing.require_current(policy, NOW)) is reason


@pytest.mark.parametrize(
    ("version", "least", "reason"),
    [
        (None, 0, None),
        (None, 1, Reason.POLICY_ROLLBACK),
        (3, 3, None),
        (4, 3, None),
        (2, 3, Reason.POLICY_ROLLBACK),
    ],
)
def test_an_older_policy_is_not_put_back(version: int | None, least: int, reason: Reason | None) -> None:
    policy = make_policy(version=version).read_from(Origin(minimum_version=least))
    assert reason_of(lambda: standing.require_version(policy)) is reason


ACCEPTED: dict[str, Any] = {
    "accepted": [
        {"digest": ROOT, "confirmed": "2026-11-01T00:00:00Z"},
        {"digest": Digest.of(b"next root"), "confirmed": "2026-11-20T00:00:00Z"},
    ]
}


@pytest.mark.parametrize(
    ("rule", "digest", "reason"),
    [
        (ACCEPTED, ROOT, None),
        (ACCEPTED, OLD_ROOT, Reason.TRUST_ROOT_UNKNOWN),
        (ACCEPTED, None, Reason.TRUST_ROOT_UNKNOWN),
        ({**ACCEPTED, "maxAge": "30d"}, ROOT, None),
        ({**ACCEPTED, "maxAge": "7d"}, ROOT, Reason.TRUST_ROOT_STALE),
        ({**ACCEPTED, "maxAge": "7d"}, Digest.of(b"next root"), None),
        ({**ACCEPTED, "maxAge": "7d"}, OLD_ROOT, Reason.TRUST_ROOT_UNKNOWN),
    ],
)
def test_an_old_or_stale_trust_root_is_refused(
    rule: dict[str, Any], digest: Digest | None, reason: Reason | None
) -> None:
    demand = TrustRootRule.model_validate(rule)
    assert reason_of(lambda: standing.require_trust_root(demand, digest, NOW)) is reason


@pytest.mark.parametrize(
    ("ages", "reason"),
    [
        ([timedelta(days=1)], None),
        ([timedelta(days=7)], None),
        ([timedelta(days=7, seconds=1)], Reason.FRESHNESS_TOO_OLD),
        ([timedelta(days=6), timedelta(days=2)], None),
        # A signature by a key that somebody had stamped once more.
        ([timedelta(days=900), timedelta(days=2)], Reason.FRESHNESS_TOO_OLD),
        ([timedelta(minutes=-1)], None),
        ([timedelta(minutes=-6)], Reason.FRESHNESS_FUTURE),
        ([timedelta(days=1), timedelta(days=-400)], Reason.FRESHNESS_FUTURE),
        ([], Reason.TIMESTAMP_MISSING),
    ],
)
def test_every_verified_time_must_be_near(ages: list[timedelta], reason: Reason | None) -> None:
    times = [NOW - age for age in ages]
    assert reason_of(lambda: standing.require_fresh(times, timedelta(days=7), NOW)) is reason
