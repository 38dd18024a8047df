"""Reading the answers of `flux-verify`: JSON with the controller's own message, and the types of its errors.

Source: source-controller v1.8.5 and v1.9.6, internal/controller/ocirepository_controller.go; cosign v3.0.6.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dhallmark import strictjson
from dhallmark.controls.consumers.flux_messages import legacy_reason_of, other_reason_of
from dhallmark.controls.consumers.sigstore_go import BUNDLE
from dhallmark.errors import FormatError
from dhallmark.reasons import Reason
from dhallmark.verdict import Check

PINNED: Final = ("1.8.5", "1.9.6")
"""The versions whose answers these are."""


def read_answer(status: int, stdout: bytes, stderr: str) -> Check:
    """The check that an answer amounts to."""
    try:
        answer = strictjson.parse(stdout, what="answer") if status == 0 else None
    except FormatError:
        answer = None
    if not isinstance(answer, dict) or not isinstance(answer.get("ready"), bool):
        return Check(
            name="flux", reason=Reason.CONSUMER_UNREADABLE, detail=stderr[-2000:], evidence={"exitCode": str(status)}
        )
    message = str(answer.get("message", ""))
    reason = _reason(answer, message)
    evidence = {"condition": str(answer.get("condition", "")), "conditionReason": str(answer.get("reason", ""))}
    return Check(name="flux", reason=reason, detail=message[:2000], evidence=evidence if reason else {})


def _reason(answer: Mapping[str, Any], message: str) -> Reason | None:
    if answer["ready"]:
        return None  # also where the source has no `verify`: then it deploys whatever is there
    kinds = set(answer.get("kinds", ()))
    if "NoMatchingAttestations" in kinds:
        return BUNDLE.furthest(answer.get("bundles", ())) or Reason.CONSUMER_UNREADABLE
    if "NoMatchingSignatures" in kinds:
        return legacy_reason_of(message) or Reason.CONSUMER_UNREADABLE
    if "NoSignaturesFound" in kinds:
        return Reason.SIGNATURE_NONE
    if kinds & {"ImageTagNotFound", "Registry", "Network", "Timeout"}:
        return Reason.REGISTRY_UNAVAILABLE
    return other_reason_of(message) or Reason.CONSUMER_UNREADABLE
