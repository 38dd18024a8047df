"""An authority of the trust root: a chain of certificates, and what follows from it alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import cached_property
from itertools import pairwise

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import BasicConstraints, Certificate, ExtendedKeyUsage, ExtensionNotFound, KeyUsage
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store

from dhallmark.errors import FormatError
from dhallmark.verify.period import Period
from dhallmark.verify.schemes import Key


class Role(Enum):
    """What the first certificate of an authority's chain signs."""

    ISSUING = 0
    """Certificates."""
    STAMPING = 1
    """Timestamps: only the certificates above it issue others."""


# webpki's policy wants clientAuth; Fulcio's certificates have codeSigning, which is a check of its own.
# An authority's own may be critical, for all that RFC 5280 (4.2.1.12) says.
_CA, _LEAF = (
    policy.may_be_present(ExtendedKeyUsage, criticality, None)
    for policy, criticality in (
        (ExtensionPolicy.webpki_defaults_ca(), Criticality.AGNOSTIC),
        (ExtensionPolicy.webpki_defaults_ee(), Criticality.NON_CRITICAL),
    )
)


@dataclass(frozen=True)
class Authority:
    """A certificate authority or a timestamp authority.

    Its chain does not depend on what it vouches for, nor on when, but for the dates of its certificates: the signatures
    in it are verified once for a trust root, its dates for each moment that matters.
    """

    chain: tuple[Certificate, ...]
    """The certificate that signs first, the trust anchor last; at least one."""
    period: Period
    """When the trust root believes it."""
    role: Role = Role.ISSUING

    @cached_property
    def flaw(self) -> str | None:
        """Why the chain leads nowhere. None where it is sound."""
        try:
            if self.role is Role.STAMPING:
                _require_stamping(self.chain[0])
            for depth, (child, issuer) in enumerate(pairwise(self.chain)):
                child.verify_directly_issued_by(issuer)
                _require_issuer(issuer, below=depth + 1 - self.role.value)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, ExtensionNotFound, FormatError) as error:
            return str(error) or "a certificate of the authority's chain is not signed by the next one"
        return None

    @cached_property
    def validity(self) -> Period:
        """When all certificates of the chain are valid."""
        return Period(
            max(certificate.not_valid_before_utc for certificate in self.chain),
            min(certificate.not_valid_after_utc for certificate in self.chain),
        )

    @cached_property
    def key(self) -> Key:
        """The key of the first certificate. Raises FormatError for a kind that this verifier does not read."""
        return Key.of(self.chain[0].public_key())

    @cached_property
    def fingerprint(self) -> bytes:
        """SHA-256 of the first certificate."""
        return self.chain[0].fingerprint(SHA256())

    @cached_property
    def issued(self) -> PolicyBuilder:
        """The validation of what the first certificate issued; it wants a time."""
        return PolicyBuilder().store(Store([self.chain[0]])).extension_policies(ca_policy=_CA, ee_policy=_LEAF)

    @cached_property
    def key_hash(self) -> bytes:
        """SHA-256 of the issuing certificate's SubjectPublicKeyInfo: how SCTs name it (RFC 6962, section 3.2)."""
        public = self.chain[0].public_key()
        return hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()

    def outside(self, times: Sequence[datetime]) -> datetime | None:
        """The first of `times` at which it was not valid: not believed, or a certificate of its chain expired (C7)."""
        for moment in times:
            if not (self.period.contains(moment) and self.validity.contains(moment)):
                return moment
        return None


def _require_issuer(certificate: Certificate, *, below: int) -> None:
    """Raises FormatError or ExtensionNotFound unless it may issue, with `below` issuers below it (RFC 5280, 6.1.4)."""
    extensions = certificate.extensions
    constraints = extensions.get_extension_for_class(BasicConstraints).value
    if not constraints.ca:
        raise FormatError("a certificate of the authority's chain is no authority's")
    if constraints.path_length is not None and constraints.path_length < below:
        raise FormatError("the authority's chain is longer than one of its certificates allows")
    try:
        usage = extensions.get_extension_for_class(KeyUsage).value
    except ExtensionNotFound:
        return
    if not usage.key_cert_sign:
        raise FormatError("a certificate of the authority's chain may not issue others")


def _require_stamping(certificate: Certificate) -> None:
    """Raises FormatError unless its key is for timestamps alone (RFC 3161, section 2.3)."""
    try:
        usage = certificate.extensions.get_extension_for_class(ExtendedKeyUsage)
    except ExtensionNotFound as error:
        raise FormatError(
            "the first certificate of the timestamp authority in the trust root is not for timestamps"
        ) from error
    if not usage.critical or list(usage.value) != [ExtendedKeyUsageOID.TIME_STAMPING]:
        raise FormatError("the timestamp authority's certificate is not for timestamps alone")
