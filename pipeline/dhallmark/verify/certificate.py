"""The signing certificate: its chain at the time of signing, its profile, and the identity in it.

Source: RFC 5280, Fulcio's docs/certificate-specification.md and docs/oid-info.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import TypeVar

from cryptography.hazmat import asn1
from cryptography.x509 import (
    BasicConstraints,
    Certificate,
    ExtendedKeyUsage,
    ExtensionType,
    KeyUsage,
    ObjectIdentifier,
    OtherName,
    RFC822Name,
    SubjectAlternativeName,
    UniformResourceIdentifier,
    UnrecognizedExtension,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

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
    authority.issued.time(certificate.not_valid_before_utc).build_client_verifier().verify(certificate, [])


Extensions = Mapping[ObjectIdentifier, ExtensionType]
"""What stands in a certificate's extensions, by their ids."""
E = TypeVar("E", bound=ExtensionType)


def read_extensions(certificate: Certificate) -> Extensions:
    """The extensions of a certificate, which the checks below share. Refuses malformed ones, and two alike."""
    with border(Reason.CERTIFICATE_PROFILE, "certificate"):
        return {extension.oid: extension.value for extension in certificate.extensions}


def find_extension(extensions: Extensions, kind: type[E]) -> E | None:
    """The extension of that kind. None where there is none."""
    value = extensions.get(kind.oid)
    return value if type(value) is kind else None  # not isinstance, which would ask an abstract class


def verify_profile(extensions: Extensions) -> None:
    """Refuse a certificate that is not an end entity's for code signing."""
    usage = find_extension(extensions, KeyUsage)
    if usage is None or not usage.digital_signature:
        raise Refusal(Reason.CERTIFICATE_PROFILE, "the certificate's key may not make signatures")
    purposes = find_extension(extensions, ExtendedKeyUsage)
    if purposes is None or ExtendedKeyUsageOID.CODE_SIGNING not in purposes:
        raise Refusal(Reason.CERTIFICATE_PROFILE, "the certificate's key may not sign code")
    constraints = find_extension(extensions, BasicConstraints)
    if constraints is not None and constraints.ca:
        raise Refusal(Reason.CERTIFICATE_PROFILE, "the certificate is an authority's")


def read_identity(certificate: Certificate, extensions: Extensions | None = None) -> Identity:
    """Who the certificate says its owner is. Refuses one that says nothing, or two things.

    `extensions` are the certificate's, where they were read before.
    """
    with border(Reason.CERTIFICATE_PROFILE, "certificate"):
        found = read_extensions(certificate) if extensions is None else extensions
        subject, kind = _subject(found)
        return Identity(
            issuer=_issuer(found),
            subject=subject,
            subject_kind=kind,
            extensions={
                name: text
                for oid in found
                if (name := _NAMES.get(oid)) is not None and (text := _text(found, oid)) is not None
            },
        )


_NAMES = MappingProxyType({ObjectIdentifier(oid): name for name, oid in EXTENSION_OIDS.items()})


def _issuer(extensions: Extensions) -> str:
    legacy = _content(extensions, _ISSUER_V1)
    # The older extension holds the bare text, the newer one a DER UTF8String. Fulcio writes both.
    found = {text for text in (_text(extensions, _ISSUER_V2), legacy and legacy.decode()) if text}
    if len(found) != 1:
        raise Refusal(
            Reason.CERTIFICATE_PROFILE, "the certificate needs exactly one OIDC issuer", found=str(len(found))
        )
    return found.pop()


def _subject(extensions: Extensions) -> tuple[str, SubjectKind]:
    names = list(find_extension(extensions, SubjectAlternativeName) or ())
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


def _text(extensions: Extensions, oid: ObjectIdentifier) -> str | None:
    content = _content(extensions, oid)
    return None if content is None else asn1.decode_der(str, content)


def _content(extensions: Extensions, oid: ObjectIdentifier) -> bytes | None:
    value = extensions.get(oid)
    if value is None:
        return None
    if type(value) is not UnrecognizedExtension:
        raise Refusal(Reason.CERTIFICATE_PROFILE, f"the extension {oid.dotted_string} is not Fulcio's")
    return value.value
