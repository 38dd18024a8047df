"""The signing certificate: its chain at the time of signing, its SCT, its profile, and the identity in it.

Source: RFC 5280, RFC 6962 section 3.2, Fulcio's docs/certificate-specification.md and docs/oid-info.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise

from cryptography.hazmat import asn1
from cryptography.x509 import (
    BasicConstraints,
    Certificate,
    ExtendedKeyUsage,
    ExtensionNotFound,
    KeyUsage,
    ObjectIdentifier,
    OtherName,
    PrecertificateSignedCertificateTimestamps,
    RFC822Name,
    SubjectAlternativeName,
    UniformResourceIdentifier,
    UnrecognizedExtension,
)
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store
from sigstore._internal.sct import verify_sct
from sigstore._internal.trust import CTKeyring, Keyring

from dhallmark.identity import EXTENSION_OIDS, Identity
from dhallmark.reasons import Reason
from dhallmark.verify.refusal import Refusal, border
from dhallmark.verify.trust import Authority, TrustRoot

_ISSUER_V1 = ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_OTHER_NAME = ObjectIdentifier("1.3.6.1.4.1.57264.1.7")
_ISSUER_V2 = ObjectIdentifier("1.3.6.1.4.1.57264.1.8")


def verify_validity(certificate: Certificate, times: Sequence[datetime]) -> None:
    """Refuse a certificate that was not valid at each of the verified `times` (C6)."""
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    for moment in times:
        if not start <= moment <= end:
            raise Refusal(
                Reason.CERTIFICATE_OUTSIDE_VALIDITY,
                "signed when the certificate was not valid",
                expected=f"{start.isoformat()} to {end.isoformat()}",
                found=moment.isoformat(),
            )


def verify_chain(certificate: Certificate, times: Sequence[datetime], trust: TrustRoot) -> tuple[Certificate, ...]:
    """The certificates above `certificate`, up to an authority of the trust root, all valid at each of `times`.

    Only the last certificate of an authority is an anchor: an intermediate that expired is not excused by its
    standing in the trust root (C7), and certificates inside a bundle are not even read (C4).
    """
    chain: tuple[Certificate, ...] = ()
    for moment in times:
        chain = _chain_at(certificate, moment, trust)
    return chain


def _chain_at(certificate: Certificate, moment: datetime, trust: TrustRoot) -> tuple[Certificate, ...]:
    said = "the trust root has no certificate authority"
    for authority in trust.certificate_authorities:
        if not authority.period.contains(moment):
            continue
        try:
            with border(Reason.CERTIFICATE_UNTRUSTED, "certificate chain"):
                return _build(certificate, authority, moment)
        except Refusal as refusal:
            said = refusal.detail
    expired = next((a for a in trust.certificate_authorities if _signed_below(certificate, a)), None)
    if expired is not None:
        raise Refusal(
            Reason.CERTIFICATE_OUTSIDE_VALIDITY,
            f"the authority that issued the certificate was not valid when it was used: {said}",
            expected=str(expired.period),
            found=moment.isoformat(),
        )
    raise Refusal(Reason.CERTIFICATE_UNTRUSTED, said)


def _build(certificate: Certificate, authority: Authority, moment: datetime) -> tuple[Certificate, ...]:
    # webpki's policy wants clientAuth; Fulcio's certificates have codeSigning, which `verify_profile` demands.
    ca, leaf = (
        policy.may_be_present(ExtendedKeyUsage, Criticality.NON_CRITICAL, None)
        for policy in (ExtensionPolicy.webpki_defaults_ca(), ExtensionPolicy.webpki_defaults_ee())
    )
    verifier = (
        PolicyBuilder()
        .store(Store([authority.chain[-1]]))
        .time(moment)
        .extension_policies(ca_policy=ca, ee_policy=leaf)
        .build_client_verifier()
    )
    return tuple(verifier.verify(certificate, list(authority.chain[:-1])).chain[1:])


def _signed_below(certificate: Certificate, authority: Authority) -> bool:
    """True where the signatures lead from `certificate` to the authority's anchor, whatever the time."""
    links = (certificate, *authority.chain)
    try:
        with border(Reason.CERTIFICATE_UNTRUSTED, "signature"):
            for child, issuer in pairwise(links):
                child.verify_directly_issued_by(issuer)
    except Refusal:
        return False
    return True


