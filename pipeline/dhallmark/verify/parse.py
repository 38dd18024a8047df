"""Reading a Sigstore bundle: from hostile bytes to typed parts, or a refusal that says what is wrong.

Versions 0.1 to 0.3 are one message that grew: 0.1 may prove inclusion by the log's promise alone, 0.2 wants the proof,
0.3 the certificate by itself instead of a chain.

Source: sigstore protobuf-specs, sigstore_bundle.proto and its JSON mapping; DSSE v1.0.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

from cryptography.x509 import Certificate, load_der_x509_certificate

from dhallmark import strictjson
from dhallmark.reasons import Reason
from dhallmark.verify import protojson
from dhallmark.verify.protojson import Message
from dhallmark.verify.refusal import Refusal, border

MAX_BUNDLE_BYTES = 16 * 1024 * 1024
MAX_LOG_ENTRIES = 32
MAX_PROOF_HASHES = 64
"""The height of the tallest tree whose size is an int64, and one."""
_MAX_CERTIFICATES = 16
_MAX_LISTED_TIMESTAMPS = 4096
"""Read, so that the step that counts them (`timestamps`) can refuse them for their number."""

_FAMILY = "application/vnd.dev.sigstore.bundle"
_VERSIONS: Mapping[object, int] = MappingProxyType(
    {
        f"{_FAMILY}+json;version=0.1": 1,
        f"{_FAMILY}+json;version=0.2": 2,
        f"{_FAMILY}+json;version=0.3": 3,
        f"{_FAMILY}.v0.3+json": 3,
    }
)
_PROVEN = 2
"""The first version whose entries need an inclusion proof."""
_ALONE = 3
"""The first version whose certificate stands by itself."""

_BUNDLE = frozenset({"mediaType", "verificationMaterial", "dsseEnvelope", "messageSignature"})
_MATERIAL = frozenset({"publicKey", "x509CertificateChain", "certificate", "tlogEntries", "timestampVerificationData"})
_ENTRY = frozenset(
    {
        "logIndex",
        "logId",
        "kindVersion",
        "integratedTime",
        "inclusionPromise",
        "inclusionProof",
        "canonicalizedBody",
    }
)
_PROOF = frozenset({"logIndex", "rootHash", "treeSize", "hashes", "checkpoint"})
_RAW_BYTES = frozenset({"rawBytes"})
_HINT = frozenset({"hint"})
_CHAIN = frozenset({"certificates"})
_STAMPS = frozenset({"rfc3161Timestamps"})
_STAMP = frozenset({"signedTimestamp"})
_LOG_ID = frozenset({"keyId"})
_KIND = frozenset({"kind", "version"})
_PROMISE = frozenset({"signedEntryTimestamp"})
_CHECKPOINT = frozenset({"envelope"})
_NO_HASH = frozenset({"", "HASH_ALGORITHM_UNSPECIFIED"})
_HASHES = MappingProxyType({"SHA2_256": 32, "SHA2_384": 48, "SHA2_512": 64})


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """A DSSE envelope with its one signature."""

    payload_type: str
    payload: bytes
    signature: bytes

    @cached_property
    def pae(self) -> bytes:
        """The bytes that are signed (DSSE v1, pre-authentication encoding)."""
        kind = self.payload_type.encode()
        return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(self.payload), self.payload)


class MessageSignature(NamedTuple):
    """A signature over the bytes of a file, which are not in the bundle."""

    signature: bytes
    algorithm: str | None
    """What the digest below is of, such as SHA2_256. None where the bundle names no digest."""
    digest: bytes
    """What the bundle says is the digest of the file: nobody signed that."""


class InclusionProof(NamedTuple):
    """The path from an entry to the root of a log's Merkle tree (RFC 6962, section 2.1.1)."""

    log_index: int
    """In its tree."""
    size: int
    root: bytes
    hashes: tuple[bytes, ...]
    checkpoint: str | None
    """The signed note that vouches for the root. Only a bundle v0.1 may lack it."""


