"""The lab's keys and certificates: Fulcio's CA chain, the timestamp authority's, and TLS for the issuers.

What the servers and verifiers ask of them: Fulcio's issuing CA needs the code-signing EKU and a common name; a
timestamp certificate has exactly one EKU, timeStamping, critical (RFC 3161, section 2.3).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_ORGANISATION = "dhallmark lab"
_LIFETIME = timedelta(days=3650)
"""A lab is kept for as long as somebody uses it, an engine's in its cache: it must not end by itself one day."""
_BACKDATE = timedelta(hours=1)
"""Clocks of containers and hosts differ; a lab is not the place to find that out."""
AGE = timedelta(days=60)
"""How old authorities are by which things can be signed in the past, as controls do."""


@dataclass(frozen=True, slots=True, repr=False)
class Chain:
    """A private key and its certificates, the key's own first, the root last."""

    key: ec.EllipticCurvePrivateKey
    certificates: tuple[x509.Certificate, ...]

    @property
    def pem(self) -> bytes:
        return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in self.certificates)


def signing_key() -> ec.EllipticCurvePrivateKey:
    """A P-256 key: what each Sigstore client supports for every role."""
    return ec.generate_private_key(ec.SECP256R1())


def token_key() -> rsa.RSAPrivateKey:
    """An RSA key for RS256, which GitHub and GitLab sign their tokens with."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def private_pem(key: PrivateKey, *, password: bytes | None = None) -> bytes:
    """The key as PKCS#8 PEM, encrypted where a password is given."""
    encryption: serialization.KeySerializationEncryption = (
        serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    )
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def public_pem(key: PrivateKey) -> bytes:
    """The public key as SubjectPublicKeyInfo PEM."""
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def public_der(key: PrivateKey) -> bytes:
    """The public key as SubjectPublicKeyInfo DER."""
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def fulcio_chain(name: str, *, start: datetime | None = None, issuing_until: datetime | None = None) -> Chain:
    """A root and the intermediate that issues code-signing certificates.

    They are valid for ten years from `start`, which is an hour ago where it is not given; the intermediate until
    `issuing_until`, where that is.
    """
    root_key = signing_key()
    root = _certificate(f"{name} root", root_key, ca_depth=1, start=start)
    key = signing_key()
    issuing = _certificate(
        f"{name} intermediate",
        key,
        issuer=(root, root_key),
        ca_depth=0,
        usage=ExtendedKeyUsageOID.CODE_SIGNING,
        start=start,
        until=issuing_until,
    )
    return Chain(key, (issuing, root))


def timestamp_chain(*, start: datetime | None = None) -> Chain:
    """A root and the leaf that signs timestamps, valid as those of `fulcio_chain`."""
    root_key = signing_key()
    root = _certificate("timestamp root", root_key, ca_depth=0, start=start)
    key = signing_key()
    leaf = _certificate(
        "timestamp",
        key,
        issuer=(root, root_key),
        usage=ExtendedKeyUsageOID.TIME_STAMPING,
        usage_critical=True,
        start=start,
    )
    return Chain(key, (leaf, root))


def tls_chain(hosts: Iterable[str]) -> Chain:
    """A root and one server certificate for all host names."""
    root_key = signing_key()
    root = _certificate("TLS root", root_key, ca_depth=0)
    key = signing_key()
    leaf = _certificate(
        "TLS", key, issuer=(root, root_key), usage=ExtendedKeyUsageOID.SERVER_AUTH, hosts=sorted(set(hosts))
    )
    return Chain(key, (leaf, root))


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    *,
    issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None,
    ca_depth: int | None = None,
    usage: x509.ObjectIdentifier | None = None,
    usage_critical: bool = False,
    hosts: Iterable[str] = (),
    start: datetime | None = None,
    until: datetime | None = None,
) -> x509.Certificate:
    """One certificate; self-signed without `issuer`, a CA where `ca_depth` says how many CAs may follow."""
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANISATION),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{_ORGANISATION} {name}"),
        ]
    )
    issuer_name, signer = (issuer[0].subject, issuer[1]) if issuer else (subject, key)
    authority = ca_depth is not None
    begin = start or datetime.now(UTC) - _BACKDATE
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(until or begin + _LIFETIME)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=ca_depth), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not authority,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=authority,
                crl_sign=authority,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=usage_critical)
    names = [x509.DNSName(host) for host in hosts]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(signer, hashes.SHA256())
