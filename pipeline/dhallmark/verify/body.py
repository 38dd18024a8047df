"""The body of a log entry: what the log saw, compared with what the bundle holds, so that an entry about another
signature, other bytes or another signer is not taken for one about these (T1, CVE-2022-36056, CVE-2026-22703).

A body names a DSSE envelope in one of five ways, a message signature in two. Its base64 is compared as bytes.

Source: Rekor's pkg/types (hashedrekord 0.0.1, dsse 0.0.1, intoto 0.0.2), rekor-tiles' api (hashedrekord 0.0.2,
dsse 0.0.2).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from dhallmark import strictjson
from dhallmark.reasons import Reason
from dhallmark.verify.parse import Envelope, LogEntry, MessageSignature
from dhallmark.verify.protojson import decode_base64
from dhallmark.verify.refusal import Refusal, border
from dhallmark.verify.schemes import Content

_PEM = re.compile(
    r"\s*-----BEGIN (?P<label>CERTIFICATE|PUBLIC KEY)-----\r?\n(?P<body>[A-Za-z0-9+/=\r\n]+)-----END (?P=label)-----\s*"
)
_HASHES_V2 = MappingProxyType({"SHA2_256": "sha256", "SHA2_384": "sha384", "SHA2_512": "sha512"})
_HASHES_V1 = frozenset({"sha256", "sha384", "sha512"})


class Signed(NamedTuple):
    """What an entry must be about."""

    content: Envelope | MessageSignature
    message: Content
    """The bytes that are signed: an envelope's PAE, or the file's."""
    verifier: bytes
    """The signer's certificate, or the SubjectPublicKeyInfo of a managed key; DER."""
    certified: bool
    """True where `verifier` is a certificate."""


def verify_body(entry: LogEntry, signed: Signed) -> None:
    """Refuse an entry about anything else than `signed`."""
    compare = _KINDS.get((entry.kind, entry.version))
    if compare is None:
        raise Refusal(
            Reason.FORMAT_UNSUPPORTED,
            "an entry of a kind that this verifier does not read",
            expected=", ".join("/".join(kind) for kind in _KINDS),
            found=f"{entry.kind}/{entry.version}"[:100],
        )
    if isinstance(signed.content, MessageSignature) and entry.kind != _OF_MESSAGES:
        raise Refusal(
            Reason.LOG_ENTRY_MISMATCH,
            "the entry is about an envelope, and the bundle holds none",
            expected=_OF_MESSAGES,
            found=entry.kind,
        )
    with border(Reason.LOG_ENTRY_MISMATCH, "log entry"):
        body = strictjson.parse(entry.body, what="log entry")
        if not isinstance(body, dict) or (body.get("kind"), body.get("apiVersion")) != (entry.kind, entry.version):
            raise Refusal(Reason.LOG_ENTRY_MISMATCH, "the entry is of another kind than the bundle says")
        compare(_field(body, "spec"), signed)


def _hashedrekord_v2(spec: Mapping[str, Any], signed: Signed) -> None:
    record = _field(spec, "hashedRekordV002")
    data, signature = _field(record, "data"), _field(record, "signature")
    _digest(data.get("digest"), _HASHES_V2.get(data.get("algorithm", "")), signed.message, decode_base64)
    _same(decode_base64(_text(signature, "content")), signed.content.signature, "signature")
    _verifier_v2(_field(signature, "verifier"), signed)


def _hashedrekord_v1(spec: Mapping[str, Any], signed: Signed) -> None:
    hashed, signature = _field(_field(spec, "data"), "hash"), _field(spec, "signature")
    _digest(hashed.get("value"), _name_v1(hashed), signed.message, bytes.fromhex)
    _same(decode_base64(_text(signature, "content")), signed.content.signature, "signature")
    _verifier_v1(_text(_field(signature, "publicKey"), "content"), signed)


def _dsse_v2(spec: Mapping[str, Any], signed: Signed) -> None:
    record = _field(spec, "dsseV002")
    hashed, signature = _field(record, "payloadHash"), _only(record.get("signatures"))
    algorithm = _HASHES_V2.get(hashed.get("algorithm", ""))
    _digest(hashed.get("digest"), algorithm, _payload(signed), decode_base64)
    _same(decode_base64(_text(signature, "content")), signed.content.signature, "signature")
    _verifier_v2(_field(signature, "verifier"), signed)


