"""Reading what source-controller writes about a source into checks.

Source: source-controller v1.9.6, internal/controller/ocirepository_controller.go; api/v1/condition_types.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from dhallmark.controls.consumers.flux_messages import reason_of
from dhallmark.digest import Digest
from dhallmark.reasons import Reason
from dhallmark.verdict import Check

READY, VERIFIED, REFUSED = "Ready", "SourceVerified", "VerificationError"
_MAX_WORDS: Final = 2000

Json = Mapping[str, Any]


def condition(status: Json, kind: str) -> Json:
    """The condition of a type; empty where there is none."""
    found: Sequence[Json] = status.get("conditions") or ()
    return next((one for one in found if one.get("type") == kind), {})


def is_verified(status: Json) -> bool:
    """Whether the controller says that it is ready, and that it verified what it serves."""
    return condition(status, READY).get("status") == "True" and condition(status, VERIFIED).get("status") == "True"


def digest_of(artifact: Json | None) -> str:
    """The digest that a stored artifact's revision ends with; empty where there is none."""
    return str((artifact or {}).get("revision", "")).rpartition("@")[2]


def judge(statuses: Mapping[str, Json], *, good: Digest, expected: Mapping[str, Reason], pushed: str) -> list[Check]:
    """The checks on what the controller said of the good artifact, of each bad one, and after a bad push.

    `statuses` has `good`, each name of `expected`, and `pushed`, as `controller.reconcile_all` tells them.
    """
    checks = [_good(statuses["good"], good)]
    checks += [_refused(name, statuses[name], reason) for name, reason in expected.items()]
    checks += _after_push(statuses["pushed"], expected[pushed])
    return checks


def _good(status: Json, good: Digest) -> Check:
    found = digest_of(status.get("artifact"))
    evidence = {"Ready": _told(status, READY), "SourceVerified": _told(status, VERIFIED), "revision": found}
    right = is_verified(status) and found == good
    return Check(
        name="the good artifact",
        reason=None if right else Reason.CONTROLLER_VERDICT,
        detail=_words(status, READY if right else VERIFIED) or _words(status, READY),
        evidence=evidence,
    )


def _refused(name: str, status: Json, expected: Reason) -> Check:
    verified = condition(status, VERIFIED)
    message = str(verified.get("message", ""))
    found = reason_of(message)
    right = (
        verified.get("status") == "False"
        and verified.get("reason") == REFUSED
        and condition(status, READY).get("status") == "False"
        and found is expected
        and not status.get("artifact")
    )
    return Check(
        name=name,
        reason=None if right else Reason.CONTROLLER_VERDICT,
        detail=f"{name}: {message[:_MAX_WORDS] or _words(status, READY)}",
        evidence={
            "SourceVerified": _told(status, VERIFIED),
            "expected": expected.value,
            "found": found.value if found else "",
        },
    )


def _after_push(status: Json, expected: Reason) -> list[Check]:
    """After a bad push: it is refused, and what was served before is served still."""
    refused = _refused(f"{REFUSED} after a bad push", {**status, "artifact": None}, expected)
    before, after = status["before"], status.get("artifact") or {}
    same = bool(before) and after.get("revision") == before.get("revision")
    served = bool(before.get("digest")) and status["served"] == before.get("digest")
    return [
        refused,
        Check(
            name="the good revision is served on",
            reason=None if same and served else Reason.CONTROLLER_SERVED,
            detail="" if same and served else "the artifact of the good revision is gone, or is another one",
            evidence={"before": digest_of(before), "after": digest_of(after), "served": str(status["served"])},
        ),
    ]


def _told(status: Json, kind: str) -> str:
    found = condition(status, kind)
    return f"{found.get('status', 'absent')} ({found['reason']})" if found.get("reason") else "absent"


def _words(status: Json, kind: str) -> str:
    return str(condition(status, kind).get("message", ""))[:_MAX_WORDS]
