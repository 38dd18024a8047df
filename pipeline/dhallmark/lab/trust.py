"""What clients of the lab are given: `trusted_root.json`, `signing_config.json`, `trust_config.json`.

Source: sigstore/protobuf-specs, sigstore_trustroot.proto (TrustedRoot v0.1, SigningConfig v0.2, ClientTrustConfig
v0.1) in its JSON form. A log's id is the SHA-256 of its key's SubjectPublicKeyInfo (RFC 6962, section 3.2; the same
for the ECDSA keys of Rekor's checkpoints).
"""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

TRUSTED_ROOT = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
SIGNING_CONFIG = "application/vnd.dev.sigstore.signingconfig.v0.2+json"
TRUST_CONFIG = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"
_OPERATOR = "lab.dhallmark.test"

Json = dict[str, object]


def trusted_root(
    *,
    fulcio: tuple[str, tuple[x509.Certificate, ...]],
    rekor: tuple[str, bytes],
    ctlog: tuple[str, bytes],
    timestamp: tuple[str, tuple[x509.Certificate, ...]],
) -> Json:
    """A TrustedRoot of one authority, log, CT log and timestamp authority: each its URL and its chain, issuing or
    leaf certificate first, or its public key as DER SubjectPublicKeyInfo."""
    start = fulcio[1][-1].not_valid_before_utc
    return {
        "mediaType": TRUSTED_ROOT,
        "tlogs": [_log(*rekor, start=start)],
        "certificateAuthorities": [_authority(*fulcio)],
        "ctlogs": [_log(*ctlog, start=start)],
        "timestampAuthorities": [_authority(*timestamp)],
    }


def signing_config(*, fulcio: str, oidc: str, rekor: str, timestamp: str, start: datetime) -> Json:
    """A SigningConfig: the URLs that a signature is made with."""

    def services(url: str, version: int) -> list[Json]:
        valid: Json = {"start": _time(start)}
        return [{"url": url, "majorApiVersion": version, "validFor": valid, "operator": _OPERATOR}]

    return {
        "mediaType": SIGNING_CONFIG,
        "caUrls": services(fulcio, 1),
        "oidcUrls": services(oidc, 1),
        "rekorTlogUrls": services(rekor, 2),
        "rekorTlogConfig": {"selector": "ANY"},
        "tsaUrls": services(timestamp, 1),
        "tsaConfig": {"selector": "ANY"},
    }


def trust_config(root: Json, signing: Json) -> Json:
    """A ClientTrustConfig: both of the above in one file."""
    return {"mediaType": TRUST_CONFIG, "trustedRoot": root, "signingConfig": signing}


def log_id(key: bytes) -> bytes:
    """The id of a log with this key (DER SubjectPublicKeyInfo)."""
    return hashlib.sha256(key).digest()


def _log(url: str, key: bytes, *, start: datetime) -> Json:
    return {
        "baseUrl": url,
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": _base64(key),
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            "validFor": {"start": _time(start)},
        },
        "logId": {"keyId": _base64(log_id(key))},
    }


def _authority(url: str, chain: tuple[x509.Certificate, ...]) -> Json:
    root = chain[-1]

    def name(oid: x509.ObjectIdentifier) -> str:
        return str(root.subject.get_attributes_for_oid(oid)[0].value)

    return {
        "subject": {"organization": name(NameOID.ORGANIZATION_NAME), "commonName": name(NameOID.COMMON_NAME)},
        "uri": url,
        "certChain": {
            "certificates": [
                {"rawBytes": _base64(certificate.public_bytes(serialization.Encoding.DER))} for certificate in chain
            ]
        },
        "validFor": {"start": _time(root.not_valid_before_utc)},
    }


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
