"""The trust root: which logs, certificate and timestamp authorities are believed, and when.

It comes from one file that the caller names, never from TUF, a cache or the working directory (P15, T10).
Source: sigstore protobuf-specs, sigstore_trustroot.proto.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from cryptography.x509 import Certificate, load_der_x509_certificate
from sigstore._internal.trust import Key
from sigstore.errors import VerificationError
from sigstore_models.common.v1 import PublicKey, TimeRange
from sigstore_models.trustroot.v1 import CertificateAuthority, TransparencyLogInstance
from sigstore_models.trustroot.v1 import TrustedRoot as TrustedRootMessage

from dhallmark import strictjson
from dhallmark.errors import FormatError, Location
from dhallmark.verify.period import Period

MAX_TRUST_ROOT_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Log:
    """A transparency log or a certificate transparency log."""

    log_id: bytes
    host: str
    """Host name of the log's base URL, without port: what its checkpoints have as their origin."""
    public_key: PublicKey
    """The key as the trust root has it."""
    key: Key | None
    """The same key, ready for use. None where it is of a kind that this verifier does not read."""
    period: Period
    """When the log signed with this key."""


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority or a timestamp authority."""

    chain: tuple[Certificate, ...]
    """The issuing certificate first, the trust anchor last; at least one."""
    period: Period


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustRoot:
    """A trusted_root.json that was read and found to be well-formed."""

    logs: Mapping[bytes, Log]
    """By log id."""
    ct_logs: Mapping[bytes, Log]
    """By log id."""
    certificate_authorities: tuple[Authority, ...]
    timestamp_authorities: tuple[Authority, ...]

    @classmethod
    def load(cls, path: Path) -> TrustRoot:
        """Read a trust root from a file. Raises FormatError."""
        where = Location(file=str(path))
        try:
            return cls.parse(path.read_bytes())
        except OSError as error:
            raise FormatError(f"the trust root cannot be read: {error.strerror}", where=where) from error
        except FormatError as error:
            raise FormatError(error.message, where=where, hint="expected a Sigstore trusted_root.json") from error

    @classmethod
    def parse(cls, content: bytes) -> TrustRoot:
        """Read a trust root. Raises FormatError, and nothing else, for any other bytes."""
        body = strictjson.parse(content, what="trust root", max_bytes=MAX_TRUST_ROOT_BYTES)
        try:
            message = TrustedRootMessage.from_json(json.dumps(body))
            return cls(
                logs=_logs(message.tlogs),
                ct_logs=_logs(message.ctlogs),
                certificate_authorities=_authorities(message.certificate_authorities),
                timestamp_authorities=_authorities(message.timestamp_authorities),
            )
        except ValueError as error:  # pydantic's ValidationError, cryptography's and urllib's are ValueErrors
            raise FormatError(f"trust root: {error}") from error


def _period(valid_for: TimeRange | None) -> Period:
    period = Period(valid_for.start, valid_for.end) if valid_for else Period(None, None)
    for moment in (period.start, period.end):
        if moment is not None and moment.tzinfo is None:
            raise ValueError("a validity period without time zone")
    return period


def _logs(instances: Sequence[TransparencyLogInstance]) -> Mapping[bytes, Log]:
    found: dict[bytes, Log] = {}
    for instance in instances:
        try:
            key = Key(instance.public_key)
        except VerificationError:
            key = None
        log = Log(
            log_id=instance.log_id.key_id,
            host=urlsplit(instance.base_url).hostname or "",
            public_key=instance.public_key,
            key=key,
            period=_period(instance.public_key.valid_for),
        )
        # A log may give the id of its checkpoint key apart; an entry carries one or the other.
        for log_id in {log.log_id, (instance.checkpoint_key_id or instance.log_id).key_id}:
            if log_id in found:
                raise ValueError(f"two logs have the id {log_id.hex()}")
            found[log_id] = log
    return MappingProxyType(found)


def _authorities(instances: Sequence[CertificateAuthority]) -> tuple[Authority, ...]:
    found = []
    for instance in instances:
        chain = tuple(load_der_x509_certificate(item.raw_bytes) for item in instance.cert_chain.certificates)
        if not chain:
            raise ValueError("an authority without certificates")
        found.append(Authority(chain, _period(instance.valid_for)))
    return tuple(found)
