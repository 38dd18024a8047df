"""Who signed: the identity that Fulcio wrote into a certificate, or a managed key.

Source: Fulcio's docs/oid-info.md, OIDs below 1.3.6.1.4.1.57264.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from dhallmark.digest import Digest

EXTENSION_OIDS: Mapping[str, str] = MappingProxyType(
    {
        "buildSignerURI": "1.3.6.1.4.1.57264.1.9",
        "buildSignerDigest": "1.3.6.1.4.1.57264.1.10",
        "runnerEnvironment": "1.3.6.1.4.1.57264.1.11",
        "sourceRepositoryURI": "1.3.6.1.4.1.57264.1.12",
        "sourceRepositoryDigest": "1.3.6.1.4.1.57264.1.13",
        "sourceRepositoryRef": "1.3.6.1.4.1.57264.1.14",
        "sourceRepositoryIdentifier": "1.3.6.1.4.1.57264.1.15",
        "sourceRepositoryOwnerURI": "1.3.6.1.4.1.57264.1.16",
        "sourceRepositoryOwnerIdentifier": "1.3.6.1.4.1.57264.1.17",
        "buildConfigURI": "1.3.6.1.4.1.57264.1.18",
        "buildConfigDigest": "1.3.6.1.4.1.57264.1.19",
        "buildTrigger": "1.3.6.1.4.1.57264.1.20",
        "runInvocationURI": "1.3.6.1.4.1.57264.1.21",
        "sourceRepositoryVisibility": "1.3.6.1.4.1.57264.1.22",
        "deploymentEnvironment": "1.3.6.1.4.1.57264.1.23",
        "tokenSubject": "1.3.6.1.4.1.57264.1.24",
    }
)
"""The extensions that hold a DER UTF8String, by the name that policies use."""


class SubjectKind(StrEnum):
    """Which kind of subject alternative name a certificate has (RFC 5280, section 4.2.1.6)."""

    URI = "uri"
    """A workflow, a service account of a cloud: uniformResourceIdentifier."""
    EMAIL = "email"
    """A person or a service account: rfc822Name."""
    OTHER = "other"
    """Fulcio's otherName, such as `user!domain`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a certificate says of its owner."""

    issuer: str
    """The OIDC issuer's URL."""
    subject: str
    """The one subject alternative name: a URI, an e-mail address or Fulcio's otherName."""
    subject_kind: SubjectKind = SubjectKind.URI
    """Which of these it is: an e-mail address may be spelt like a URI (C11)."""
    extensions: Mapping[str, str] = field(default_factory=dict)
    """The extensions that are there, by the names of EXTENSION_OIDS."""

    def to_json(self) -> dict[str, object]:
        return {"issuer": self.issuer, "subject": self.subject, "extensions": dict(self.extensions)}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyIdentity:
    """Who signed with a managed key: the key itself is all that is known of its owner."""

    fingerprint: Digest
    """SHA-256 of the DER SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7)."""

    def to_json(self) -> dict[str, object]:
        return {"key": self.fingerprint}


def bare_commit(value: str) -> str:
    """An extension's value without the kind of digest before it: a CI may write `sha1:` before a commit's id."""
    return value.removeprefix("sha1:").removeprefix("sha256:")


Signatory = Identity | KeyIdentity
"""Whoever signed a bundle."""