def verify_embedded_sct(certificate: Certificate, chain: Sequence[Certificate], trust: TrustRoot) -> None:
    """Refuse a certificate that no trusted certificate transparency log has promised to publish (C17)."""
    with border(Reason.CERTIFICATE_SCT, "SCT"):
        scts = certificate.extensions.get_extension_for_class(PrecertificateSignedCertificateTimestamps).value
        if len(scts) != 1:
            raise Refusal(Reason.CERTIFICATE_SCT, "the certificate needs exactly one SCT", found=str(len(scts)))
        log = trust.ct_logs.get(scts[0].log_id)
        if log is None:
            raise Refusal(Reason.CERTIFICATE_SCT, "the SCT is of a log that is not trusted", found=scts[0].log_id.hex())
        signed_at = scts[0].timestamp.replace(tzinfo=UTC)
        if not log.period.contains(signed_at):
            raise Refusal(
                Reason.CERTIFICATE_SCT,
                "the SCT was signed when the log's key was not valid",
                expected=str(log.period),
                found=signed_at.isoformat(),
            )
        verify_sct(certificate, list(chain), CTKeyring(Keyring([log.public_key])))


def verify_profile(certificate: Certificate) -> None:
    """Refuse a certificate that is not an end entity's for code signing."""
    with border(Reason.CERTIFICATE_PROFILE, "certificate"):
        extensions = certificate.extensions
        if not extensions.get_extension_for_class(KeyUsage).value.digital_signature:
            raise Refusal(Reason.CERTIFICATE_PROFILE, "the certificate's key may not make signatures")
        if ExtendedKeyUsageOID.CODE_SIGNING not in extensions.get_extension_for_class(ExtendedKeyUsage).value:
            raise Refusal(Reason.CERTIFICATE_PROFILE, "the certificate's key may not sign code")
        try:
            constraints = extensions.get_extension_for_class(BasicConstraints).value
        except ExtensionNotFound:
            return
        if constraints.ca:
            raise Refusal(Reason.CERTIFICATE_PROFILE, "the certificate is an authority's")


def read_identity(certificate: Certificate) -> Identity:
    """Who the certificate says its owner is. Refuses one that says nothing, or two things."""
    with border(Reason.CERTIFICATE_PROFILE, "certificate"):
        return Identity(
            issuer=_issuer(certificate),
            subject=_subject(certificate),
            extensions={
                name: value
                for name, oid in EXTENSION_OIDS.items()
                if (value := _text(certificate, ObjectIdentifier(oid))) is not None
            },
        )


def _issuer(certificate: Certificate) -> str:
    legacy = _extension(certificate, _ISSUER_V1)
    # The older extension holds the bare text, the newer one a DER UTF8String. Fulcio writes both.
    found = {text for text in (_text(certificate, _ISSUER_V2), legacy and legacy.decode()) if text}
    if len(found) != 1:
        raise Refusal(
            Reason.CERTIFICATE_PROFILE, "the certificate needs exactly one OIDC issuer", found=str(len(found))
        )
    return found.pop()


def _subject(certificate: Certificate) -> str:
    names = list(certificate.extensions.get_extension_for_class(SubjectAlternativeName).value)
    if len(names) != 1:
        raise Refusal(
            Reason.CERTIFICATE_PROFILE, "the certificate needs exactly one alternative name", found=str(len(names))
        )
    name = names[0]
    if isinstance(name, UniformResourceIdentifier | RFC822Name):
        return name.value
    if isinstance(name, OtherName) and name.type_id == _OTHER_NAME:
        return asn1.decode_der(str, name.value)
    raise Refusal(Reason.CERTIFICATE_PROFILE, f"an alternative name of an unknown kind: {type(name).__name__}")


def _text(certificate: Certificate, oid: ObjectIdentifier) -> str | None:
    content = _extension(certificate, oid)
    return None if content is None else asn1.decode_der(str, content)


def _extension(certificate: Certificate, oid: ObjectIdentifier) -> bytes | None:
    try:
        value = certificate.extensions.get_extension_for_oid(oid).value
    except ExtensionNotFound:
        return None
    if not isinstance(value, UnrecognizedExtension):
        raise Refusal(Reason.CERTIFICATE_PROFILE, f"the extension {oid.dotted_string} is not Fulcio's")
    return value.value
