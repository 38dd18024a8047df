"""A layout before the first signature: it can refuse a release, whoever will sign it, and never accepts one alone."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from dhallmark.config.policy import LayoutRule
from dhallmark.digest import Digest
from dhallmark.reasons import Reason
from dhallmark.statement import Statement
from dhallmark.verdict import Outcome, Verdict
from dhallmark.verify.layouts.unsigned import judge_unsigned

if TYPE_CHECKING:
    from tests.unit.verify.layouts.conftest import World

RULE = LayoutRule.model_validate({"identities": ["security"], "minimumVersion": 2})
NOW = datetime(2026, 11, 22, tzinfo=UTC)
OTHER = Digest.of(b"other")


def judge(world: World, statements: list[Statement] | None = None, *, bundle: bytes | None = b"") -> Verdict:
    """The verdict, with a bundle that nobody signed unless another is given."""
    if bundle == b"":
        bundle = json.dumps({"dsseEnvelope": {"payload": base64.b64encode(world.payload).decode()}}).encode()
    found = [item.statement for item in world.evidence()] if statements is None else statements
    return judge_unsigned(bundle, RULE, found, world.product, now=NOW)


def test_a_release_that_fits(world: World) -> None:
    verdict = judge(world)
    assert verdict.outcome is Outcome.ACCEPTED, verdict.to_json()
    assert {check.name for check in verdict.walk()} >= {"layout.product", "rules.products", "inspection.record"}


def test_of_steps_that_others_do_nothing_is_said(world: World) -> None:
    package = world.evidence(render=None)[0].statement
    verdict = judge(world, [package])
    assert verdict.outcome is Outcome.ACCEPTED
    assert "layout.product" not in {check.name for check in verdict.walk()}


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda w: judge(w, bundle=None), Reason.LAYOUT_MISSING),
        (lambda w: judge(w, bundle=b"{}"), Reason.LAYOUT_MALFORMED),
        (lambda w: w.layout.update(steps=[]) or judge(w), Reason.LAYOUT_MALFORMED),
        (lambda w: w.layout.update(version=1) or judge(w), Reason.LAYOUT_ROLLBACK),
        (lambda w: w.layout.update(expires="2026-11-21T00:00:00Z") or judge(w), Reason.LAYOUT_EXPIRED),
        (
            lambda w: judge(w, [w.link("render", {"web.dhall": w.source}, {"out/x": OTHER})]),
            Reason.STEP_ARTIFACT_RULE,
        ),
        (
            lambda w: judge(w, [*(item.statement for item in w.evidence()), w.link("render", {}, w.rendered)]),
            Reason.STEP_CHAIN,
        ),
        (
            lambda w: judge(w, [w.link("render", {"web.dhall": w.source, "../x": OTHER}, w.rendered)]),
            Reason.STEP_ARTIFACT_NAME,
        ),
    ],
)
def test_refuses(make: Callable[[Any], Verdict], reason: Reason, world: World) -> None:
    verdict = make(world)
    assert (verdict.outcome, verdict.reason) == (Outcome.REJECTED, reason), verdict.to_json()
