"""Reading cosign's answers into reasons: by exit code and exact message, for the pinned version.

cosign names one cause for each bundle that it refused, in the order of sigstore-go's steps. The cause of the bundle
that came furthest decides: links are about files, and fail for their subject whatever else is wrong. A line that is
not known makes the whole answer unreadable; nothing is guessed from part of a message.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from dhallmark.reasons import Reason
from dhallmark.verdict import Check

PINNED: Final = "3.1.3"
"""The version whose messages these are."""
NO_SIGNATURES_STATUS: Final = 10

_PREFIX = "no matching attestations: "
_CAUSES: Sequence[tuple[Reason, re.Pattern[str]]] = (
    # What comes first is checked first; the last pattern that fits any bundle is the furthest that one came.
    (Reason.LOG_INCLUSION, re.compile(r"failed to verify log inclusion: verifying log entry: verifying inclusion: .*")),
    (
        Reason.CERTIFICATE_UNTRUSTED,
        re.compile(r"failed to verify leaf certificate: leaf certificate verification failed"),
    ),
    (
        Reason.SUBJECT_MISMATCH,
        re.compile(r"failed to verify signature: provided artifact digest does not match any digest in statement"),
    ),
    (
        Reason.IDENTITY_SUBJECT_MISMATCH,
        re.compile(
            r"failed to verify certificate identity: no matching CertificateIdentity found, "
            r'last error: expected SAN value (to match regex )?".*", got ".*"'
        ),
    ),
    (
        Reason.IDENTITY_ISSUER_MISMATCH,
        re.compile(
            r"failed to verify certificate identity: no matching CertificateIdentity found, "
            r'last error: expected issuer value (to match regex )?".*", got ".*"'
        ),
    ),
)
_CONTINUED = re.compile(r"\[[0-9 ]+\]|\s*does not match expected root:")
"""What follows on further lines where an inclusion proof fails: the two hashes."""
_OTHER_TYPES = re.compile(r"none of the attestations matched the predicate type: \S+, found: .*")
_NO_ANSWER = re.compile(r'(GET|Get|HEAD|Head) "?https?://\S+: .*')


def read_answer(status: int, stderr: str) -> Check:
    """The check that cosign's exit code and standard error amount to."""
    if status == 0:
        return Check(name="cosign")
    message = _message(stderr)
    reason = _reason(status, message)
    return Check(
        name="cosign",
        reason=reason,
        detail=message[:2000] or stderr[-2000:],
        evidence={"exitCode": str(status)},
    )


def _message(stderr: str) -> str:
    """What cosign said, which it says twice: `Error: …`, then `error during command execution: …`."""
    match = re.search(r"^Error: (.*?)^error during command execution: ", stderr, re.DOTALL | re.MULTILINE)
    return match[1].rstrip("\n") if match else ""


def _reason(status: int, message: str) -> Reason:
    if message == "no signatures found" and status == NO_SIGNATURES_STATUS:
        return Reason.SIGNATURE_NONE
    if _OTHER_TYPES.fullmatch(message):
        return Reason.STATEMENT_MISSING
    if message.startswith(_PREFIX):
        return _cause(message[len(_PREFIX) :])
    if _NO_ANSWER.match(message):
        return Reason.REGISTRY_UNAVAILABLE
    return Reason.CONSUMER_UNREADABLE


def _cause(causes: str) -> Reason:
    lines = [line for line in causes.split("\n") if line.strip()]
    if not lines:
        return Reason.SIGNATURE_NONE  # `verify-attestation` found no bundle
    furthest = -1
    for line in lines:
        if _CONTINUED.fullmatch(line):
            continue
        rank = next((rank for rank, (_, pattern) in enumerate(_CAUSES) if pattern.fullmatch(line)), None)
        if rank is None:
            return Reason.CONSUMER_UNREADABLE
        furthest = max(furthest, rank)
    return _CAUSES[furthest][0] if furthest >= 0 else Reason.CONSUMER_UNREADABLE
