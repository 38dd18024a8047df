"""A policy's layout, ready to judge artifacts: found, verified once, and asked for each artifact.

The layout lies beside the policy (`layout.file`), or is attached to the artifact like its statements. Attached ones are
told by what they claim to be; the newest that is to be believed counts, and others, an old one or a stranger's, count
for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from dhallmark.config.policy import LayoutRule, Policy
from dhallmark.errors import ConfigError, Location
from dhallmark.reasons import Reason
from dhallmark.verdict import Verdict
from dhallmark.verify.demands import Demands
from dhallmark.verify.keys import ManagedKey
from dhallmark.verify.layouts.evidence import Evidence
from dhallmark.verify.layouts.functionaries import Identities
from dhallmark.verify.layouts.inspections import Product, needs_layer
from dhallmark.verify.layouts.judge import judge_layout
from dhallmark.verify.layouts.signed import SignedLayout, no_layout, open_layout
from dhallmark.verify.parse import MAX_BUNDLE_BYTES
from dhallmark.verify.refusal import Refusal
from dhallmark.verify.trust import TrustRoot

LAYOUT_TYPE = "layout"
"""The `_type` of a payload that is a layout."""
MAX_ATTACHED = 16
"""Most layouts that are attached to one artifact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutGate:
    """What it takes to find and believe a policy's layout."""

    rule: LayoutRule
    max_subjects: int
    identities: Identities
    trust: TrustRoot | None
    keys: Sequence[ManagedKey]
    demands: Demands
    file: SignedLayout | None
    """The layout beside the policy; None where it must be attached to the artifact."""

    @classmethod
    def of(
        cls,
        policy: Policy,
        *,
        identities: Identities,
        trust: TrustRoot | None,
        keys: Sequence[ManagedKey],
        demands: Demands,
        now: datetime,
    ) -> LayoutGate | None:
        """The gate of `policy`; None where it has no layout. `keys` and `demands` are the policy's for bundles.

        Raises ConfigError where the file of the layout cannot be read.
        """
        rule = policy.layout
        if rule is None:
            return None
        file = None
        if rule.file is not None:
            file = open_layout(
                _read(policy, rule.file),
                rule,
                trust=trust,
                identities=identities,
                keys=keys,
                demands=demands,
                now=now,
                name=rule.file,
            )
        return cls(
            rule=rule,
            max_subjects=policy.max_subjects,
            identities=identities,
            trust=trust,
            keys=keys,
            demands=demands,
            file=file,
        )

    @property
    def needs_layer(self) -> bool:
        """Whether the artifact's layer may be wanted. One that is attached is not known before it is read."""
        return self.file is None or (self.file.layout is not None and needs_layer(self.file.layout))

    def open(self, attached: Mapping[str, bytes], *, now: datetime) -> OpenGate:
        """The layout for one artifact. `attached` has the bundles that claim to hold one, by where they were found."""
        if self.file is not None:
            return OpenGate(gate=self, signed=self.file)
        if not attached:
            return OpenGate(gate=self, signed=no_layout("no layout is attached to the artifact"))
        if len(attached) > MAX_ATTACHED:
            return OpenGate(gate=self, signed=no_layout(f"more than {MAX_ATTACHED} layouts are attached: a flood"))
        opened = [
            open_layout(
                content,
                self.rule,
                trust=self.trust,
                identities=self.identities,
                keys=self.keys,
                demands=self.demands,
                now=now,
                name=source,
            )
            for source, content in attached.items()
        ]
        return _choose(self, opened)


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

    def judge(self, evidence: Sequence[Evidence], product: Product) -> Verdict:
        """The verdict on the artifact `product`, from all verified statements about it. Raises nothing."""
        if self.signed.layout is None:
            return self.signed.verdict
        said = judge_layout(
            self.signed.layout, evidence, product, self.gate.identities, max_subjects=self.gate.max_subjects
        )
        return Verdict.of(
            said.subject,
            checks=said.checks,
            parts=[self.signed.verdict, *said.parts],
            ignored=[*said.ignored, *self.ignored],
        )


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
