"""What consumers do not check is said as they were seen: the table of limits and that of blind spots agree."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.unit.controls.consumers.conftest import ISSUER, RELEASE, SIGNATURE
from tests.unit.gitops.write.conftest import PROVENANCE

from dhallmark.config.gitops import Follower
from dhallmark.config.policy import Policy
from dhallmark.controls.consumers.dialect import DHALLMARK, DIALECTS, FLUX_1_9, KYVERNO
from dhallmark.gitops.write.limits import EXPRESSED, NAMES, SEES, Topic, demands, limits

ALIKE = {
    Follower.FLUX: FLUX_1_9,
    Follower.FLUX_HELM: FLUX_1_9,
    Follower.FLUX_INSTANCE: FLUX_1_9,
    Follower.KYVERNO: KYVERNO,
    Follower.ARGO_CD: DHALLMARK,
    Follower.MERGE_CHECK: DHALLMARK,
}
"""The consumers that were asked about the catalogue, by what is written for them."""


@pytest.fixture
def everything(policy: Callable[..., Policy]) -> Policy:
    """A policy that makes every kind of demand."""
    pinned = {
        "issuer": ISSUER,
        "subject": "https://github.com/acme/x/.github/workflows/a.yml@refs/heads/main",
        "extensions": {"sourceRepositoryURI": "https://github.com/acme/x"},
        "reachable": {"buildSignerDigest": {"bundle": "w.bundle", "branches": ["refs/heads/main"]}},
    }
    return policy(
        identities={
            "release": RELEASE,
            "pinned": pinned,
            "key": {"key": "key.pem", "validUntil": "2027-01-01T00:00:00Z"},
        },
        statements=[
            {**SIGNATURE, "identities": ["release", "pinned"], "threshold": 2},
            {**PROVENANCE, "maxAge": "30d"},
            {"predicateType": "https://in-toto.io/attestation/link/v0.3", "identities": ["key"], "steps": ["render"]},
            {
                "predicateType": "https://in-toto.io/attestation/test-result/v0.1",
                "identities": ["key"],
                "passedTests": ["x"],
            },
            {
                "predicateType": "https://slsa.dev/verification_summary/v1",
                "identities": ["key"],
                "summary": {"verifiers": ["https://v"]},
            },
        ],
        source={"repository": "https://github.com/acme/platform"},
        builders=["https://b"],
        versions={"minimum": "1.0.0"},
        expires="2027-06-30T00:00:00Z",
        layout={"identities": ["key"]},
        trustRoot={"accepted": [{"digest": "sha256:" + "0" * 64, "confirmed": "2026-11-01T00:00:00Z"}]},
    )


def test_every_kind_of_demand_is_known(everything: Policy) -> None:
    assert {demand.topic for demand in demands(everything, private=True)} == set(Topic)


@pytest.mark.parametrize("consumer", ALIKE)
def test_what_is_said_not_to_be_checked_is_what_the_consumer_is_blind_to(
    everything: Policy, consumer: Follower
) -> None:
    blind = DIALECTS[ALIKE[consumer]].blind
    for demand in demands(everything, private=True):
        if demand.topic in EXPRESSED[consumer]:
            assert not set(demand.reasons) & blind.keys(), demand
        elif ALIKE[consumer] != DHALLMARK:
            assert set(demand.reasons) <= blind.keys(), demand


@pytest.mark.parametrize("consumer", Follower)
def test_every_demand_is_either_expressed_or_told(everything: Policy, consumer: Follower) -> None:
    told = {limit.demand for limit in limits(everything, consumer, private=True)}
    for demand in demands(everything, private=True):
        assert (demand in told) != (demand.topic in EXPRESSED[consumer])
    assert SEES[consumer]
    assert all(
        str(limit).startswith(f"not expressed by {NAMES[consumer]}: ")
        for limit in limits(everything, consumer, private=True)
    )
