"""A layout applied before the first signature: what it would refuse is not signed (ADR 1, point 6).

Neither the layout's signature nor who will sign the statements is looked at: that takes a trust root, and is done in
staging. So this can refuse a release and never accepts one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from dhallmark.config.policy import LayoutRule
from dhallmark.reasons import Reason
from dhallmark.statement import Statement
from dhallmark.verdict import Verdict
from dhallmark.verify.claimed import claimed_payload
from dhallmark.verify.layouts.evidence import StepRecord, read_record
from dhallmark.verify.layouts.inspections import Product
from dhallmark.verify.layouts.judge import judge_records
from dhallmark.verify.layouts.model import Layout
from dhallmark.verify.layouts.signed import no_layout, require_current, require_version
from dhallmark.verify.refusal import Refusal
from dhallmark.verify.run import Run


def judge_unsigned(
    bundle: bytes | None, rule: LayoutRule, statements: Sequence[Statement], product: Product, *, now: datetime
) -> Verdict:
    """The verdict of the layout in `bundle` on a release that is about to be signed. Raises nothing.

    `bundle` is None where the release has no layout to attach, though the policy wants one.
    """
    if bundle is None:
        return no_layout("`publish.layout` names none to attach, and the policy's `layout` no file").verdict
    run = Run()
    layout = run.step("layout.format", lambda: _read(bundle))
    if layout is None:
        return Verdict.of("layout", checks=run.checks)
    run.step("layout.expires", lambda: require_current(layout, now))
    run.step("layout.version", lambda: require_version(layout, rule))
    records: list[StepRecord] = []
    for statement in statements:
        record = run.step("step.record", lambda statement=statement: read_record(statement, layout))  # type: ignore[misc]
        if record is not None:
            records.append(record)
    return Verdict.of("layout", checks=run.checks, parts=[judge_records(layout, records, product)])


def _read(bundle: bytes) -> Layout:
    payload = claimed_payload(bundle)
    if payload is None:
        raise Refusal(Reason.LAYOUT_MALFORMED, "not a bundle that holds a layout")
    return Layout.parse(payload)
