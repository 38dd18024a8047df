"""Reading the errors of sigstore-python into reasons: by type and exact message, for the pinned version.

Source: sigstore 4.5.1, sigstore/verify/verifier.py, sigstore/models.py, sigstore/dsse and sigstore/_internal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dhallmark.controls.consumers.steps import Steps
from dhallmark.reasons import Reason
from dhallmark.verdict import Check

PINNED: Final = "4.5.1"
"""The version whose messages these are."""
VERIFIED: Final = 1000
"""The step after which the library was content, and its user must look."""

_BUNDLE = "InvalidBundle: "
_ERROR = "VerificationError: "
_ENTRY = _ERROR + "invalid log entry: "

_LIBRARY: Final = Steps(
    (
        (Reason.LOG_ENTRY_MISSING, _BUNDLE + "expected exactly one log entry in bundle"),
        (Reason.LOG_INCLUSION, _BUNDLE + "entry must contain inclusion proof, with checkpoint"),
        (Reason.LOG_INCLUSION, _BUNDLE + "expected checkpoint in inclusion proof"),
        (Reason.TIMESTAMP_MISSING, _BUNDLE + r"bundle must contain an inclusion promise or signed timestamp\(s\)"),
        (Reason.BUNDLE_MALFORMED, _BUNDLE + "failed to load bundle: .*"),
        (Reason.BUNDLE_MALFORMED, _BUNDLE + "unsupported bundle format: .*"),
        (Reason.BUNDLE_MALFORMED, _BUNDLE + "expected (non-empty )?certificate( chain)? in bundle"),
        (Reason.BUNDLE_MALFORMED, _BUNDLE + "bundle contains an invalid leaf or non-leaf certificate .*"),
        (Reason.ENVELOPE_MALFORMED, "InvalidEnvelope: envelope .*"),
        (Reason.TIMESTAMP_INVALID, _ERROR + r"too many signed timestamp: \d+ > \d+"),
        (Reason.TIMESTAMP_INVALID, _ERROR + "duplicate timestamp found"),
        (Reason.TIMESTAMP_INVALID, _ERROR + "Invalid Timestamp Response"),
        (Reason.TIMESTAMP_INVALID, _ERROR + "no Timestamp Authorities have been provided to validate this bundle .*"),
        (Reason.TIMESTAMP_INVALID, _ERROR + "not enough sources of verified time"),
        (Reason.CERTIFICATE_UNTRUSTED, "CertValidationError: failed to build timestamp certificate chain: .*"),
        (Reason.CERTIFICATE_SCT, _ERROR + "failed to verify SCT on signing certificate: .*"),
        (Reason.CERTIFICATE_PROFILE, _ERROR + "Key usage is not of type `digital signature`"),
        (Reason.CERTIFICATE_PROFILE, _ERROR + "Extended usage does not contain `code signing`"),
        (Reason.IDENTITY_ISSUER_MISMATCH, _ERROR + "Certificate's OIDCIssuer(V2)? does not match .*"),
        (Reason.IDENTITY_SUBJECT_MISMATCH, _ERROR + "Certificate's SANs do not match .*"),
        (Reason.LOG_CHECKPOINT, _ENTRY + "(checkpoint: |malformed LogCheckpoint: |malformed Note: ).*"),
        (Reason.LOG_CHECKPOINT, _ENTRY + "note must contain one blank line, .*"),
        (Reason.LOG_PROMISE, _ENTRY + "SET: .*"),
        (Reason.LOG_INCLUSION, _ENTRY + ".*"),
        (Reason.CERTIFICATE_OUTSIDE_VALIDITY, _ERROR + "invalid signing cert: expired at time of signing, time via .*"),
        (Reason.SIGNATURE_KIND, _ERROR + "cannot perform DSSE verification on a bundle without a DSSE envelope"),
        (Reason.ENVELOPE_MALFORMED, _ERROR + r"DSSE: exactly 1 signature allowed, got \d+"),
        (Reason.SIGNATURE_INVALID, _ERROR + "DSSE: invalid signature"),
        (Reason.LOG_ENTRY_MISMATCH, _ERROR + "Unsupported DSSE log entry type: .*"),
        (Reason.LOG_ENTRY_MISMATCH, _ERROR + "transparency log entry is inconsistent with other materials"),
        (Reason.LOG_ENTRY_MISMATCH, _ERROR + "log entry (payload hash does|signatures do) not match bundle"),
        (Reason.STATEMENT_MALFORMED, "Error: (invalid|malformed in-toto) statement: .*"),
    )
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one bundle."""

    reason: Reason | None
    words: str
    step: int = 0
    """How far verification came."""
    predicate_type: str = ""
    """What was verified: the type of the statement, and the SHA-256 digests of its subjects in hex."""
    sha256: frozenset[str] = frozenset()


def read_error(error: Exception) -> Answer:
    """The answer that an exception is. One that the library does not promise is `consumer.unreadable`."""
    words = f"{type(error).__name__}: {error}"
    step, reason = _LIBRARY.find(words) or (VERIFIED + 1, Reason.CONSUMER_UNREADABLE)
    return Answer(reason, words, step)


def conclude(predicate_type: str, digest: str, answers: Sequence[Answer]) -> Check:
    """The check of one required statement about `digest`, from what came of each bundle."""
    name = f"sigstore-python {predicate_type}"
    verified = [answer for answer in answers if answer.reason is None]
    right = [answer for answer in verified if answer.predicate_type == predicate_type]
    if any(digest.removeprefix("sha256:") in answer.sha256 for answer in right):
        return Check(name=name)
    if right:
        return Check(name=name, reason=Reason.SUBJECT_MISMATCH, detail="no subject of the statement has the digest")
    refused = [answer for answer in answers if answer.reason is not None]
    if not refused:
        return Check(name=name, reason=Reason.STATEMENT_MISSING, detail=f"no verified statement is a {predicate_type}")
    last = max(refused, key=lambda answer: answer.step)
    return Check(name=name, reason=last.reason, detail=last.words[:2000])