class LogEntry(NamedTuple):
    """An entry of a transparency log."""

    log_id: bytes
    log_index: int
    """In the whole log: a Rekor v1 log is a sequence of trees."""
    kind: str
    version: str
    integrated_time: int
    """Seconds since 1970, UTC; 0 where there is none."""
    promise: bytes | None
    """The signed entry timestamp."""
    proof: InclusionProof | None
    """Only a bundle v0.1 with a promise may lack it."""
    body: bytes


class ParsedBundle(NamedTuple):
    """The parts of a bundle. Nothing in it is verified yet."""

    content: Envelope | MessageSignature
    certificate: Certificate | None
    """The signer's. None where the bundle names a managed key; then `key_hint` is there."""
    certificate_der: bytes
    """The same as it stands in the bundle; empty where there is none."""
    key_hint: str | None
    timestamps: tuple[bytes, ...]
    """RFC 3161 responses, DER."""
    entries: tuple[LogEntry, ...]
    stamped: bytes | None = None
    """What the timestamps are over, where that is not the signature: cosign's older format (`dhallmark.verify.legacy`)
    has a whole envelope stamped."""

    @property
    def envelope(self) -> Envelope | None:
        """The DSSE envelope. None where the bundle signs a file's bytes."""
        return self.content if isinstance(self.content, Envelope) else None

    @property
    def signature(self) -> bytes:
        """The signature over the envelope's PAE, or over the file's bytes."""
        return self.content.signature


def parse_bundle(content: bytes) -> ParsedBundle:
    """Read a bundle. Raises Refusal, and nothing else."""
    with border(Reason.BUNDLE_MALFORMED, "bundle"):
        body = strictjson.parse(content, what="bundle", max_bytes=MAX_BUNDLE_BYTES)
        if not isinstance(body, dict):
            raise Refusal(Reason.BUNDLE_MALFORMED, "bundle: not a JSON object")
        version = _version(body.get("mediaType"))
        bundle = protojson.message(body, "bundle", _BUNDLE)
        material = protojson.required(bundle, "verificationMaterial", "bundle", _MATERIAL)
        certificate, der, hint = _signer(material, version)
        return ParsedBundle(
            content=_content(bundle),
            certificate=certificate,
            certificate_der=der,
            key_hint=hint,
            timestamps=_timestamps(material),
            entries=_entries(material, version),
        )


def _version(media_type: object) -> int:
    if isinstance(media_type, str):
        if media_type in _VERSIONS:
            return _VERSIONS[media_type]
        if media_type.startswith(_FAMILY):
            raise Refusal(
                Reason.FORMAT_UNSUPPORTED,
                "a bundle of another version than 0.1 to 0.3",
                expected=", ".join(map(str, _VERSIONS)),
                found=media_type[:100],
            )
    raise Refusal(Reason.BUNDLE_MALFORMED, "the media type is not a Sigstore bundle's", found=str(media_type)[:100])


def _content(bundle: Message) -> Envelope | MessageSignature:
    envelope, signature = bundle.get("dsseEnvelope"), bundle.get("messageSignature")
    if (envelope is None) == (signature is None):
        count = "neither" if envelope is None else "both"
        raise Refusal(Reason.BUNDLE_MALFORMED, f"bundle: {count} of an envelope and a message signature")
    if signature is not None:
        return _message_signature(protojson.message(signature, "messageSignature", _SIGNED_MESSAGE))
    return parse_envelope(envelope)


_DSSE = frozenset({"payload", "payloadType", "signatures"})
_DSSE_SIGNATURE = frozenset({"sig", "keyid"})
_SIGNED_MESSAGE = frozenset({"messageDigest", "signature"})
_MESSAGE_DIGEST = frozenset({"algorithm", "digest"})


def parse_envelope(value: object) -> Envelope:
    """Read a DSSE envelope from decoded JSON. Raises Refusal, and nothing else."""
    with border(Reason.ENVELOPE_MALFORMED, "envelope"):
        return _envelope(protojson.message(value, "dsseEnvelope", _DSSE))


