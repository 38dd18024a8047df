"""Forged signing certificates: like Fulcio's, but for what a control wants to be wrong.

Source: Fulcio's docs/certificate-specification.md and docs/oid-info.md; RFC 6962, sections 3.2 and 3.3.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from dhallmark.controls.forging import der
from dhallmark.controls.forging.authorities import Of
from dhallmark.identity import EXTENSION_OIDS, Identity, SubjectKind
from dhallmark.lab import pki
from dhallmark.lab.ctlog import add_pre_chain

LIFETIME = timedelta(minutes=10)
"""As Fulcio's."""
_ISSUER_V1 = ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_OTHER_NAME = ObjectIdentifier("1.3.6.1.4.1.57264.1.7")
_ISSUER_V2 = ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
_BASIC_CONSTRAINTS = x509.BasicConstraints.oid
_SCT_LIST = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_V1 = b"\x00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """What the certificate of a signer is like. As Fulcio makes it, where nothing is said."""

    usage: ObjectIdentifier = ExtendedKeyUsageOID.CODE_SIGNING
    digital_signature: bool = True
    authority: bool = False
    """True for one that may sign certificates itself."""
    email: str = ""
    """This e-mail address as its name, instead of the identity's subject."""
    names: int = 1
    """How many alternative names it has."""
    malformed: bool = False
    """True where one of its extensions cannot be read."""
    scts: tuple[Of, ...] = (Of.OWN,)
    """By whose CT logs its timestamps are."""
    sct_of_another: bool = False
    """True where the timestamps are of another certificate."""


def issue(
    leaf: Leaf,
    identity: Identity,
    key: ec.EllipticCurvePublicKey,
    *,
    ca: pki.Chain,
    ct: Sequence[ec.EllipticCurvePrivateKey],
    start: datetime,
) -> x509.Certificate:
    """A certificate for `key` by `ca`, valid from `start`, with a timestamp of each CT log in `ct`."""
    builder = _builder(leaf, identity, key, ca=ca, start=start)
    if not ct:
        return builder.sign(ca.key, hashes.SHA256())
    logged = _builder(leaf, identity, pki.signing_key().public_key(), ca=ca, start=start)
    precertificate = (logged if leaf.sct_of_another else builder).add_extension(x509.PrecertPoison(), critical=True)
    signed = precertificate.sign(ca.key, hashes.SHA256())
    listed = b"".join(_sct(signed, ca=ca, key=log, at=start) for log in ct)
    extension = x509.UnrecognizedExtension(_SCT_LIST, der.octets(len(listed).to_bytes(2, "big") + listed))
    return builder.add_extension(extension, critical=False).sign(ca.key, hashes.SHA256())


def _builder(
    leaf: Leaf, identity: Identity, key: ec.EllipticCurvePublicKey, *, ca: pki.Chain, start: datetime
) -> x509.CertificateBuilder:
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(ca.certificates[0].subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + LIFETIME)
        .add_extension(
            x509.KeyUsage(
                digital_signature=leaf.digital_signature,
                content_commitment=not leaf.digital_signature,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=leaf.authority,
                crl_sign=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.ExtendedKeyUsage([leaf.usage]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key()), critical=False)
        .add_extension(x509.SubjectAlternativeName(_names(leaf, identity)), critical=True)
        .add_extension(x509.UnrecognizedExtension(_ISSUER_V1, identity.issuer.encode()), critical=False)
        .add_extension(x509.UnrecognizedExtension(_ISSUER_V2, der.text(identity.issuer)), critical=False)
    )
    for name, value in identity.extensions.items():
        extension = x509.UnrecognizedExtension(ObjectIdentifier(EXTENSION_OIDS[name]), der.text(value))
        builder = builder.add_extension(extension, critical=False)
    if leaf.malformed:
        builder = builder.add_extension(x509.UnrecognizedExtension(_BASIC_CONSTRAINTS, b"no DER"), critical=False)
    if leaf.authority:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return builder


def _names(leaf: Leaf, identity: Identity) -> list[x509.GeneralName]:
    if leaf.email:
        return [x509.RFC822Name(leaf.email)]
    others = [x509.UniformResourceIdentifier(f"https://other.test/{index}") for index in range(1, leaf.names)]
    return [_name(identity), *others]


def _name(identity: Identity) -> x509.GeneralName:
    match identity.subject_kind:
        case SubjectKind.URI:
            return x509.UniformResourceIdentifier(identity.subject)
        case SubjectKind.EMAIL:
            return x509.RFC822Name(identity.subject)
        case SubjectKind.OTHER:
            return x509.OtherName(_OTHER_NAME, der.text(identity.subject))


def _sct(precertificate: x509.Certificate, *, ca: pki.Chain, key: ec.EllipticCurvePrivateKey, at: datetime) -> bytes:
    """A timestamp as a certificate's list of them has it."""
    answer = add_pre_chain(
        [precertificate.public_bytes(Encoding.DER)], issuer=ca.certificates[0], key=key, at=at.timestamp()
    )
    stamp = b"".join(
        [
            _V1,
            base64.b64decode(str(answer["id"])),
            int(str(answer["timestamp"])).to_bytes(8, "big"),
            (0).to_bytes(2, "big"),  # no extensions
            base64.b64decode(str(answer["signature"])),
        ]
    )
    return len(stamp).to_bytes(2, "big") + stamp
