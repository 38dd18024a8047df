"""Authorities: which chains are sound, and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from dhallmark.reasons import Reason
from dhallmark.verify.authority import Authority, Role
from dhallmark.verify.period import Period
from dhallmark.verify.refusal import Refusal
from dhallmark.verify.timestamps import verify_timestamps
from dhallmark.verify.trust import TrustRoot

if TYPE_CHECKING:
    from tests.unit.verify.conftest import Instance, PrivateKey

NOW = datetime.now(UTC).replace(microsecond=0)
ALWAYS = Period(None, None)
ROOT_KEY, KEY, LEAF_KEY = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))

KEY_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def certificate(
    name: str,
    key: PrivateKey,
    *,
    issuer: str,
    by: PrivateKey,
    constraints: x509.BasicConstraints | None = None,
    may_issue: bool | None = None,
    usage: tuple[x509.ObjectIdentifier, ...] = (),
    critical: bool = True,
    days: int = 30,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=days))
    )
    if constraints is not None:
        builder = builder.add_extension(constraints, critical=True)
    if may_issue is not None:
        flags = dict.fromkeys(KEY_USAGES, False)
        flags["digital_signature"] = not may_issue
        builder = builder.add_extension(x509.KeyUsage(key_cert_sign=may_issue, **flags), critical=True)
    if usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=critical)
    return builder.sign(by, None if isinstance(by, ed25519.Ed25519PrivateKey) else hashes.SHA256())


def ca(depth: int | None = None) -> x509.BasicConstraints:
    return x509.BasicConstraints(ca=True, path_length=depth)


def chain(
    *, intermediate: dict[str, Any] | None = None, root: dict[str, Any] | None = None
) -> tuple[x509.Certificate, ...]:
    """An issuing certificate below a root; both good, but for what is given."""
    below: dict[str, Any] = {"issuer": "root", "by": ROOT_KEY, "constraints": ca(0), "may_issue": True}
    above: dict[str, Any] = {"issuer": "root", "by": ROOT_KEY, "constraints": ca(1), "may_issue": True}
    return (
        certificate("issuing", KEY, **{**below, **(intermediate or {})}),
        certificate("root", ROOT_KEY, **{**above, **(root or {})}),
    )


@pytest.mark.parametrize("certificates", [chain(), chain()[1:], chain(root={"may_issue": None, "constraints": ca()})])
def test_a_sound_chain_has_no_flaw(certificates: tuple[x509.Certificate, ...]) -> None:
    assert Authority(certificates, ALWAYS).flaw is None


@pytest.mark.parametrize(
    "certificates",
    [
        chain(intermediate={"by": KEY}),
        chain(intermediate={"issuer": "another"}),
        chain(root={"constraints": None}),
        chain(root={"constraints": x509.BasicConstraints(ca=False, path_length=None)}),
        chain(root={"constraints": ca(0)}),
        chain(root={"may_issue": False}),
        chain()[::-1],
    ],
)
def test_a_broken_chain_says_what_is_wrong(certificates: tuple[x509.Certificate, ...]) -> None:
    assert Authority(certificates, ALWAYS).flaw


def test_an_authority_is_valid_while_its_whole_chain_is() -> None:
    certificates = chain(intermediate={"days": 10})
    authority = Authority(certificates, Period(NOW, NOW + timedelta(days=5)))
    end = certificates[0].not_valid_after_utc
    assert authority.outside([NOW, NOW + timedelta(days=5)]) is None
    assert authority.outside([NOW, NOW + timedelta(days=6)]) == NOW + timedelta(days=6)
    expired = Authority(certificates, ALWAYS)
    assert expired.outside([end]) is None
    assert expired.outside([end + timedelta(seconds=1)]) is not None  # C7: the root is valid for longer


STAMPING = (ExtendedKeyUsageOID.TIME_STAMPING,)


@pytest.mark.parametrize(
    ("usage", "critical", "good"),
    [
        (STAMPING, True, True),
        (STAMPING, False, False),
        ((*STAMPING, ExtendedKeyUsageOID.CODE_SIGNING), True, False),
        ((ExtendedKeyUsageOID.CODE_SIGNING,), True, False),
        ((), True, False),
    ],
)
def test_a_timestamp_authority_is_for_timestamps_alone(
    usage: tuple[x509.ObjectIdentifier, ...], *, critical: bool, good: bool
) -> None:
    leaf = certificate("tsa", LEAF_KEY, issuer="root", by=ROOT_KEY, usage=usage, critical=critical)
    authority = Authority((leaf, *chain(root={"constraints": ca(0)})[1:]), ALWAYS, Role.STAMPING)
    assert (authority.flaw is None) is good
    assert "ExtendedKeyUsage" not in (authority.flaw or "")


@pytest.mark.parametrize(
    "key",
    [rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate(), LEAF_KEY],
    ids=["RSA", "Ed25519", "EC"],
)
def test_timestamps_by_every_kind_of_key(instance: Instance, key: PrivateKey) -> None:
    leaf = certificate("tsa", key, issuer="root", by=ROOT_KEY, usage=STAMPING)
    authority = Authority((leaf, *chain()[1:]), ALWAYS, Role.STAMPING)
    trust = TrustRoot(logs={}, ct_logs={}, certificate_authorities=(), timestamp_authorities=(authority,))
    stamp = instance.stamp(b"signature", at=NOW, signer=(key, leaf))
    assert [found.time for found in verify_timestamps([stamp], b"signature", trust)] == [NOW]
    # The scheme is named beside the signature: another one does not fit the key.
    other = instance.stamp(b"signature", at=NOW)
    with pytest.raises(Refusal) as refused:
        verify_timestamps([other], b"signature", trust)
    assert refused.value.reason is Reason.TIMESTAMP_INVALID