def _dsse_v1(spec: Mapping[str, Any], signed: Signed) -> None:
    """Its hash of the whole envelope is not compared: it is of a JSON text that no bundle carries."""
    hashed, signature = _field(spec, "payloadHash"), _only(spec.get("signatures"))
    _digest(hashed.get("value"), _name_v1(hashed), _payload(signed), bytes.fromhex)
    _same(decode_base64(_text(signature, "signature")), signed.content.signature, "signature")
    _verifier_v1(_text(signature, "verifier"), signed)


def _intoto(spec: Mapping[str, Any], signed: Signed) -> None:
    """Payload and signature are in base64 twice. A log may leave the payload out, as its hash is there."""
    content = _field(spec, "content")
    envelope, hashed = _field(content, "envelope"), _field(content, "payloadHash")
    signature = _only(envelope.get("signatures"))
    payload = _payload(signed)
    _digest(hashed.get("value"), _name_v1(hashed), payload, bytes.fromhex)
    if envelope.get("payload") is not None:
        _same(_twice(_text(envelope, "payload")), payload.data, "payload")
    if isinstance(signed.content, Envelope):
        _same(envelope.get("payloadType"), signed.content.payload_type, "payloadType")
    _same(_twice(_text(signature, "sig")), signed.content.signature, "signature")
    _verifier_v1(_text(signature, "publicKey"), signed)


_KINDS: Mapping[tuple[str, str], Callable[[Mapping[str, Any], Signed], None]] = MappingProxyType(
    {
        ("hashedrekord", "0.0.1"): _hashedrekord_v1,
        ("dsse", "0.0.1"): _dsse_v1,
        ("intoto", "0.0.2"): _intoto,
        ("hashedrekord", "0.0.2"): _hashedrekord_v2,
        ("dsse", "0.0.2"): _dsse_v2,
    }
)
_OF_MESSAGES = "hashedrekord"


def is_rekor_v2(entry: LogEntry) -> bool:
    """True for the kinds of a Rekor v2 log, which gives no time and no promise."""
    return entry.version == "0.0.2" and entry.kind in ("hashedrekord", "dsse")


def _payload(signed: Signed) -> Content:
    return Content.of(signed.content.payload) if isinstance(signed.content, Envelope) else signed.message


def _field(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = holder.get(name)
    if not isinstance(value, dict):
        raise Refusal(Reason.LOG_ENTRY_MISMATCH, "the log entry lacks a part of its kind", field=name)
    return value


def _text(holder: Mapping[str, Any], name: str) -> str:
    value = holder.get(name)
    if not isinstance(value, str):
        raise Refusal(Reason.LOG_ENTRY_MISMATCH, "the log entry lacks a part of its kind", field=name)
    return value


def _only(signatures: object) -> Mapping[str, Any]:
    if not isinstance(signatures, list) or len(signatures) != 1 or not isinstance(signatures[0], dict):
        raise Refusal(Reason.LOG_ENTRY_MISMATCH, "the log entry is not about one signature", field="signatures")
    return signatures[0]


def _twice(text: str) -> bytes:
    return decode_base64(decode_base64(text).decode())


def _name_v1(hashed: Mapping[str, Any]) -> str | None:
    name = hashed.get("algorithm")
    return name if isinstance(name, str) and name in _HASHES_V1 else None


def _digest(found: object, algorithm: str | None, content: Content, decode: Callable[[str], bytes]) -> None:
    if algorithm is None or not isinstance(found, str):
        raise Refusal(Reason.LOG_ENTRY_MISMATCH, "the log entry has no digest that this verifier reads")
    digest = content.digest(algorithm)
    if digest is None:
        raise Refusal(Reason.FORMAT_UNSUPPORTED, "the log entry's digest takes the bytes of the file", found=algorithm)
    _same(decode(found), digest, "digest")


def _verifier_v2(verifier: Mapping[str, Any], signed: Signed) -> None:
    name = "x509Certificate" if signed.certified else "publicKey"
    _same(decode_base64(_text(_field(verifier, name), "rawBytes")), signed.verifier, "verifier")


def _verifier_v1(text: str, signed: Signed) -> None:
    found = _PEM.fullmatch(decode_base64(text).decode())
    if found is None or found["label"] != ("CERTIFICATE" if signed.certified else "PUBLIC KEY"):
        raise Refusal(Reason.LOG_ENTRY_MISMATCH, "the log entry names no signer of the bundle's kind")
    _same(decode_base64("".join(found["body"].split())), signed.verifier, "verifier")


def _same(found: object, expected: object, name: str) -> None:
    if found != expected:
        raise Refusal(Reason.LOG_ENTRY_MISMATCH, "the log entry is about other content", field=name)
