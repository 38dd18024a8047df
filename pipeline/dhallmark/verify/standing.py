"""Whether what a verdict rests on still stands: the policy itself, the trust root, the age of a signature."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from dhallmark.config.policy import Policy, TrustRootRule
from dhallmark.digest import Digest
from dhallmark.reasons import Reason
from dhallmark.verify.refusal import Refusal

SKEW = timedelta(minutes=5)
"""By how much the clocks of a timestamp authority or log and of this machine may differ."""


def require_current(policy: Policy, now: datetime) -> None:
    """Refuse a policy that has ended."""
    if policy.expires is not None and now > policy.expires:
        raise Refusal(
            Reason.POLICY_EXPIRED,
            "the policy has ended",
            expected=f"at most {policy.expires.isoformat()}",
            found=now.isoformat(),
        )


def require_version(policy: Policy) -> None:
    """Refuse a policy that is older than its reader demanded (P19)."""
    least = policy.origin.minimum_version
    if (policy.version or 0) < least:
        raise Refusal(
            Reason.POLICY_ROLLBACK,
            "the policy is older than the one that is demanded",
            expected=f"at least {least}",
            found=str(policy.version) if policy.version is not None else "no version",
        )


def require_trust_root(rule: TrustRootRule, digest: Digest | None, now: datetime) -> None:
    """Refuse a trust root that the policy does not name, or that nobody confirmed for too long (T10).

    A trusted_root.json holds no date that it was made at, so its age is counted from the policy's word.
    """
    accepted = next((one for one in rule.accepted if one.digest == digest), None)
    if accepted is None:
        raise Refusal(
            Reason.TRUST_ROOT_UNKNOWN,
            "the policy does not accept this trust root",
            expected=" or ".join(one.digest for one in rule.accepted),
            found=digest or "no trust root",
        )
    if rule.max_age is not None and now > accepted.confirmed + rule.max_age:
        raise Refusal(
            Reason.TRUST_ROOT_STALE,
            "nobody confirmed this trust root for longer than the policy allows",
            expected=f"at most {rule.max_age} after {accepted.confirmed.isoformat()}",
            found=now.isoformat(),
        )


def require_fresh(times: Sequence[datetime], most: timedelta, now: datetime) -> datetime:
    """The oldest of the verified `times`. Refuses one that is longer ago than `most`, or has not come yet.

    Not the newest: anyone can have an old signature by a key stamped, or logged, once more.
    """
    if not times:
        raise Refusal(Reason.TIMESTAMP_MISSING, "the policy limits the signature's age, and no verified time tells it")
    newest, oldest = max(times), min(times)
    if newest > now + SKEW:
        raise Refusal(
            Reason.FRESHNESS_FUTURE,
            "signed at a time that has not come yet",
            expected=f"at most {now.isoformat()}",
            found=newest.isoformat(),
        )
    if now - oldest > most:
        raise Refusal(
            Reason.FRESHNESS_TOO_OLD,
            "signed longer ago than the policy allows",
            expected=f"at most {most} ago",
            found=oldest.isoformat(),
        )
    return oldest
