"""Reading the answers of source-controller itself: the conditions that it writes into the status of an OCIRepository.

Source: source-controller v1.8.5 and v1.9.6, internal/controller/ocirepository_controller.go; api/v1/condition_types.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from dhallmark.controls.consumers.flux_messages import reason_of
from dhallmark.reasons import Reason
from dhallmark.verdict import Check

_READY: Final = "Ready"
_FAILED: Final = {"SourceVerified": "False", "FetchFailed": "True"}
"""The conditions that end a reconciliation of an artifact, each with the status in which it does."""
_MAX_WORDS: Final = 2000

Condition = Mapping[str, Any]


def read_conditions(conditions: Sequence[Condition]) -> Check:
    """The check that the conditions of an object amount to, at the end of a reconciliation.

    `Ready` sums the others up: what it says counts only where the condition that it sums up says the same.
    """
    by_type = {str(one.get("type")): one for one in conditions}
    ready = by_type.get(_READY, {})
    message = str(ready.get("message", ""))
    failed = {name: by_type[name] for name, status in _FAILED.items() if _status(by_type.get(name)) == status}
    if _status(ready) == "True" and not failed:
        return Check(name="source-controller", detail=message[:_MAX_WORDS])
    same = [
        name for name, one in failed.items() if all(one.get(key) == ready.get(key) for key in ("reason", "message"))
    ]
    reason = reason_of(message) if _status(ready) == "False" and len(same) == 1 else None
    return Check(
        name="source-controller",
        reason=reason or Reason.CONSUMER_UNREADABLE,
        detail=message[:_MAX_WORDS],
        evidence={"condition": ", ".join(same), "conditionReason": str(ready.get("reason", ""))},
    )


def _status(condition: Condition | None) -> str:
    return str((condition or {}).get("status", ""))
