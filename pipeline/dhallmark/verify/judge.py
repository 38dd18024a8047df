"""From what was gathered about an artifact to the verdict on it: one place for registries, layouts and files.

Gathering asks registries and disks; judging reads nothing but what was gathered, the policy and the trust root, so that
it may happen in another process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dhallmark.config.policy import Policy
from dhallmark.verdict import Check, Verdict
from dhallmark.verify.claimed import claimed_statement, is_layout, type_of
from dhallmark.verify.claims import ArtifactFacts, Broken, Signed, SignedMessage, claim_of
from dhallmark.verify.pausing import Pausing, alone
from dhallmark.verify.policy import PolicyJudge
from dhallmark.verify.trust import TrustRoot

if TYPE_CHECKING:
    # in-toto is slow to load, and most policies have no layout.
    from dhallmark.verify.layouts.gate import LayoutGate
    from dhallmark.verify.layouts.layer import Layer

    # So is what few policies or artifacts ask for.
    from dhallmark.verify.legacy import LegacySignature


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was gathered about one artifact."""

    subject: str
    """What the verdict is on: a reference by digest, a file."""
    checks: tuple[Check, ...]
    """What was found while gathering it."""
    facts: ArtifactFacts | None = None
    """What the bundles must be about; None where the artifact could not be read."""
    bundles: Mapping[str, bytes | Verdict] = field(default_factory=dict)
    """Each bundle by where it was found, or the verdict on one that could not be read."""
    legacy: Mapping[str, LegacySignature] = field(default_factory=dict)
    """Each signature in cosign's older format by where it was found, where the policy allows them."""
    content: bytes | None = None
    """The artifact's own bytes, where they are at hand: of a file that is not large."""
    layer: Layer | None = None
    """What the artifact's one layer holds, where it was read (`Judge.needs_layer`)."""

    @property
    def size(self) -> int:
        """Bytes of what is held for the verdict: bundles, and the artifact where that is at hand."""
        bundles = sum(len(bundle) for bundle in self.bundles.values() if isinstance(bundle, bytes))
        return bundles + len(self.content or b"")


@dataclass(frozen=True, slots=True)
class Judge:
    """A policy and a trust root, ready to judge. Raises ConfigError for a policy whose keys cannot be read."""

    policy: Policy
    trust: TrustRoot | None
    """None where the policy trusts keys alone."""
    _rules: PolicyJudge = field(init=False)
    _layout: LayoutGate | None = field(init=False)

    def __post_init__(self) -> None:
        rules = PolicyJudge(self.policy, self.trust)
        object.__setattr__(self, "_rules", rules)
        object.__setattr__(self, "_layout", _layout_gate(rules))

    @property
    def rules(self) -> PolicyJudge:
        """The policy's rules by themselves."""
        return self._rules

    @property
    def needs_layer(self) -> bool:
        """Whether the policy's layout may want to know what the artifact's layer holds."""
        return self._layout is not None and self._layout.needs_layer

    def judge(self, evidence: Evidence) -> Verdict:
        """The verdict on what was gathered. Never raises."""
        return alone(self.judge_pausing(evidence))

    def judge_pausing(self, evidence: Evidence) -> Pausing[Verdict]:
        """As `judge`, with pauses."""
        facts = evidence.facts
        if facts is None or not (evidence.bundles or evidence.legacy):
            return Verdict.of(evidence.subject, checks=evidence.checks)
        message = facts.digest if evidence.content is None else evidence.content
        layout, bundles = None, evidence.bundles
        if self._layout is not None:
            attached, bundles = self._layout.part(bundles)
            layout = self._layout.open(attached)
        claims: list[Signed | SignedMessage] = []
        broken: list[Broken] = []
        ignored: list[Verdict] = []
        for source, content in bundles.items():
            if isinstance(content, Verdict):
                broken.append(Broken(verdict=content, predicate_type=None))
                continue
            result = yield from self._rules.examine_pausing(
                content,
                name=source,
                message=message,
                keys=layout.keys if layout else (),
            )
            claim = claim_of(result)
            if claim is not None:
                claims.append(claim)
                continue
            claimed = claimed_statement(content)
            if is_layout(claimed):
                ignored.append(_layout_unasked(source))
            else:
                broken.append(Broken(verdict=result.verdict, predicate_type=type_of(claimed)))
        for source, signature in evidence.legacy.items():
            from dhallmark.verify.legacy import claimed_legacy_type

            result = self._rules.examine_legacy(signature, name=source)
            claim = claim_of(result)
            if claim is not None:
                claims.append(claim)
            else:
                broken.append(Broken(verdict=result.verdict, predicate_type=claimed_legacy_type(signature)))
        yield
        judgement = self._rules.judge(claims, facts, broken=broken)
        parts = list(judgement.rules)
        if layout is not None:
            from dhallmark.verify.layouts.inspections import Product

            product = Product(name=facts.name or "", digest=facts.digest, archive=facts.archive, layer=evidence.layer)
            parts.append(layout.judge([claim for claim in claims if isinstance(claim, Signed)], product))
        return Verdict.of(
            evidence.subject,
            checks=[*evidence.checks, *judgement.checks],
            parts=parts,
            ignored=[*judgement.ignored, *ignored],
        )


def _layout_gate(rules: PolicyJudge) -> LayoutGate | None:
    if rules.policy.layout is None:
        return None
    from dhallmark.verify.layouts.gate import LayoutGate

    return LayoutGate.of(rules)


def _layout_unasked(source: str) -> Verdict:
    return Verdict.of(source, checks=[Check(name="layout", detail="a layout that the policy does not ask for")])
