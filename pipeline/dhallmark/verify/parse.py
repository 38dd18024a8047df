"""Reading a Sigstore bundle v0.3: from hostile bytes to typed parts, or a refusal that says what is wrong.

Source: sigstore protobuf-specs, sigstore_bundle.proto and its JSON mapping; DSSE v1.0.2.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.x509 import Certificate, load_der_x509_certificate
from sigstore_models.bundle.v1 import Bundle
from sigstore_models.rekor.v1 import TransparencyLogEntry

from dhallmark import strictjson
from dhallmark.reasons import Reason
from dhallmark.verify.refusal import Refusal, border

MAX_BUNDLE_BYTES = 16 * 1024 * 1024
_FAMILY = "application/vnd.dev.sigstore.bundle"
_READABLE = ("application/vnd.dev.sigstore.bundle.v0.3+json", "application/vnd.dev.sigstore.bundle+json;version=0.3")

_BYTES_FIELDS = frozenset(
    {
        "rawBytes",
        "keyId",
        "rootHash",
        "hashes",
        "signedEntryTimestamp",
        "canonicalizedBody",
        "signedTimestamp",
        "payload",
        "sig",
        "signature",
        "digest",
    }
)
"""The fields of the bundle's messages that protobuf types as bytes; no other field has one of these names."""
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]*|[A-Za-z0-9_-]*)={0,2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A DSSE envelope with its one signature."""

    payload_type: str
    payload: bytes
    signature: bytes

    @property
    def pae(self) -> bytes:
        """The bytes that are signed (DSSE v1, pre-authentication encoding)."""
        kind = self.payload_type.encode()
        return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(self.payload), self.payload)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedBundle:
    """The parts of a bundle. Nothing in it is verified yet."""

    envelope: Envelope | None
    """None where the bundle holds a bare message signature."""
    signature: bytes
    """The signature over the envelope's PAE, or over the message."""
    certificate: Certificate
    timestamps: tuple[bytes, ...]
    """RFC 3161 responses, DER."""
    entry: TransparencyLogEntry


def parse_bundle(content: bytes) -> ParsedBundle:
    """Read a bundle. Raises Refusal, and nothing else."""
    with border(Reason.BUNDLE_MALFORMED, "bundle"):
        body = strictjson.parse(content, what="bundle", max_bytes=MAX_BUNDLE_BYTES)
        if not isinstance(body, dict):
            raise Refusal(Reason.BUNDLE_MALFORMED, "bundle: not a JSON object")
    _check_media_type(body.get("mediaType"))
    _check_envelope(body)
    _check_material(body.get("verificationMaterial"))
    with border(Reason.BUNDLE_MALFORMED, "bundle"):
        message = Bundle.from_json(json.dumps(_decode_alphabets(body, path="")))
        material = message.verification_material
        if material.certificate is None:
            raise Refusal(Reason.BUNDLE_MALFORMED, "bundle: a version 0.3 bundle needs its certificate alone")
        certificate = load_der_x509_certificate(material.certificate.raw_bytes)
        timestamps = material.timestamp_verification_data
        envelope = message.dsse_envelope
        if envelope is not None:
            signature = envelope.signatures[0].sig
        elif message.message_signature is not None:
            signature = message.message_signature.signature
        else:
            raise Refusal(Reason.BUNDLE_MALFORMED, "bundle: neither an envelope nor a message signature")
        return ParsedBundle(
            envelope=None
            if envelope is None
            else Envelope(payload_type=envelope.payload_type, payload=envelope.payload, signature=signature),
            signature=signature,
            certificate=certificate,
            timestamps=tuple(item.signed_timestamp for item in timestamps.rfc3161_timestamps) if timestamps else (),
            entry=material.tlog_entries[0],
        )


def _check_media_type(media_type: object) -> None:
    if media_type in _READABLE:
        return
    if isinstance(media_type, str) and media_type.startswith(_FAMILY):
        raise Refusal(
            Reason.FORMAT_UNSUPPORTED,
            "a bundle of another version than 0.3",
            expected=_READABLE[0],
            found=media_type[:100],
        )
    raise Refusal(Reason.BUNDLE_MALFORMED, "the media type is not a Sigstore bundle's", found=str(media_type)[:100])


def _check_envelope(body: Mapping[str, Any]) -> None:
    envelope = body.get("dsseEnvelope")
    if envelope is None:
        return  # the model refuses a bundle that has neither an envelope nor a message signature, or both
    if not isinstance(envelope, dict):
        raise Refusal(Reason.ENVELOPE_MALFORMED, "the envelope is not an object")
    signatures = envelope.get("signatures")
    if not isinstance(signatures, list) or len(signatures) != 1:
        found = str(len(signatures)) if isinstance(signatures, list) else "none"
        raise Refusal(Reason.ENVELOPE_MALFORMED, "an envelope needs exactly one signature", found=found)
    if not isinstance(signatures[0], dict) or not signatures[0].get("sig"):
        raise Refusal(Reason.ENVELOPE_MALFORMED, "the envelope's signature is empty")
    for field in ("payload", "payloadType"):
        if not isinstance(envelope.get(field), str):
            raise Refusal(Reason.ENVELOPE_MALFORMED, f"the envelope's {field} is not a string")


def _check_material(material: object) -> None:
    """What a bundle may lack: told apart here, because the model knows one error for all."""
    if not isinstance(material, dict):
        raise Refusal(Reason.BUNDLE_MALFORMED, "bundle: no verification material")
    if "publicKey" in material:
        raise Refusal(Reason.FORMAT_UNSUPPORTED, "signed with a managed key: this verifier reads certificates only")
    entries = material.get("tlogEntries")
    if not entries:
        raise Refusal(Reason.LOG_ENTRY_MISSING, "the bundle has no transparency log entry")
    if not isinstance(entries, list) or not isinstance(entries[0], dict):
        raise Refusal(Reason.BUNDLE_MALFORMED, "bundle: tlogEntries is not a list of objects")
    if len(entries) > 1:
        raise Refusal(Reason.FORMAT_UNSUPPORTED, "more than one transparency log entry", found=str(len(entries)))
    proof = entries[0].get("inclusionProof")
    if not proof:
        raise Refusal(Reason.LOG_INCLUSION, "the log entry has no inclusion proof")
    if isinstance(proof, dict) and not proof.get("checkpoint"):
        raise Refusal(Reason.LOG_CHECKPOINT, "the inclusion proof has no checkpoint")


def _decode_alphabets(value: object, *, path: str) -> object:
    """`value` with every bytes field in standard, padded base64.

    Protobuf's JSON mapping allows both alphabets, padded or not (S9). The model below decodes loosely: it would drop
    characters of the other alphabet, and yield other bytes than those that were signed.
    """
    if isinstance(value, dict):
        return {
            key: _strict_base64(item, path=f"{path}.{key}")
            if key in _BYTES_FIELDS
            else _decode_alphabets(item, path=f"{path}.{key}")
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_decode_alphabets(item, path=f"{path}[{index}]") for index, item in enumerate(value)]
    return value


def _strict_base64(value: object, *, path: str) -> object:
    if isinstance(value, list):
        return [_strict_base64(item, path=f"{path}[{index}]") for index, item in enumerate(value)]
    if not isinstance(value, str):
        return value  # of the wrong type: the model says so, with the field's path
    try:
        return base64.b64encode(decode_base64(value)).decode()
    except ValueError as error:
        reason = Reason.ENVELOPE_MALFORMED if path.startswith(".dsseEnvelope") else Reason.BUNDLE_MALFORMED
        raise Refusal(reason, f"{path.lstrip('.')}: {error}") from error


def decode_base64(text: str) -> bytes:
    """Base64 of either alphabet, padded or not, with no other character in it. Raises ValueError."""
    bare = text.rstrip("=")
    padded = len(bare) != len(text)
    if not _BASE64.fullmatch(text) or len(bare) % 4 == 1 or (padded and len(text) % 4):
        raise ValueError("not base64")
    return base64.b64decode(bare.replace("-", "+").replace("_", "/") + "=" * (-len(bare) % 4))
