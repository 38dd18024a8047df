"""The transparency log: that an entry is in a log of the trust root, and when that log took it.

Source: RFC 6962 (inclusion proofs), C2SP signed-note and tlog-checkpoint, Rekor v1's signed entry timestamp.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from datetime import UTC, datetime

from cryptography.exceptions import InvalidSignature

from dhallmark import strictjson
from dhallmark.reasons import Reason
from dhallmark.verify.body import is_rekor_v2
from dhallmark.verify.merkle import root_of
from dhallmark.verify.note import Checkpoint, Line
from dhallmark.verify.parse import InclusionProof, LogEntry
from dhallmark.verify.refusal import Refusal, border
from dhallmark.verify.schemes import Key
from dhallmark.verify.trust import Log, TrustRoot


def find_logs(entries: Sequence[LogEntry], trust: TrustRoot, *, least: int) -> tuple[tuple[LogEntry, Log], ...]:
    """The entries of logs in the trust root, each with its log; what they say of it, their checkpoint must prove.

    An entry of a log that is not trusted counts for nothing, and harms nothing beside one that is. Refused where fewer
    than `least` trusted logs have an entry, or none has while there are entries. Two entries of one log are one.
    """
    found = tuple((entry, log) for entry in entries if (log := trust.logs.get(entry.log_id)) is not None)
    count = len({log.log_id for _, log in found})
    if count < max(least, 1 if entries else 0):
        raise Refusal(
            Reason.LOG_ENTRY_MISSING,
            "the bundle has too few entries of logs that are trusted" if entries else "the bundle has no log entry",
            expected=f"{max(least, 1)} of: " + (", ".join(sorted({log.host for log in trust.logs.values()})) or "none"),
            found=", ".join(entry.log_id.hex() for entry in entries) or "none",
        )
    for _, log in found:
        if log.key is None:
            raise Refusal(
                Reason.FORMAT_UNSUPPORTED,
                "the log's key is of a kind that this verifier does not read",
                found=log.key_details,
            )
    return found


def read_integrated_time(entry: LogEntry, log: Log) -> datetime | None:
    """When the log says that it took the entry, by its signed promise (Rekor v1). None where it promises nothing.

    An integrated time without its promise is the bundle's word alone and counts for nothing (T6).
    """
    if entry.promise is None:
        return None
    promised = strictjson.dump_compact(  # RFC 8785's form: ASCII strings and integers alone
        {
            "body": base64.b64encode(entry.body).decode(),
            "integratedTime": entry.integrated_time,
            "logID": entry.log_id.hex(),
            "logIndex": entry.log_index,
        }
    )
    with border(Reason.LOG_PROMISE, "inclusion promise"):
        try:
            _key_of(log).verify_bytes(entry.promise, promised)
        except InvalidSignature as error:
            raise Refusal(Reason.LOG_PROMISE, "the log's promise is not about this entry, or not the log's") from error
        # Rekor v2 promises nothing; a promise over one of its entries was not made by a log that we know.
        if not entry.integrated_time or is_rekor_v2(entry):
            return None
        return datetime.fromtimestamp(entry.integrated_time, tz=UTC)


def verify_key_period(log: Log, times: Sequence[datetime]) -> None:
    """Refuse an entry that was made, by one of `times`, when the log's key was not valid (T8)."""
    for moment in times:
        if not log.periods.contains(moment):
            raise Refusal(
                Reason.LOG_KEY_VALIDITY,
                "the entry was made when the log's key was not valid",
                expected=str(log.periods),
                found=moment.isoformat(),
            )


def verify_checkpoint(envelope: str, log: Log) -> Checkpoint:
    """The checkpoint, signed by `log`; signatures of others, such as witnesses, count for nothing."""
    with border(Reason.LOG_CHECKPOINT, "checkpoint"):
        checkpoint = Checkpoint.parse(envelope)
        try:
            _key_of(log).verify_bytes(_line_of(checkpoint, log).signature, checkpoint.text)
        except InvalidSignature as error:
            raise Refusal(Reason.LOG_CHECKPOINT, "the checkpoint is not signed by the log") from error
        return checkpoint


def verify_origin(entry: LogEntry, log: Log, checkpoint: Checkpoint) -> None:
    """Refuse a checkpoint of another log than the one that the trust root names: one key may sign for two (T3).

    A Rekor v2 log's origin is its host name; a Rekor v1 log adds ` - ` and the number of the tree.
    """
    signer = _line_of(checkpoint, log).name
    name, _, tree = checkpoint.origin.partition(" - ")
    numbered = checkpoint.origin == name or (not is_rekor_v2(entry) and re.fullmatch(r"[0-9]+", tree) is not None)
    if name not in log.names or signer != name or not numbered:
        raise Refusal(
            Reason.LOG_ORIGIN,
            "the checkpoint is another log's",
            expected=" or ".join(sorted(log.names)) or "a log with a host name",
            found=f"{checkpoint.origin}, signed as {signer}",
        )


def verify_inclusion(entry: LogEntry, proof: InclusionProof, checkpoint: Checkpoint | None) -> None:
    """Refuse an entry whose inclusion proof does not lead to the checkpoint's root hash.

    Without a checkpoint, which only a promise can stand in for, the proof must lead to the root that it claims.
    """
    with border(Reason.LOG_INCLUSION, "inclusion proof"):
        if checkpoint is not None and proof.size != checkpoint.size:
            raise Refusal(
                Reason.LOG_INCLUSION,
                "the proof is for another tree than the checkpoint's",
                expected=str(checkpoint.size),
                found=str(proof.size),
            )
        if checkpoint is not None and proof.root != checkpoint.root:
            raise Refusal(
                Reason.LOG_INCLUSION,
                "the proof's root hash is not the checkpoint's",
                expected=checkpoint.root.hex(),
                found=proof.root.hex(),
            )
        if root_of(entry.body, index=proof.log_index, size=proof.size, hashes=proof.hashes) != proof.root:
            raise Refusal(Reason.LOG_INCLUSION, "the entry is not in the tree of the root hash")


def _key_of(log: Log) -> Key:
    if log.key is None:  # `find_logs` has refused such a log
        raise Refusal(Reason.FORMAT_UNSUPPORTED, "the log's key cannot be read")
    return log.key


def _line_of(checkpoint: Checkpoint, log: Log) -> Line:
    line = checkpoint.signed_by(log.hints, log.names)
    if line is None:
        raise Refusal(Reason.LOG_CHECKPOINT, "the checkpoint has no signature of the log that the entry is in")
    return line
