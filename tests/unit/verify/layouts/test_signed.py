"""Whether a signed layout is believed: by its bundle, its signer, its expiry, its version."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.config.identities import IdentityRule
from dhallmark.config.policy import LayoutRule
from dhallmark.digest import Digest
from dhallmark.reasons import Reason
from dhallmark.statement import COSIGN_SIGN_V1, Statement, Subject
from dhallmark.verdict import Outcome
from dhallmark.verify.identities import IdentityMatcher
from dhallmark.verify.layouts.signed import SignedLayout, no_layout, open_layout
from dhallmark.verify.terms import Terms

if TYPE_CHECKING:
    from tests.unit.verify.conftest import Instance, Leaf
    from tests.unit.verify.layouts.conftest import World

Json = dict[str, Any]
ISSUER = "https://token.actions.githubusercontent.com"
OWNER = "https://github.com/acme/security/.github/workflows/layout.yml@refs/heads/main"
IDENTITIES = IdentityMatcher(
    {
        "security": IdentityRule.model_validate({"issuer": ISSUER, "subject": OWNER}),
        "release": IdentityRule.model_validate({"issuer": ISSUER, "subject": "https://github.com/acme/release"}),
    }
)
Sign = Callable[..., bytes]


@pytest.fixture
def sign(instance: Instance, make_leaf: type[Leaf]) -> Sign:
    def bundle(payload: bytes, *, subject: str = OWNER, **how: Any) -> bytes:  # noqa: ANN401
        return json.dumps(instance.sign(payload, leaf=make_leaf.of(subject), **how)).encode()

    return bundle


def opened(content: bytes, instance: Instance, *, now: datetime | None = None, **rule: object) -> SignedLayout:
    return open_layout(
        content,
        LayoutRule.model_validate({"identities": ["security"], **rule}),
        terms=Terms(instance.trust(), clock=lambda: now or datetime.now(UTC)),
        identities=IDENTITIES,
    )


def test_believes_a_layout_of_its_owner(world: World, sign: Sign, instance: Instance) -> None:
    found = opened(sign(world.payload), instance, minimumVersion=3)
    assert found.verdict.outcome is Outcome.ACCEPTED, found.verdict.to_json()
    assert found.layout is not None
    assert found.layout.version == 3
    seen = {name: value for check in found.verdict.checks for name, value in check.evidence.items()}
    assert seen == {"identity": "security", "version": "3"}


def test_refuses_a_layout_of_who_releases(world: World, sign: Sign, instance: Instance) -> None:
    found = opened(sign(world.payload, subject="https://github.com/acme/release"), instance)
    assert (found.verdict.reason, found.layout) == (Reason.IDENTITY_SUBJECT_MISMATCH, None)


def test_refuses_a_tampered_layout(world: World, sign: Sign, instance: Instance) -> None:
    other, good = json.loads(sign(b"{}")), json.loads(sign(world.payload))
    other["dsseEnvelope"]["payload"] = good["dsseEnvelope"]["payload"]
    assert opened(json.dumps(other).encode(), instance).verdict.reason is Reason.SIGNATURE_INVALID


def test_refuses_another_instances_layout(world: World, sign: Sign, stranger: Instance) -> None:
    assert opened(sign(world.payload), stranger).layout is None


def test_refuses_what_is_no_layout(sign: Sign, instance: Instance) -> None:
    subjects = [Subject("x", Digest.of(b"x"))]
    statement = Statement.build(predicate_type=COSIGN_SIGN_V1, subjects=subjects, predicate={})
    for payload in (b"{}", b"text", statement.payload):
        assert opened(sign(payload), instance).verdict.reason is Reason.LAYOUT_MALFORMED


def test_refuses_another_payload_type(world: World, sign: Sign, instance: Instance) -> None:
    bundle = sign(world.payload, payload_type="application/vnd.in-toto.layout+json")
    assert opened(bundle, instance).verdict.reason is Reason.ENVELOPE_PAYLOAD_TYPE


def test_refuses_an_expired_layout(world: World, sign: Sign, instance: Instance) -> None:
    """P17: by the verifier's clock, however valid the signature was when it was made."""
    bundle = sign(world.payload)
    last = datetime(2099, 1, 1, tzinfo=UTC)
    assert opened(bundle, instance, now=last).verdict.outcome is Outcome.ACCEPTED
    late = opened(bundle, instance, now=last + timedelta(seconds=1))
    assert (late.verdict.reason, late.layout) == (Reason.LAYOUT_EXPIRED, None)


def test_refuses_an_older_layout(world: World, sign: Sign, instance: Instance) -> None:
    """P19: a valid layout that the policy has left behind."""
    assert opened(sign(world.payload), instance, minimumVersion=4).verdict.reason is Reason.LAYOUT_ROLLBACK
    world.layout.pop("version")
    assert opened(sign(world.payload), instance, minimumVersion=1).verdict.reason is Reason.LAYOUT_ROLLBACK
    assert opened(sign(world.payload), instance).verdict.outcome is Outcome.ACCEPTED


def test_refuses_a_layout_that_was_signed_too_early(world: World, sign: Sign, instance: Instance) -> None:
    bundle = sign(world.payload)
    for since, reason in (("2020-01-01T00:00:00Z", None), ("2098-01-01T00:00:00Z", Reason.LAYOUT_ROLLBACK)):
        assert opened(bundle, instance, signedSince=since).verdict.reason is reason


def test_no_layout_is_a_finding() -> None:
    missing = no_layout("none is attached")
    assert (missing.verdict.reason, missing.layout) == (Reason.LAYOUT_MISSING, None)


def test_any_bytes_give_a_verdict(instance: Instance) -> None:
    @given(st.binary(max_size=300))
    def check(content: bytes) -> None:
        assert opened(content, instance).layout is None

    check()
