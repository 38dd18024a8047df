"""The transparency log: that the entry is in a trusted log, and is about this very signature.

Source: RFC 6962 (inclusion proofs), C2SP signed-note and tlog-checkpoint, Rekor v1 and v2's entry types.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from sigstore._internal.merkle import verify_merkle_inclusion
from sigstore._internal.rekor.checkpoint import LogCheckpoint, RekorSignature, SignedNote
from sigstore._internal.trust import Key
from sigstore.models import TransparencyLogEntry as LibraryEntry
from sigstore_models.rekor.v1 import TransparencyLogEntry

from dhallmark import strictjson
from dhallmark.reasons import Reason
from dhallmark.verify.parse import ParsedBundle
from dhallmark.verify.refusal import Refusal, border
from dhallmark.verify.trust import Log, TrustRoot

REKOR_V2 = ("hashedrekord", "0.0.2")
REKOR_V1 = ("dsse", "0.0.1")
_KEY_HINT_BYTES = 4


def find_log(entry: TransparencyLogEntry, trust: TrustRoot) -> Log:
    """The log of the trust root that the entry says it is in. What it says is verified by the checkpoint."""
    log = trust.logs.get(entry.log_id.key_id)
    if log is None:
        raise Refusal(
            Reason.LOG_ENTRY_MISSING,
            "the log entry is of a log that is not trusted",
            expected=", ".join(sorted({known.host for known in trust.logs.values()})),
            found=entry.log_id.key_id.hex(),
        )
    if log.key is None:
        raise Refusal(
            Reason.FORMAT_UNSUPPORTED,
            "the log's key is of a kind that this verifier does not read",
            found=log.public_key.key_details.value,
        )
    return log


def read_integrated_time(entry: TransparencyLogEntry, log: Log) -> datetime | None:
    """When the log says that it took the entry, by its signed promise (Rekor v1). None where it promises nothing.

    An integrated time without its promise is the bundle's word alone and counts for nothing (T6).
    """
    if not entry.inclusion_promise:
        return None
    with border(Reason.LOG_PROMISE, "inclusion promise"):
        promised = strictjson.dump_compact(  # RFC 8785's form: ASCII strings and integers alone
            {
                "body": base64.b64encode(entry.canonicalized_body).decode(),
                "integratedTime": entry.integrated_time or 0,
                "logID": entry.log_id.key_id.hex(),
                "logIndex": entry.log_index,
            }
        )
        _key_of(log).verify(entry.inclusion_promise.signed_entry_timestamp, promised)
        # Rekor v2 promises nothing; a promise over one of its entries was not made by a log that we know.
        if not entry.integrated_time or (entry.kind_version.kind, entry.kind_version.version) == REKOR_V2:
            return None
        return datetime.fromtimestamp(entry.integrated_time, tz=UTC)


def verify_key_period(log: Log, times: Sequence[datetime]) -> None:
    """Refuse an entry that was made, by one of `times`, when the log's key was not valid (T8)."""
    for moment in times:
        if not log.period.contains(moment):
            raise Refusal(
                Reason.LOG_KEY_VALIDITY,
                "the entry was made when the log's key was not valid",
                expected=str(log.period),
                found=moment.isoformat(),
            )


def verify_checkpoint(entry: TransparencyLogEntry, log: Log) -> LogCheckpoint:
    """The entry's checkpoint, signed by `log`. Signature lines of others (witnesses) count for nothing."""
    with border(Reason.LOG_CHECKPOINT, "checkpoint"):
        note = SignedNote.from_text(_envelope(entry))
        line = _line_of(note, log)
        _key_of(log).verify(base64.b64decode(line.signature), note.note.encode())
        return LogCheckpoint.from_text(note.note)


def verify_origin(entry: TransparencyLogEntry, log: Log, checkpoint: LogCheckpoint) -> None:
    """Refuse a checkpoint of another log than the one that the trust root names: one key may sign for two (T3).

    A Rekor v2 log's origin is its host name; a Rekor v1 log adds ` - ` and the number of the tree.
    """
    with border(Reason.LOG_ORIGIN, "checkpoint"):
        signer = _line_of(SignedNote.from_text(_envelope(entry)), log).name
        tree = "" if (entry.kind_version.kind, entry.kind_version.version) == REKOR_V2 else r"( - [0-9]+)?"
        if not log.host or signer != log.host or not re.fullmatch(re.escape(log.host) + tree, checkpoint.origin):
            raise Refusal(
                Reason.LOG_ORIGIN,
                "the checkpoint is another log's",
                expected=log.host,
                found=f"{checkpoint.origin}, signed as {signer}",
            )


