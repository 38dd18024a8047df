"""Applying artifact rules, with in-toto's results.

Each rule is applied by in-toto's own function. The loop around them is written anew, since in-toto's
(`verify_item_rules`) keeps a trace in a global, knows no other outcome than an exception, and says nothing of what is
left over. A property test compares the two on random rules and artifacts.
Source: in-toto specification 1.0, 4.3.3 "Artifact Rules" and 5.2 step 7.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from enum import StrEnum

from in_toto.verifylib import (
    verify_allow_rule,
    verify_create_rule,
    verify_delete_rule,
    verify_match_rule,
    verify_modify_rule,
)

from dhallmark.reasons import Reason
from dhallmark.verify.layouts.evidence import StepRecord
from dhallmark.verify.layouts.model import Rule
from dhallmark.verify.refusal import Refusal

_SHOWN = 5


class Side(StrEnum):
    """Which artifacts of an item its rules are about."""

    MATERIALS = "materials"
    PRODUCTS = "products"


def apply_rules(side: Side, rules: Sequence[Rule], record: StepRecord, chain: Mapping[str, StepRecord]) -> set[str]:
    """Apply `rules` to one side of `record`; returns the names that no rule consumed.

    `chain` has the record of every item that a MATCH may look at, by name. Refuses with `step.artifact-rule` where a
    DISALLOW finds an artifact or a REQUIRE finds none.
    """
    artifacts = record.materials if side is Side.MATERIALS else record.products
    queue = set(artifacts)
    for rule in rules:
        kind, pattern = rule.data["rule_type"], rule.data["pattern"]
        if kind == "disallow":
            found = sorted(fnmatch.filter(queue, pattern))
            if found:
                raise _refused(side, rule, record, f"forbids {len(found)} of them", found=_shown(found))
        elif kind == "require":
            if pattern not in queue:
                raise _refused(side, rule, record, "finds it not among them", expected=pattern[:200])
        elif kind == "match":
            queue -= verify_match_rule(rule.data, queue, artifacts, chain)
        elif kind == "modify":
            queue -= verify_modify_rule(pattern, queue, record.materials, record.products)
        elif kind == "create":
            queue -= verify_create_rule(pattern, queue, set(record.materials), set(record.products))
        elif kind == "delete":
            queue -= verify_delete_rule(pattern, queue, set(record.materials), set(record.products))
        else:
            queue -= verify_allow_rule(pattern, queue)
    return queue


def require_consumed(side: Side, left: set[str], record: StepRecord) -> None:
    """Refuse artifacts that no rule is about: nobody said what they must be (P13)."""
    if left:
        raise Refusal(
            Reason.STEP_ARTIFACT_UNCHECKED,
            f"no rule of the layout is about {len(left)} of the {side} of {record.name}",
            found=_shown(sorted(left)),
        )


def _refused(side: Side, rule: Rule, record: StepRecord, what: str, **evidence: str) -> Refusal:
    return Refusal(
        Reason.STEP_ARTIFACT_RULE, f"of the {side} of {record.name}, the rule {rule} {what}", rule=str(rule), **evidence
    )


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(name[:80] for name in names[:_SHOWN]) + more