def _envelope(envelope: Message) -> Envelope:
    signatures = protojson.children(envelope, "signatures", "dsseEnvelope", limit=1024)
    if len(signatures) != 1:
        raise Refusal(Reason.ENVELOPE_MALFORMED, "an envelope needs exactly one signature", found=str(len(signatures)))
    path = "dsseEnvelope.signatures[0]"
    signed = protojson.message(signatures[0], path, _DSSE_SIGNATURE)
    protojson.string(signed, "keyid", path)  # a hint that nobody signed: read, and never used (S11)
    signature = protojson.octets(signed, "sig", path)
    if not signature:
        raise Refusal(Reason.ENVELOPE_MALFORMED, "the envelope's signature is empty")
    for name in ("payload", "payloadType"):
        if envelope.get(name) is None:
            raise Refusal(Reason.ENVELOPE_MALFORMED, f"the envelope has no {name}")
    return Envelope(
        payload_type=protojson.string(envelope, "payloadType", "dsseEnvelope"),
        payload=protojson.octets(envelope, "payload", "dsseEnvelope"),
        signature=signature,
    )


def _message_signature(message: Message) -> MessageSignature:
    signature = protojson.octets(message, "signature", "messageSignature")
    if not signature:
        raise Refusal(Reason.BUNDLE_MALFORMED, "messageSignature: the signature is empty")
    path = "messageSignature.messageDigest"
    claimed = protojson.child(message, "messageDigest", "messageSignature", _MESSAGE_DIGEST) or {}
    algorithm, digest = protojson.string(claimed, "algorithm", path), protojson.octets(claimed, "digest", path)
    if algorithm in _NO_HASH and not digest:
        # cosign writes an empty message where Ed25519 signs the bytes themselves.
        return MessageSignature(signature=signature, algorithm=None, digest=b"")
    if _HASHES.get(algorithm) != len(digest):
        raise Refusal(
            Reason.BUNDLE_MALFORMED,
            f"{path}: not a digest of its algorithm",
            expected=", ".join(f"{name} with {size} bytes" for name, size in _HASHES.items()),
            found=f"{algorithm[:40]} with {len(digest)} bytes",
        )
    return MessageSignature(signature=signature, algorithm=algorithm, digest=digest)


def _signer(material: Message, version: int) -> tuple[Certificate | None, bytes, str | None]:
    """The certificate with its DER, or the hint at a key."""
    named = [name for name in ("publicKey", "x509CertificateChain", "certificate") if material.get(name) is not None]
    if not named:
        raise Refusal(Reason.CERTIFICATE_MISSING, "the bundle has neither a certificate nor the name of a key")
    path = "verificationMaterial"
    if len(named) > 1:
        raise Refusal(Reason.BUNDLE_MALFORMED, f"{path}: {' and '.join(named)} exclude each other")
    if named == ["publicKey"]:
        key = protojson.required(material, "publicKey", path, _HINT)
        return None, b"", protojson.string(key, "hint", f"{path}.publicKey")
    if named == ["certificate"]:
        leaf = protojson.required(material, "certificate", path, _RAW_BYTES)
        der = protojson.octets(leaf, "rawBytes", f"{path}.certificate")
        return load_der_x509_certificate(der), der, None
    if version >= _ALONE:
        raise Refusal(Reason.BUNDLE_MALFORMED, "bundle: version 0.3 needs its certificate alone, not a chain")
    return *_leaf_of_chain(material, f"{path}.x509CertificateChain"), None


def _leaf_of_chain(material: Message, path: str) -> tuple[Certificate, bytes]:
    """The first certificate of a chain. The others count for nothing: the trust root has the whole chain (C4, C5)."""
    chain = protojson.required(material, "x509CertificateChain", "verificationMaterial", _CHAIN)
    listed = protojson.children(chain, "certificates", path, limit=_MAX_CERTIFICATES)
    if not listed:
        raise Refusal(Reason.CERTIFICATE_MISSING, "the bundle's chain of certificates is empty")
    ders = [
        protojson.octets(
            protojson.message(item, f"{path}.certificates[{index}]", _RAW_BYTES),
            "rawBytes",
            f"{path}.certificates[{index}]",
        )
        for index, item in enumerate(listed)
    ]
    certificates = [load_der_x509_certificate(der) for der in ders]
    for certificate in certificates[1:]:
        if certificate.issuer == certificate.subject:
            raise Refusal(
                Reason.CERTIFICATE_ROOT_INCLUDED,
                "the bundle brings a root certificate of its own",
                found=certificate.subject.rfc4514_string(),
            )
    return certificates[0], ders[0]


