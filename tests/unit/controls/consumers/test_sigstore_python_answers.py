"""Reading the errors of sigstore-python, as it raised them about mutants, and what becomes of all answers."""

from __future__ import annotations

import pytest
from sigstore.dsse import InvalidEnvelope
from sigstore.errors import CertValidationError, Error, VerificationError
from sigstore.models import InvalidBundle

from dhallmark.controls.consumers.sigstore_python_answers import VERIFIED, Answer, conclude, read_error
from dhallmark.reasons import Reason

TYPE = "https://slsa.dev/provenance/v1"
DIGEST = "sha256:" + "ab" * 32
GOOD = Answer(None, "", VERIFIED, predicate_type=TYPE, sha256=frozenset({"ab" * 32}))
OTHER_TYPE = Answer(None, "", VERIFIED, predicate_type="https://other", sha256=frozenset({"ab" * 32}))
OTHER_SUBJECT = Answer(None, "", VERIFIED, predicate_type=TYPE, sha256=frozenset({"cd" * 32}))
EARLY = Answer(Reason.LOG_ENTRY_MISSING, "early", 0)
LATE = Answer(Reason.SIGNATURE_INVALID, "late", 30)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (InvalidBundle("expected exactly one log entry in bundle"), Reason.LOG_ENTRY_MISSING),
        (InvalidBundle("bundle must contain an inclusion promise or signed timestamp(s)"), Reason.TIMESTAMP_MISSING),
        (InvalidBundle("failed to load bundle: 1 validation error for Bundle\nmediaType"), Reason.BUNDLE_MALFORMED),
        (InvalidEnvelope("envelope must contain exactly one signature"), Reason.ENVELOPE_MALFORMED),
        (VerificationError("not enough sources of verified time"), Reason.TIMESTAMP_INVALID),
        (
            CertValidationError("failed to build timestamp certificate chain: candidates exhausted"),
            Reason.CERTIFICATE_UNTRUSTED,
        ),
        (VerificationError("failed to verify SCT on signing certificate: no"), Reason.CERTIFICATE_SCT),
        (
            VerificationError("Certificate's OIDCIssuerV2 does not match (got 'a', expected 'b')"),
            Reason.IDENTITY_ISSUER_MISMATCH,
        ),
        (VerificationError("Certificate's SANs do not match a; actual SANs: {'b'}"), Reason.IDENTITY_SUBJECT_MISMATCH),
        (VerificationError("invalid log entry: checkpoint: Signature not found for log ID ab"), Reason.LOG_CHECKPOINT),
        (VerificationError("invalid log entry: inclusion proof contains invalid root hash"), Reason.LOG_INCLUSION),
        (VerificationError("DSSE: invalid signature"), Reason.SIGNATURE_INVALID),
        (
            VerificationError("transparency log entry is inconsistent with other materials"),
            Reason.LOG_ENTRY_MISMATCH,
        ),
        (Error("malformed in-toto statement: 1 validation error"), Reason.STATEMENT_MALFORMED),
        (VerificationError("something new"), Reason.CONSUMER_UNREADABLE),
        (ValueError("DSSE: invalid signature"), Reason.CONSUMER_UNREADABLE),
        (RecursionError("maximum recursion depth exceeded"), Reason.CONSUMER_UNREADABLE),
    ],
)
def test_an_error_is_read_by_its_type_and_message(error: Exception, reason: Reason) -> None:
    answer = read_error(error)
    assert answer.reason is reason
    assert str(error) in answer.words


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([EARLY, GOOD, LATE], None),
        ([OTHER_TYPE], Reason.STATEMENT_MISSING),
        ([OTHER_TYPE, OTHER_SUBJECT], Reason.SUBJECT_MISMATCH),
        ([OTHER_TYPE, EARLY, LATE], Reason.SIGNATURE_INVALID),
        ([LATE, EARLY], Reason.SIGNATURE_INVALID),
        ([LATE, read_error(KeyError("x"))], Reason.CONSUMER_UNREADABLE),
    ],
)
def test_a_required_statement_is_there_verified_and_about_the_artifact(
    answers: list[Answer], reason: Reason | None
) -> None:
    assert conclude(TYPE, DIGEST, answers).reason is reason
