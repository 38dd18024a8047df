"""The signed certificate timestamp of a precertificate.

Source: RFC 6962, section 3.2 (what is signed) and section 4.2 (the `add-pre-chain` call, the only one that Fulcio
makes). This log keeps no tree: no Sigstore client asks for the inclusion of a certificate.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator, Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from dhallmark.lab.trust import log_id

_VERSION_1 = b"\x00"
_CERTIFICATE_TIMESTAMP = b"\x00"
_PRECERT_ENTRY = (1).to_bytes(2, "big")
_SHA256_ECDSA = b"\x04\x03"
"""HashAlgorithm and SignatureAlgorithm of RFC 5246, section 7.4.1.4.1."""
_POISON_OID = bytes.fromhex("060a2b06010401d679020403")
"""DER of the OBJECT IDENTIFIER 1.3.6.1.4.1.11129.2.4.3."""

_SEQUENCE = 0x30
_EXTENSIONS = 0xA3
"""Context tag 3 of TBSCertificate (RFC 5280, section 4.1)."""


class ChainError(ValueError):
    """A chain that this log does not take."""


def add_pre_chain(
    chain: Sequence[bytes], *, issuer: x509.Certificate, key: ec.EllipticCurvePrivateKey, at: float | None = None
) -> dict[str, object]:
    """Answer to `add-pre-chain`: the timestamp of a precertificate that `issuer` has signed.

    `at` is when, in seconds since 1970; now where it is not given.
    `chain` is DER, the precertificate first. Raises ChainError for anything that `issuer` did not sign, or that
    lacks the poison extension.
    """
    if not chain:
        raise ChainError("empty chain")
    try:
        precertificate = x509.load_der_x509_certificate(chain[0])
        precertificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise ChainError(f"not issued by the authority of this log: {type(error).__name__}") from error
    now = int((time.time() if at is None else at) * 1000)
    issuer_spki = issuer.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    body = without_poison(precertificate.tbs_certificate_bytes)
    signed = b"".join(
        [
            _VERSION_1,
            _CERTIFICATE_TIMESTAMP,
            now.to_bytes(8, "big"),
            _PRECERT_ENTRY,
            log_id(issuer_spki),  # issuer_key_hash is the same function of another key
            len(body).to_bytes(3, "big") + body,
            (0).to_bytes(2, "big"),  # no extensions
        ]
    )
    signature = key.sign(signed, ec.ECDSA(hashes.SHA256()))
    own_spki = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return {
        "sct_version": 0,
        "id": base64.b64encode(log_id(own_spki)).decode(),
        "timestamp": now,
        "extensions": "",
        "signature": base64.b64encode(_SHA256_ECDSA + len(signature).to_bytes(2, "big") + signature).decode(),
    }


def without_poison(tbs: bytes) -> bytes:
    """The DER of a TBSCertificate without its poison extension. Raises ChainError where it has none."""
    fields = []
    removed = False
    for tag, content in _elements(_content(tbs, _SEQUENCE)):
        if tag != _EXTENSIONS:
            fields.append(_element(tag, content))
            continue
        kept = []
        for extension_tag, extension in _elements(_content(content, _SEQUENCE)):
            if extension.startswith(_POISON_OID):
                removed = True
            else:
                kept.append(_element(extension_tag, extension))
        fields.append(_element(_EXTENSIONS, _element(_SEQUENCE, b"".join(kept))))
    if not removed:
        raise ChainError("not a precertificate: no poison extension")
    return _element(_SEQUENCE, b"".join(fields))


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The DER elements that follow each other in `data`: tag and content. X.509 uses one-byte tags only."""
    position = 0
    while position < len(data):
        tag, length, start = _header(data, position)
        if start + length > len(data):
            raise ChainError("DER: an element is longer than what holds it")
        yield tag, data[start : start + length]
        position = start + length


def _content(data: bytes, tag: int) -> bytes:
    found = list(_elements(data))
    if len(found) != 1 or found[0][0] != tag:
        raise ChainError(f"DER: expected one element with tag {tag:#x}")
    return found[0][1]


def _header(data: bytes, position: int) -> tuple[int, int, int]:
    """Tag, length of the content, and where the content starts."""
    try:
        tag, first = data[position], data[position + 1]
    except IndexError:
        raise ChainError("DER: cut off") from None
    start = position + 2
    if first < 0x80:  # noqa: PLR2004  short form: the length itself (X.690, 8.1.3.4)
        return tag, first, start
    size = first & 0x7F
    return tag, int.from_bytes(data[start : start + size], "big"), start + size


def _element(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:  # noqa: PLR2004
        return bytes([tag, length]) + content
    size = (length.bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + length.to_bytes(size, "big") + content