def verify_inclusion(entry: TransparencyLogEntry, checkpoint: LogCheckpoint) -> None:
    """Refuse an entry whose inclusion proof does not lead to the checkpoint's root hash."""
    with border(Reason.LOG_INCLUSION, "inclusion proof"):
        proof = entry.inclusion_proof
        if proof.tree_size != checkpoint.log_size:
            raise Refusal(
                Reason.LOG_INCLUSION,
                "the proof is for another tree than the checkpoint's",
                expected=str(checkpoint.log_size),
                found=str(proof.tree_size),
            )
        if proof.root_hash.hex() != checkpoint.log_hash:
            raise Refusal(
                Reason.LOG_INCLUSION,
                "the proof's root hash is not the checkpoint's",
                expected=checkpoint.log_hash,
                found=proof.root_hash.hex(),
            )
        verify_merkle_inclusion(LibraryEntry(entry))


def verify_body(bundle: ParsedBundle) -> None:
    """Refuse an entry about other content: other bytes, another signature or certificate (T1, CVE-2022-36056)."""
    kind = (bundle.entry.kind_version.kind, bundle.entry.kind_version.version)
    if bundle.envelope is None or kind not in _EXPECTED:
        raise Refusal(
            Reason.FORMAT_UNSUPPORTED,
            "an entry of a kind that this verifier does not read",
            expected=" or ".join("/".join(known) for known in _EXPECTED),
            found="/".join(kind)[:100],
        )
    with border(Reason.LOG_ENTRY_MISMATCH, "log entry"):
        body = strictjson.parse(bundle.entry.canonicalized_body, what="log entry")
        expected = _EXPECTED[kind](bundle)
        if not isinstance(body, dict) or body.get("kind") != kind[0] or body.get("apiVersion") != kind[1]:
            raise Refusal(Reason.LOG_ENTRY_MISMATCH, "the entry is of another kind than the bundle says")
        _compare(expected, body.get("spec"), path="spec")


def _expected_v2(bundle: ParsedBundle) -> Mapping[str, Any]:
    """Rekor v2 logs a DSSE envelope as the digest of its PAE, its one signature, and the certificate."""
    certificate = bundle.certificate.public_bytes(Encoding.DER)
    return {
        "hashedRekordV002": {
            "data": {
                "algorithm": "SHA2_256",
                "digest": base64.b64encode(hashlib.sha256(bundle.envelope.pae).digest()).decode()
                if bundle.envelope
                else None,
            },
            "signature": {
                "content": base64.b64encode(bundle.signature).decode(),
                "verifier": {"x509Certificate": {"rawBytes": base64.b64encode(certificate).decode()}},
            },
        }
    }


def _expected_v1(bundle: ParsedBundle) -> Mapping[str, Any]:
    """Rekor v1 logs the payload's digest, the signature, and the certificate as PEM.

    Its hash of the whole envelope is not compared: it is of a JSON text that no bundle carries.
    """
    payload = bundle.envelope.payload if bundle.envelope else b""
    return {
        "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()},
        "signatures": [
            {
                "signature": base64.b64encode(bundle.signature).decode(),
                "verifier": base64.b64encode(bundle.certificate.public_bytes(Encoding.PEM)).decode(),
            }
        ],
    }


_EXPECTED = {REKOR_V2: _expected_v2, REKOR_V1: _expected_v1}


def _compare(expected: object, found: object, *, path: str) -> None:
    """Refuse `found` where it differs from `expected`; what `expected` does not name is not looked at."""
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        for key, value in expected.items():
            _compare(value, found.get(key), path=f"{path}.{key}")
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for index, (one, other) in enumerate(zip(expected, found, strict=True)):
            _compare(one, other, path=f"{path}[{index}]")
    elif expected != found:
        raise Refusal(Reason.LOG_ENTRY_MISMATCH, "the log entry is about other content", field=path)


def _key_of(log: Log) -> Key:
    if log.key is None:  # `find_log` has refused such a log
        raise Refusal(Reason.FORMAT_UNSUPPORTED, "the log's key cannot be read")
    return log.key


def _envelope(entry: TransparencyLogEntry) -> str:
    checkpoint = entry.inclusion_proof.checkpoint
    if checkpoint is None:
        raise Refusal(Reason.LOG_CHECKPOINT, "the inclusion proof has no checkpoint")
    return checkpoint.envelope


def _line_of(note: SignedNote, log: Log) -> RekorSignature:
    for line in note.signatures:
        if line.sig_hash == log.log_id[:_KEY_HINT_BYTES]:
            return line
    raise Refusal(Reason.LOG_CHECKPOINT, "the checkpoint has no signature of the log that the entry is in")
