"""Signed certificate timestamps: a CT log's promise to publish a certificate, embedded in it.

Source: RFC 6962, sections 3.2 and 3.3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import Certificate, PrecertificateSignedCertificateTimestamps
from cryptography.x509.certificate_transparency import (
    LogEntryType,
    SignatureAlgorithm,
    SignedCertificateTimestamp,
)

from dhallmark.reasons import Reason
from dhallmark.verify.certificate import Extensions, find_extension
from dhallmark.verify.refusal import Refusal, border
from dhallmark.verify.schemes import Key
from dhallmark.verify.trust import Log, TrustRoot

MAX_SCTS = 32
_TREE_SIGNED = b"\x00\x00"
"""Version 1, and a signature over a certificate's timestamp."""
_PRECERTIFICATE = (1).to_bytes(2, "big")


def verify_embedded_scts(
    certificate: Certificate, extensions: Extensions, issuer_key_hash: bytes, trust: TrustRoot, *, least: int
) -> int:
    """How many trusted CT logs have promised to publish the certificate; refused where it is less than `least` (C17).

    A promise of a log that is not trusted, or was not at that time, counts for nothing; one that a trusted log did not
    make is a forgery; and two promises of one log are one.
    """
    with border(Reason.CERTIFICATE_SCT, "SCT"):
        promised = set()
        outside: tuple[Log, datetime] | None = None
        for sct in _embedded(extensions):
            log = trust.ct_logs.get(sct.log_id)
            if log is None:
                continue
            signed_at = sct.timestamp.replace(tzinfo=UTC)
            if not log.periods.contains(signed_at):
                outside = log, signed_at
                continue
            _verify(sct, certificate, issuer_key_hash, log, signed_at)
            promised.add(log.log_id)
        if len(promised) >= least:
            return len(promised)
        if outside is not None:
            raise Refusal(
                Reason.CERTIFICATE_SCT,
                "the SCT was signed when the log's key was not valid",
                expected=str(outside[0].periods),
                found=outside[1].isoformat(),
            )
        raise Refusal(
            Reason.CERTIFICATE_SCT,
            "the certificate has too few SCTs of logs that are trusted",
            expected=str(least),
            found=str(len(promised)),
        )


def _embedded(extensions: Extensions) -> Sequence[SignedCertificateTimestamp]:
    found = list(find_extension(extensions, PrecertificateSignedCertificateTimestamps) or ())
    if len(found) > MAX_SCTS:
        raise Refusal(Reason.CERTIFICATE_SCT, "too many SCTs", expected=str(MAX_SCTS), found=str(len(found)))
    return found


def _verify(
    sct: SignedCertificateTimestamp, certificate: Certificate, issuer_key_hash: bytes, log: Log, signed_at: datetime
) -> None:
    if sct.entry_type is not LogEntryType.PRE_CERTIFICATE or log.key is None:
        raise Refusal(Reason.CERTIFICATE_SCT, "an SCT, or the key of its log, is of a kind that is not read")
    if not _fits(sct, log.key):
        raise Refusal(Reason.CERTIFICATE_SCT, "the SCT's signature is of another kind than its log's key")
    to_be_signed = certificate.tbs_precertificate_bytes
    milliseconds = int(signed_at.timestamp()) * 1000 + signed_at.microsecond // 1000
    content = b"".join(
        (
            _TREE_SIGNED,
            milliseconds.to_bytes(8, "big"),
            _PRECERTIFICATE,
            issuer_key_hash,
            len(to_be_signed).to_bytes(3, "big"),
            to_be_signed,
            len(sct.extension_bytes).to_bytes(2, "big"),
            sct.extension_bytes,
        )
    )
    try:
        log.key.verify_bytes(sct.signature, content)
    except InvalidSignature as error:
        raise Refusal(Reason.CERTIFICATE_SCT, "the SCT is not signed by the log that it names") from error


_KINDS: Mapping[SignatureAlgorithm, type] = MappingProxyType(
    {SignatureAlgorithm.ECDSA: ec.EllipticCurvePublicKey, SignatureAlgorithm.RSA: rsa.RSAPublicKey}
)


def _fits(sct: SignedCertificateTimestamp, key: Key) -> bool:
    """True where the SCT names the scheme of the log's key: the name is in no signature, so it must not choose."""
    scheme = key.ways[0].scheme
    if scheme.hash is None or scheme.pss or sct.signature_hash_algorithm.name != scheme.hash.name:
        return False
    kind = _KINDS.get(sct.signature_algorithm)
    return kind is not None and isinstance(key.public, kind)
