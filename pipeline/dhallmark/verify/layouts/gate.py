"""A policy's layout, ready to judge artifacts: found, verified once, and asked for each artifact.

The layout lies beside the policy (`layout.file`), or is attached to the artifact like its statements. Attached ones are
told by what they claim to be; the newest that is to be believed counts, and others, an old one or a stranger's, count
for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dhallmark.config.policy import LayoutRule, Policy
from dhallmark.errors import ConfigError, Location
from dhallmark.identity import Signatory
from dhallmark.reasons import Reason
from dhallmark.verdict import Verdict
from dhallmark.verify.claimed import claims_layout
from dhallmark.verify.claims import Signed
from dhallmark.verify.keys import ManagedKey
from dhallmark.verify.layouts.evidence import Evidence
from dhallmark.verify.layouts.inspections import Product, needs_layer
from dhallmark.verify.layouts.judge import judge_layout
from dhallmark.verify.layouts.signed import SignedLayout, no_layout, open_layout
from dhallmark.verify.parse import MAX_BUNDLE_BYTES
from dhallmark.verify.policy import PolicyJudge
from dhallmark.verify.refusal import Refusal

MAX_ATTACHED = 16
"""Most layouts that are attached to one artifact."""


@dataclass(frozen=True, slots=True)
class LayoutGate:
    """What it takes to find and believe a policy's layout."""

    rules: PolicyJudge
    rule: LayoutRule
    file: SignedLayout | None
    """The layout beside the policy; None where it must be attached to the artifact."""

    @classmethod
    def of(cls, rules: PolicyJudge) -> LayoutGate | None:
        """The gate of the policy of `rules`; None where that has no layout.

        Raises ConfigError where the file of the layout cannot be read.
        """
        rule = rules.policy.layout
        if rule is None:
            return None
        gate = cls(rules, rule, None)
        if rule.file is None:
            return gate
        return cls(rules, rule, gate.verify(_read(rules.policy, rule.file), name=rule.file))

    @property
    def needs_layer(self) -> bool:
        """Whether the artifact's layer may be wanted. What an attached layout wants is not known before it is read."""
        return self.file is None or (self.file.layout is not None and needs_layer(self.file.layout))

    def part(self, bundles: Mapping[str, bytes | Verdict]) -> tuple[dict[str, bytes], dict[str, bytes | Verdict]]:
        """Those of an artifact's bundles that claim to be the layout that is looked for, and the others."""
        if self.file is not None:
            return {}, dict(bundles)
        attached = {
            source: content
            for source, content in bundles.items()
            if isinstance(content, bytes) and claims_layout(content)
        }
        return attached, {source: content for source, content in bundles.items() if source not in attached}

    def open(self, attached: Mapping[str, bytes]) -> OpenGate:
        """The layout for one artifact. `attached` has the bundles that claim to hold one, by where they were found."""
        if self.file is not None:
            return OpenGate(gate=self, signed=self.file)
        if not attached:
            return OpenGate(gate=self, signed=no_layout("no layout is attached to the artifact"))
        if len(attached) > MAX_ATTACHED:
            return OpenGate(gate=self, signed=no_layout(f"more than {MAX_ATTACHED} layouts are attached: a flood"))
        return _choose(self, [self.verify(content, name=source) for source, content in attached.items()])

    def verify(self, content: bytes, *, name: str) -> SignedLayout:
        """Whether the bundle `content` of a layout is to be believed, by the policy's keys, demands and clock."""
        return open_layout(
            content,
            self.rule,
            terms=self.rules.terms,
            identities=_Reachable(self.rules),
            name=name,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenGate:
    """The layout that one artifact must fulfil."""

    gate: LayoutGate
    signed: SignedLayout
    ignored: tuple[Verdict, ...] = ()
    """Verdicts on other layouts, which count for nothing."""

    @property
    def keys(self) -> tuple[ManagedKey, ...]:
        """Keys that the layout lets do steps: statements may be signed by them, too."""
        return self.signed.layout.keys if self.signed.layout is not None else ()

    def judge(self, claims: Sequence[Signed], product: Product) -> Verdict:
        """The verdict on the artifact `product`, from all verified statements about it. Raises nothing."""
        if self.signed.layout is None:
            return self.signed.verdict
        rules = self.gate.rules
        said = judge_layout(
            self.signed.layout,
            [
                Evidence(source=claim.bundle.subject, statement=claim.statement, signatory=claim.identity)
                for claim in claims
            ],
            product,
            _Reachable(rules),
            max_subjects=rules.policy.max_subjects,
        )
        return Verdict.of(
            said.subject,
            checks=said.checks,
            parts=[self.signed.verdict, *said.parts],
            ignored=[*said.ignored, *self.ignored],
        )


@dataclass(frozen=True, slots=True)
class _Reachable:
    """The identities of a policy, with what it demands of their commits."""

    judge: PolicyJudge

    @property
    def rules(self) -> Mapping[str, object]:
        return self.judge.identities.rules

    def require(self, signatory: Signatory, names: Sequence[str]) -> Sequence[str]:
        return self.judge.require_identity(signatory, names)


def _choose(gate: LayoutGate, opened: Sequence[SignedLayout]) -> OpenGate:
    believed = [one for one in opened if one.layout is not None]
    if not believed:
        verdict = Verdict.of("layout", parts=[one.verdict for one in opened])
        return OpenGate(gate=gate, signed=SignedLayout(verdict=verdict, layout=None))
    newest = max(believed, key=_version)
    same = [one for one in believed if _version(one) == _version(newest)]
    ignored = tuple(one.verdict for one in opened if one is not newest)
    if any(one.layout != newest.layout for one in same):
        refusal = Refusal(
            Reason.LAYOUT_MALFORMED, f"two different layouts of version {_version(newest)} are attached to the artifact"
        )
        verdict = Verdict.of("layout", checks=[refusal.check("layout.version")], parts=[one.verdict for one in same])
        return OpenGate(gate=gate, signed=SignedLayout(verdict=verdict, layout=None))
    return OpenGate(gate=gate, signed=newest, ignored=ignored)


def _version(one: SignedLayout) -> int:
    return one.layout.version if one.layout is not None else -1


def _read(policy: Policy, name: str) -> bytes:
    path = policy.origin.folder / name
    try:
        with path.open("rb") as file:
            return file.read(MAX_BUNDLE_BYTES + 1)
    except OSError as error:
        where = Location(file=str(path), field="layout.file")
        raise ConfigError(f"the layout cannot be read: {error.strerror}", where=where) from error