def _timestamps(material: Message) -> tuple[bytes, ...]:
    path = "verificationMaterial.timestampVerificationData"
    data = protojson.child(material, "timestampVerificationData", "verificationMaterial", _STAMPS)
    if data is None:
        return ()
    listed = protojson.children(data, "rfc3161Timestamps", path, limit=_MAX_LISTED_TIMESTAMPS)
    return tuple(
        protojson.octets(
            protojson.message(item, f"{path}.rfc3161Timestamps[{index}]", _STAMP),
            "signedTimestamp",
            f"{path}.rfc3161Timestamps[{index}]",
        )
        for index, item in enumerate(listed)
    )


def _entries(material: Message, version: int) -> tuple[LogEntry, ...]:
    path = "verificationMaterial.tlogEntries"
    listed = protojson.children(material, "tlogEntries", "verificationMaterial", limit=MAX_LOG_ENTRIES)
    entries = tuple(_entry(item, f"{path}[{index}]", version) for index, item in enumerate(listed))
    if len({(entry.log_id, entry.log_index) for entry in entries}) != len(entries):
        raise Refusal(Reason.BUNDLE_MALFORMED, f"{path}: a log entry stands twice in the bundle")
    return entries


def _entry(value: object, path: str, version: int) -> LogEntry:
    entry = protojson.message(value, path, _ENTRY)
    log_id = protojson.required(entry, "logId", path, _LOG_ID)
    kind = protojson.required(entry, "kindVersion", path, _KIND)
    promise = protojson.child(entry, "inclusionPromise", path, _PROMISE)
    proof = _proof(entry, path)
    if version < _PROVEN and promise is None:
        raise Refusal(Reason.LOG_PROMISE, "the log entry has no inclusion promise, as bundles v0.1 must", field=path)
    if version >= _PROVEN and proof is None:
        raise Refusal(Reason.LOG_INCLUSION, "the log entry has no inclusion proof", field=path)
    if version >= _PROVEN and proof is not None and proof.checkpoint is None:
        raise Refusal(Reason.LOG_CHECKPOINT, "the inclusion proof has no checkpoint", field=path)
    return LogEntry(
        log_id=protojson.octets(log_id, "keyId", f"{path}.logId"),
        log_index=protojson.integer(entry, "logIndex", path),
        kind=protojson.string(kind, "kind", f"{path}.kindVersion"),
        version=protojson.string(kind, "version", f"{path}.kindVersion"),
        integrated_time=protojson.integer(entry, "integratedTime", path),
        promise=None
        if promise is None
        else protojson.octets(promise, "signedEntryTimestamp", f"{path}.inclusionPromise"),
        proof=proof,
        body=protojson.octets(entry, "canonicalizedBody", path),
    )


def _proof(entry: Message, path: str) -> InclusionProof | None:
    proof = protojson.child(entry, "inclusionProof", path, _PROOF)
    if not proof:
        return None
    path = f"{path}.inclusionProof"
    checkpoint = protojson.child(proof, "checkpoint", path, _CHECKPOINT)
    hashes = protojson.children(proof, "hashes", path, limit=MAX_PROOF_HASHES)
    return InclusionProof(
        log_index=protojson.integer(proof, "logIndex", path),
        size=protojson.integer(proof, "treeSize", path),
        root=protojson.octets(proof, "rootHash", path),
        hashes=tuple(protojson.octets_of(item, f"{path}.hashes[{index}]") for index, item in enumerate(hashes)),
        checkpoint=(protojson.string(checkpoint, "envelope", f"{path}.checkpoint") or None) if checkpoint else None,
    )
