"""Whether a signed layout is to be believed: who signed it, whether it still counts, and whether it is the newest.

1. The bundle verifies, as every bundle does.
2. One of the identities that the policy names for it signed it.
3. It can be read without doubt.
4. It has not expired (P17), by the clock of whoever verifies: an old layout with an old time proves nothing.
5. It is no older than the policy allows, by its own `version` and by the verified time of its signature (P19).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from dhallmark.config.policy import LayoutRule
from dhallmark.reasons import Reason
from dhallmark.verdict import Check, Verdict
from dhallmark.verify.bundle import verify_bundle
from dhallmark.verify.layouts.functionaries import Identities
from dhallmark.verify.layouts.model import Layout
from dhallmark.verify.refusal import Refusal
from dhallmark.verify.run import Run
from dhallmark.verify.terms import Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedLayout:
    """A layout whose bundle was looked at."""

    verdict: Verdict
    """Whether it is to be believed."""
    layout: Layout | None
    """There only where it is."""


def open_layout(
    content: bytes,
    rule: LayoutRule,
    *,
    terms: Terms,
    identities: Identities,
    name: str = "layout",
) -> SignedLayout:
    """Verify the bundle `content` of a layout. Any bytes give a result; nothing is raised.

    `terms` are the policy's; `name` is what the verdict calls the bundle.
    """
    result = verify_bundle(content, replace(terms, layout=True), name=name)
    payload, signatory = result.payload, result.identity
    if payload is None or signatory is None:
        return SignedLayout(verdict=Verdict.of("layout", parts=[result.verdict]), layout=None)
    now = terms.clock()
    run = Run()
    run.step(
        "layout.signer",
        lambda: identities.require(signatory, rule.identities),
        seen=lambda names: {"identity": ", ".join(names)},
    )
    layout = run.step("layout.format", lambda: Layout.parse(payload))
    if layout is not None:
        run.step("layout.expires", lambda: require_current(layout, now))
        run.step("layout.version", lambda: require_version(layout, rule), seen=lambda one: {"version": str(one)})
    if rule.signed_since is not None:
        since = rule.signed_since
        run.step("layout.signed", lambda: _require_signed_since(result.times, since))
    verdict = Verdict.of("layout", checks=run.checks, parts=[result.verdict])
    return SignedLayout(verdict=verdict, layout=layout if run.passed else None)


def no_layout(detail: str) -> SignedLayout:
    """What stands for a layout that the policy wants and that is not there."""
    check = Check(name="layout.present", reason=Reason.LAYOUT_MISSING, detail=detail)
    return SignedLayout(verdict=Verdict.of("layout", checks=[check]), layout=None)


def require_current(layout: Layout, now: datetime) -> None:
    """Refuse a layout that has expired at `now` (P17)."""
    if now > layout.expires:
        raise Refusal(
            Reason.LAYOUT_EXPIRED, "the layout has expired", expected=now.isoformat(), found=layout.expires.isoformat()
        )


def require_version(layout: Layout, rule: LayoutRule) -> int:
    """Refuse a layout that is older than the policy allows (P19). Returns its version."""
    if layout.version < rule.minimum_version:
        raise Refusal(
            Reason.LAYOUT_ROLLBACK,
            "the layout is older than the policy allows",
            expected=f"version {rule.minimum_version} or later",
            found=f"version {layout.version}",
        )
    return layout.version


def _require_signed_since(times: Sequence[datetime], since: datetime) -> None:
    """Every verified time counts: one that is later than the others may be a second signature's over old bytes."""
    if not times or min(times) < since:
        raise Refusal(
            Reason.LAYOUT_ROLLBACK,
            "the layout was signed before the policy's signedSince, or nobody vouches for when",
            expected=since.isoformat(),
            found=", ".join(moment.isoformat() for moment in times),
        )
