"""Reading cosign's answers into reasons: by exit code and exact message, for the pinned versions.

A line that is not known makes the whole answer unreadable; nothing is guessed from part of a message.
"""

from __future__ import annotations

import re
from typing import Final

from dhallmark.controls.consumers.legacy_cosign import LEGACY
from dhallmark.controls.consumers.sigstore_go import BUNDLE, split_messages
from dhallmark.reasons import Reason
from dhallmark.verdict import Check

PINNED: Final = ("2.6.5", "3.1.3")
"""The versions whose messages these are."""
NO_SIGNATURES_STATUS: Final = 10

_BUNDLES = "no matching attestations: "
_LEGACY = "no matching signatures: "
_OTHER_TYPES = re.compile(r"none of the attestations matched the predicate type: \S+, found: .*")
_GONE = "no valid bundles exist in registry"
"""There were some a moment before: the tag was moved in between."""
_NO_ANSWER = re.compile(r'(GET|Get|HEAD|Head) "?https?://\S+: .*')


def read_answer(status: int, stderr: str) -> Check:
    """The check that cosign's exit code and standard error amount to."""
    if status == 0:
        return Check(name="cosign")
    message = _message(stderr)
    return Check(
        name="cosign",
        reason=_reason(status, message) or Reason.CONSUMER_UNREADABLE,
        detail=message[:2000] or stderr[-2000:],
        evidence={"exitCode": str(status)},
    )


def _message(stderr: str) -> str:
    """What cosign said, which it says twice: `Error: …`, then `error during command execution: …`."""
    match = re.search(r"^Error: (.*?)^error during command execution: ", stderr, re.DOTALL | re.MULTILINE)
    return match[1].rstrip("\n") if match else ""


def _reason(status: int, message: str) -> Reason | None:
    if (message == "no signatures found" and status == NO_SIGNATURES_STATUS) or message == _GONE:
        return Reason.SIGNATURE_NONE
    if _OTHER_TYPES.fullmatch(message):
        return Reason.STATEMENT_MISSING
    if message.startswith(_BUNDLES):
        # Without a cause: `verify-attestation` found no bundle.
        causes = split_messages(message.removeprefix(_BUNDLES))
        return BUNDLE.furthest(causes) if causes else Reason.SIGNATURE_NONE
    if message.startswith(_LEGACY):
        return LEGACY.furthest(line.strip() for line in message.removeprefix(_LEGACY).splitlines())
    if _NO_ANSWER.match(message):
        return Reason.REGISTRY_UNAVAILABLE
    return None
