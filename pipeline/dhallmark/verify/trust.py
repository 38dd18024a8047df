"""The trust root: which logs, certificate and timestamp authorities are believed, and when.

It comes from one file that the caller names, never from TUF, a cache or the working directory (P15, T10). What follows
from it alone is found once, when it is read: its keys are ready to verify, and the chain of each authority is checked.

Source: sigstore protobuf-specs, sigstore_trustroot.proto and its JSON mapping.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509 import load_der_x509_certificate

from dhallmark import strictjson
from dhallmark.digest import Digest
from dhallmark.errors import FormatError, Location
from dhallmark.verify import protojson
from dhallmark.verify.authority import Authority, Role
from dhallmark.verify.note import HINT_BYTES
from dhallmark.verify.period import Period, Periods
from dhallmark.verify.protojson import Message
from dhallmark.verify.schemes import Key

MAX_TRUST_ROOT_BYTES = 4 * 1024 * 1024
_MAX_LISTED = 256
_MEDIA_TYPES = (
    "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
    "application/vnd.dev.sigstore.trustedroot.v0.2+json",
)
_ROOT = frozenset({"mediaType", "tlogs", "certificateAuthorities", "ctlogs", "timestampAuthorities"})
_LOG = frozenset({"baseUrl", "hashAlgorithm", "publicKey", "logId", "checkpointKeyId", "operator"})
_KEY = frozenset({"rawBytes", "keyDetails", "validFor"})
_AUTHORITY = frozenset({"subject", "uri", "certChain", "validFor", "operator"})
_ID = frozenset({"keyId"})


@dataclass(frozen=True, slots=True)
class Log:
    """A transparency log or a certificate transparency log."""

    log_id: bytes
    host: str
    """Host name of the log's base URL, without port."""
    names: frozenset[str]
    """What its checkpoints may have as their origin: the host name, bare or with the port of the base URL."""
    hints: frozenset[bytes]
    """How the log's key is called in the signatures of checkpoints."""
    key: Key | None
    """None where it is of a kind that this verifier does not read."""
    key_details: str
    """Kind and scheme of the key, as the trust root has it."""
    periods: Periods
    """When the log signed with this key."""

    def is_same(self, other: Log) -> bool:
        """Whether it is the same log with the same key, listed for another time."""
        keys = [log.key and log.key.public for log in (self, other)]
        return keys[0] == keys[1] and (self.key_details, self.names) == (other.key_details, other.names)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustRoot:
    """A trusted_root.json that was read and found to be well-formed."""

    logs: Mapping[bytes, Log]
    """By log id."""
    ct_logs: Mapping[bytes, Log]
    """By log id."""
    certificate_authorities: tuple[Authority, ...]
    timestamp_authorities: tuple[Authority, ...]
    digest: Digest | None = None
    """Of the file's bytes: what a policy names a trust root by. None for one that a program put together."""

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
        root = protojson.message(body, "trust root", _ROOT)
        if root.get("mediaType") not in _MEDIA_TYPES:
            raise FormatError(f"trust root: the media type is not a trust root's: {str(root.get('mediaType'))[:100]!r}")
        return cls(
            logs=_logs(root, "tlogs"),
            ct_logs=_logs(root, "ctlogs"),
            certificate_authorities=_authorities(root, "certificateAuthorities", Role.ISSUING),
            timestamp_authorities=_authorities(root, "timestampAuthorities", Role.STAMPING),
            digest=Digest.of(content),
        )


def _period(holder: Message, path: str, *, of_key: bool) -> Period:
    """A validity period, always open where it is not there. That of a key has a start: it was made some time."""
    found = protojson.child(holder, "validFor", path, frozenset({"start", "end"}))
    if found is None:
        return Period(None, None)
    start = protojson.timestamp(found, "start", f"{path}.validFor")
    if start is None and of_key:
        raise FormatError(f"{path}.validFor.start: is missing")
    return Period(start, protojson.timestamp(found, "end", f"{path}.validFor"))


def _logs(root: Message, name: str) -> Mapping[bytes, Log]:
    found: dict[bytes, Log] = {}
    for index, item in enumerate(protojson.children(root, name, "trust root", limit=_MAX_LISTED)):
        path = f"{name}[{index}]"
        instance = protojson.message(item, path, _LOG)
        log_id = protojson.octets(protojson.required(instance, "logId", path, _ID), "keyId", f"{path}.logId")
        checkpoint = protojson.child(instance, "checkpointKeyId", path, _ID)
        # A log may give the id of its checkpoint key apart; an entry carries one or the other.
        ids = {log_id} | ({protojson.octets(checkpoint, "keyId", f"{path}.checkpointKeyId")} if checkpoint else set())
        log = _log(instance, path, log_id, frozenset(known[:HINT_BYTES] for known in ids))
        for known in ids:
            before = found.get(known)
            if before is not None and not before.is_same(log):
                raise FormatError(f"{path}: two logs have the id {known.hex()}")
            each = before.periods.each if before is not None else ()
            found[known] = replace(log, periods=Periods((*each, *log.periods.each)))
    return MappingProxyType(found)


def _log(instance: Message, path: str, log_id: bytes, hints: frozenset[bytes]) -> Log:
    public = protojson.required(instance, "publicKey", path, _KEY)
    details = protojson.string(public, "keyDetails", f"{path}.publicKey")
    try:
        url = urlsplit(protojson.string(instance, "baseUrl", path))
        host, port = url.hostname or "", url.port
    except ValueError as error:
        raise FormatError(f"{path}.baseUrl: {error}") from error
    return Log(
        log_id=log_id,
        host=host,
        names=frozenset({host, f"{host}:{port}"} if port else {host}) - {""},
        hints=hints,
        key=_key(protojson.octets(public, "rawBytes", f"{path}.publicKey"), details),
        key_details=details,
        periods=Periods((_period(public, f"{path}.publicKey", of_key=True),)),
    )


def _key(content: bytes, details: str) -> Key | None:
    """A log's key. One that cannot be read spoils its log alone: a trust root may have logs of newer kinds."""
    try:
        return Key.named(load_der_public_key(content), details)
    except (ValueError, UnsupportedAlgorithm, FormatError):
        return None


def _authorities(root: Message, name: str, role: Role) -> tuple[Authority, ...]:
    found = []
    for index, item in enumerate(protojson.children(root, name, "trust root", limit=_MAX_LISTED)):
        path = f"{name}[{index}]"
        instance = protojson.message(item, path, _AUTHORITY)
        chain = protojson.required(instance, "certChain", path, frozenset({"certificates"}))
        listed = protojson.children(chain, "certificates", f"{path}.certChain", limit=_MAX_LISTED)
        if not listed:
            raise FormatError(f"{path}: an authority without certificates")
        certificates = []
        for number, certificate in enumerate(listed):
            where = f"{path}.certChain.certificates[{number}]"
            content = protojson.octets(
                protojson.message(certificate, where, frozenset({"rawBytes"})), "rawBytes", where
            )
            try:
                certificates.append(load_der_x509_certificate(content))
            except ValueError as error:
                raise FormatError(f"{where}: not a certificate: {error}") from error
        found.append(Authority(tuple(certificates), _period(instance, path, of_key=False), role))
    return tuple(found)
