"""Who a signer is by the policy: certificates by issuer, subject, kind and extensions; keys by themselves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dhallmark.config.policy import Origin, Policy
from dhallmark.digest import Digest
from dhallmark.errors import ConfigError
from dhallmark.identity import EXTENSION_OIDS, Identity, KeyIdentity, Signatory, SubjectKind
from dhallmark.reasons import Reason
from dhallmark.statement import COSIGN_SIGN_V1
from dhallmark.verify.ancestry import Ancestry
from dhallmark.verify.identities import IdentityMatcher, managed_keys
from dhallmark.verify.refusal import Refusal

ISSUER = "https://token.actions.githubusercontent.com"
SUBJECT = "https://github.com/acme/platform/.github/workflows/release.yml@refs/heads/main"
RELEASE = Identity(issuer=ISSUER, subject=SUBJECT)
KEY = ec.generate_private_key(ec.SECP256R1()).public_key()
OTHER_KEY = ed25519.Ed25519PrivateKey.generate().public_key()


def pem(key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def fingerprint(key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey) -> KeyIdentity:
    return KeyIdentity(fingerprint=Digest.of(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)))


def make_policy(folder: Path, **identities: dict[str, Any]) -> Policy:
    """A policy with these identities, read from `folder`."""
    policy = Policy.model_validate(
        {
            "schemaVersion": 1,
            "identities": identities,
            "statements": [{"predicateType": COSIGN_SIGN_V1, "identities": list(identities)}],
        }
    )
    return policy.read_from(Origin(folder=folder))


def reason_of(policy: Policy, signatory: Signatory) -> Reason | None:
    try:
        IdentityMatcher.of(policy).require(signatory, list(policy.identities))
    except Refusal as refusal:
        return refusal.reason
    return None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "release.pem").write_bytes(pem(KEY))
    (tmp_path / "keys" / "other.pem").write_bytes(pem(OTHER_KEY))
    return tmp_path


@pytest.mark.parametrize(
    ("rule", "subject", "kind", "reason"),
    [
        ({"subject": SUBJECT}, SUBJECT, SubjectKind.URI, None),
        # An e-mail account that is spelt like the workflow (C11).
        ({"subject": SUBJECT}, SUBJECT, SubjectKind.EMAIL, Reason.IDENTITY_SUBJECT_KIND),
        ({"subject": SUBJECT}, SUBJECT, SubjectKind.OTHER, Reason.IDENTITY_SUBJECT_KIND),
        ({"subjectRegExp": ".*"}, "ops@acme.test", SubjectKind.EMAIL, Reason.IDENTITY_SUBJECT_KIND),
        ({"subjectRegExp": ".*", "subjectKind": "email"}, "ops@acme.test", SubjectKind.EMAIL, None),
        ({"subjectRegExp": ".*", "subjectKind": "email"}, SUBJECT, SubjectKind.URI, Reason.IDENTITY_SUBJECT_KIND),
        ({"subject": "ops@acme.test"}, "ops@acme.test", SubjectKind.EMAIL, None),
        ({"subject": "ops@acme.test"}, "ops@acme.test", SubjectKind.URI, Reason.IDENTITY_SUBJECT_KIND),
        ({"subject": "ops!acme.test", "subjectKind": "other"}, "ops!acme.test", SubjectKind.OTHER, None),
    ],
)
def test_the_subject_must_be_of_its_kind(
    tmp_path: Path, rule: dict[str, Any], subject: str, kind: SubjectKind, reason: Reason | None
) -> None:
    policy = make_policy(tmp_path, release={"issuer": ISSUER, **rule})
    assert reason_of(policy, replace(RELEASE, subject=subject, subject_kind=kind)) is reason


@pytest.mark.parametrize("extension", EXTENSION_OIDS)
def test_every_extension_is_compared_exactly_and_a_list_allows_its_values(tmp_path: Path, extension: str) -> None:
    policy = make_policy(
        tmp_path, release={"issuer": ISSUER, "subject": SUBJECT, "extensions": {extension: ["1", "two"]}}
    )
    for value, reason in (
        ("1", None),
        ("two", None),
        ("1 ", Reason.IDENTITY_EXTENSION_MISMATCH),
        ("11", Reason.IDENTITY_EXTENSION_MISMATCH),
        ("", Reason.IDENTITY_EXTENSION_MISMATCH),
    ):
        assert reason_of(policy, replace(RELEASE, extensions={extension: value})) is reason, value
    assert reason_of(policy, RELEASE) is Reason.IDENTITY_EXTENSION_MISMATCH


def test_a_pinned_reusable_workflow_outlives_a_bump_by_a_list_of_commits(tmp_path: Path) -> None:
    """The subject holds the commit of the pin: five artifacts may well be signed by five of them."""
    old, new, fork = "aa" * 20, "bb" * 20, "cc" * 20
    workflow = "https://github.com/acme/workflows/.github/workflows/release.yml"
    policy = make_policy(
        tmp_path,
        release={
            "issuer": ISSUER,
            "subjectRegExp": r"https://github\.com/acme/workflows/\.github/workflows/release\.yml@[0-9a-f]{40}",
            "extensions": {"buildSignerDigest": [old, new]},
        },
    )
    for commit, reason in ((old, None), (new, None), (fork, Reason.IDENTITY_EXTENSION_MISMATCH)):
        identity = Identity(issuer=ISSUER, subject=f"{workflow}@{commit}", extensions={"buildSignerDigest": commit})
        assert reason_of(policy, identity) is reason


def test_keys_are_read_from_beside_the_policy_with_their_periods(folder: Path) -> None:
    policy = make_policy(
        folder,
        release={
            "key": "keys/release.pem",
            "validFrom": "2026-01-01T00:00:00Z",
            "validUntil": "2027-01-01T00:00:00+01:00",
        },
        other={"key": "keys/other.pem"},
        ci={"issuer": ISSUER, "subject": SUBJECT},
    )
    keys = managed_keys(policy)
    assert {name: key.identity for name, key in keys.items()} == {
        "release": fingerprint(KEY),
        "other": fingerprint(OTHER_KEY),
    }
    period = keys["release"].period
    assert period.contains(datetime(2026, 6, 1, tzinfo=UTC))
    assert not period.contains(datetime(2025, 12, 31, 23, tzinfo=UTC))
    assert not period.contains(datetime(2026, 12, 31, 23, 30, tzinfo=UTC))
    assert keys["other"].period.contains(datetime(1990, 1, 1, tzinfo=UTC))
    assert policy.files == ("keys/release.pem", "keys/other.pem")


def test_a_key_is_none_but_itself(folder: Path) -> None:
    policy = make_policy(folder, release={"key": "keys/release.pem"})
    assert reason_of(policy, fingerprint(KEY)) is None
    assert reason_of(policy, fingerprint(OTHER_KEY)) is Reason.IDENTITY_KEY_MISMATCH
    assert reason_of(policy, RELEASE) is Reason.IDENTITY_KEY_MISMATCH
    # Rules alone, without the keys that were read for them, admit nobody.
    assert not IdentityMatcher(policy.identities).knows(fingerprint(KEY))


def test_a_key_does_not_pass_for_a_certificate(folder: Path) -> None:
    policy = make_policy(folder, ci={"issuer": ISSUER, "subject": SUBJECT})
    assert reason_of(policy, fingerprint(KEY)) is Reason.IDENTITY_KEY_MISMATCH


def test_all_identities_that_a_signer_is_are_told(folder: Path) -> None:
    policy = make_policy(
        folder,
        any={"issuer": ISSUER, "subjectRegExp": ".*"},
        release={"issuer": ISSUER, "subject": SUBJECT},
        other={"issuer": ISSUER, "subject": "x"},
    )
    matcher = IdentityMatcher.of(policy)
    assert matcher.require(RELEASE, ["any", "other", "release"]) == ("any", "release")
    assert matcher.require(RELEASE, ["release"]) == ("release",)


@pytest.mark.parametrize("content", [b"", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", None])
def test_a_key_that_cannot_be_read_is_the_policys_fault(folder: Path, content: bytes | None) -> None:
    path = folder / "keys" / "release.pem"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        managed_keys(make_policy(folder, release={"key": "keys/release.pem"}))
    assert error.value.where is not None
    assert error.value.where.field == "identities.release.key"


def test_one_key_under_two_names_is_refused(folder: Path) -> None:
    (folder / "again.pem").write_bytes(pem(KEY))
    with pytest.raises(ConfigError, match="that of identity 'a', too"):
        managed_keys(make_policy(folder, a={"key": "keys/release.pem"}, b={"key": "again.pem"}))


def test_an_identity_may_demand_that_a_commit_is_reachable_and_one_that_does_is_enough(tmp_path: Path) -> None:
    identity = replace(RELEASE, extensions={"buildSignerDigest": "ab" * 20})
    demand = {"buildSignerDigest": {"bundle": "gone.bundle", "branches": ["refs/heads/main"]}}
    policy = make_policy(
        tmp_path,
        strict={"issuer": ISSUER, "subject": SUBJECT, "reachable": demand},
        plain={"issuer": ISSUER, "subject": SUBJECT},
    )
    matcher, ancestry = IdentityMatcher.of(policy), Ancestry(tmp_path)
    assert matcher.require_reachable(identity, ["strict", "plain"], ancestry) == ("plain",)
    with pytest.raises(Refusal) as refusal:
        matcher.require_reachable(identity, ["strict"], ancestry)
    assert refusal.value.reason is Reason.SOURCE_UNAVAILABLE
    with pytest.raises(Refusal) as refusal:
        matcher.require_reachable(RELEASE, ["strict"], ancestry)
    assert refusal.value.reason is Reason.SOURCE_UNREACHABLE
