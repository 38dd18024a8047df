"""Forged timestamp responses.

Source: RFC 3161, section 2.4.2; RFC 5652, section 5 (SignedData); RFC 5816 (the signer's certificate by SHA-256).
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ObjectIdentifier

from dhallmark.controls.forging import der
from dhallmark.lab import pki

_SIGNED_DATA = ObjectIdentifier("1.2.840.113549.1.7.2")
_TST_INFO = ObjectIdentifier("1.2.840.113549.1.9.16.1.4")
_CONTENT_TYPE = ObjectIdentifier("1.2.840.113549.1.9.3")
_MESSAGE_DIGEST = ObjectIdentifier("1.2.840.113549.1.9.4")
_SIGNING_CERTIFICATE_V2 = ObjectIdentifier("1.2.840.113549.1.9.16.2.47")
_SHA256 = ObjectIdentifier("2.16.840.1.101.3.4.2.1")
_ECDSA_SHA256 = ObjectIdentifier("1.2.840.10045.4.3.2")
_POLICY = ObjectIdentifier("1.3.6.1.4.1.57264.2")
"""Sigstore's timestamp policy."""
_GRANTED = 0
_ATTRIBUTES = 0


def stamp(message: bytes, *, tsa: pki.Chain, at: datetime) -> bytes:
    """A response, DER, in which `tsa` says that it saw `message` at the time `at`, with its certificate inside."""
    info = _info(message, at=at)
    return der.sequence(
        der.sequence(der.integer(_GRANTED)),
        der.sequence(der.oid(_SIGNED_DATA), der.tagged(0, _signed_data(info, tsa))),
    )


def _info(message: bytes, *, at: datetime) -> bytes:
    imprint = der.sequence(der.sequence(der.oid(_SHA256), der.null()), der.octets(hashlib.sha256(message).digest()))
    return der.sequence(
        der.integer(1),
        der.oid(_POLICY),
        imprint,
        der.integer(int.from_bytes(secrets.token_bytes(16), "big")),
        der.generalized_time(at),
    )


def _signed_data(info: bytes, tsa: pki.Chain) -> bytes:
    certificate = tsa.certificates[0]
    return der.sequence(
        der.integer(3),
        der.set_of(der.sequence(der.oid(_SHA256))),
        der.sequence(der.oid(_TST_INFO), der.tagged(0, der.octets(info))),
        der.tagged(0, certificate.public_bytes(Encoding.DER)),
        der.set_of(_signer(info, certificate, tsa.key)),
    )


def _signer(info: bytes, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> bytes:
    thumbprint = hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()
    attributes = (
        _attribute(_CONTENT_TYPE, der.oid(_TST_INFO)),
        _attribute(_MESSAGE_DIGEST, der.octets(hashlib.sha256(info).digest())),
        _attribute(_SIGNING_CERTIFICATE_V2, der.sequence(der.sequence(der.sequence(der.octets(thumbprint))))),
    )
    # Signed as a SET OF, and carried with a tag of the context (RFC 5652, section 5.4).
    signature = key.sign(der.set_of(*attributes), ec.ECDSA(hashes.SHA256()))
    return der.sequence(
        der.integer(1),
        der.sequence(certificate.issuer.public_bytes(), der.integer(certificate.serial_number)),
        der.sequence(der.oid(_SHA256)),
        der.tagged(_ATTRIBUTES, *sorted(attributes)),
        der.sequence(der.oid(_ECDSA_SHA256)),
        der.octets(signature),
    )


def _attribute(kind: ObjectIdentifier, value: bytes) -> bytes:
    return der.sequence(der.oid(kind), der.set_of(value))
