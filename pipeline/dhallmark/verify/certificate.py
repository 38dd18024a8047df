"""The signing certificate: its chain at the time of signing, its profile, and the identity in it.

Source: RFC 5280, Fulcio's docs/certificate-specification.md and docs/oid-info.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cryptography.hazmat import asn1
from cryptography.x509 import (
    BasicConstraints,
    Certificate,
    ExtendedKeyUsage,
    ExtensionNotFound,
    KeyUsage,
    ObjectIdentifier,
    OtherName,
    RFC822Name,
    SubjectAlternativeName,
    UniformResourceIdentifier,
    UnrecognizedExtension,
)
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder

from dhallmark.identity import EXTENSION_OIDS, Identity, SubjectKind
from dhallmark.reasons import Reason
from dhallmark.verify.authority import Authority
from dhallmark.verify.refusal import Refusal, border
from dhallmark.verify.trust import TrustRoot

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


def find_authority(certificate: Certificate, times: Sequence[datetime], trust: TrustRoot) -> Authority:
    """The authority of the trust root that issued `certificate`, and was valid at each of `times`.

    Only the trust root's own chains count: certificates inside a bundle are not even offered to them (C4). An
    intermediate that expired is not excused by its standing in the trust root (C7).
    """
    said: Refusal | None = None
    for authority in trust.certificate_authorities:
        try:
            with border(Reason.CERTIFICATE_UNTRUSTED, "certificate chain"):
                _verify_issued(certificate, authority)
        except Refusal as refusal:
            said = said or refusal
            continue
        moment = authority.outside(times)
        if moment is None:
            return authority
        said = Refusal(
            Reason.CERTIFICATE_OUTSIDE_VALIDITY,
            "the authority that issued the certificate was not valid when it was used",
            expected=f"{authority.period}, and {authority.validity}",
            found=moment.isoformat(),
        )
    raise said or Refusal(Reason.CERTIFICATE_UNTRUSTED, "the trust root has no certificate authority")


def _verify_issued(certificate: Certificate, authority: Authority) -> None:
    """Refuse a certificate that the authority did not issue.

    The path ends at the issuing certificate: that this one leads to the anchor is a fact of the trust root. Its time is
    any at which the certificate was valid; whether it was so when it was used is `verify_validity`'s to say, and
    whether the authority was, `Authority.outside`'s.
    """
    if authority.flaw is not None:
        raise Refusal(Reason.CERTIFICATE_UNTRUSTED, authority.flaw)
    verifier = (
        PolicyBuilder()
        .store(authority.store)
        .time(certificate.not_valid_before_utc)
        .extension_policies(ca_policy=_CA_POLICY, ee_policy=_LEAF_POLICY)
        .build_client_verifier()
    )
    verifier.verify(certificate, [])


# webpki's policy wants clientAuth; Fulcio's certificates have codeSigning, which `verify_profile` demands.
_CA_POLICY, _LEAF_POLICY = (
    policy.may_be_present(ExtendedKeyUsage, Criticality.NON_CRITICAL, None)
    for policy in (ExtensionPolicy.webpki_defaults_ca(), ExtensionPolicy.webpki_defaults_ee())
)


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
        subject, kind = _subject(certificate)
        return Identity(
            issuer=_issuer(certificate),
            subject=subject,
            subject_kind=kind,
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


def _subject(certificate: Certificate) -> tuple[str, SubjectKind]:
    names = list(certificate.extensions.get_extension_for_class(SubjectAlternativeName).value)
    if len(names) != 1:
        raise Refusal(
            Reason.CERTIFICATE_PROFILE, "the certificate needs exactly one alternative name", found=str(len(names))
        )
    name = names[0]
    if isinstance(name, UniformResourceIdentifier):
        return name.value, SubjectKind.URI
    if isinstance(name, RFC822Name):
        return name.value, SubjectKind.EMAIL
    if isinstance(name, OtherName) and name.type_id == _OTHER_NAME:
        return asn1.decode_der(str, name.value), SubjectKind.OTHER
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
