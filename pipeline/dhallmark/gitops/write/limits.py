"""What a policy demands, and which consumers check that: nothing is left out without being said.

A demand has the reasons by which dhallmark refuses what does not fulfil it. Those tie this table to what consumers were
seen to be blind to (`dhallmark.controls.consumers.dialect`); a test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from dhallmark.config.gitops import Follower
from dhallmark.config.policy import Format, Policy
from dhallmark.gitops.write.matcher import signature_rules, subject_expression
from dhallmark.reasons import Reason
from dhallmark.statement import COSIGN_SIGN_V1, SLSA_PROVENANCE_V1


class Topic(StrEnum):
    """What a demand is about. Stable: they stand in the output."""

    SIGNER = "signer"
    TYPES = "types"
    THRESHOLD = "threshold"
    CONTENT = "content"
    NAME = "name"
    EXTENSIONS = "extensions"
    REACHABLE = "reachable"
    KEY_VALIDITY = "key-validity"
    FRESHNESS = "freshness"
    EXPIRY = "expiry"
    LAYOUT = "layout"
    TRUST_ROOT = "trust-root"
    TRUST_ROOT_AGE = "trust-root-age"
    FORMATS = "formats"
    PROVENANCE = "provenance"


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """One thing that a policy demands."""

    topic: Topic
    says: str
    """What it demands, for people."""
    reasons: tuple[Reason, ...]
    """How dhallmark refuses what does not fulfil it; none where it does not look at it at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A demand that a consumer does not check."""

    consumer: Follower
    demand: Demand

    def __str__(self) -> str:
        return f"not expressed by {NAMES[self.consumer]}: {self.demand.says}"

    def to_json(self) -> dict[str, str]:
        return {"consumer": self.consumer.value, "topic": self.demand.topic.value, "demand": self.demand.says}


NAMES: Mapping[Follower, str] = MappingProxyType(
    {
        Follower.FLUX: "Flux",
        Follower.FLUX_HELM: "Flux",
        Follower.FLUX_INSTANCE: "Flux",
        Follower.KSAIL: "KSail",
        Follower.KYVERNO: "Kyverno",
        Follower.ARGO_CD: "Argo CD's plug-in",
        Follower.TALOS: "Talos",
        Follower.MERGE_CHECK: "the merge check",
    }
)

_FLUX = frozenset({Topic.SIGNER, Topic.TRUST_ROOT})
_TREE = frozenset(Topic) - {Topic.TYPES, Topic.LAYOUT}
"""Of a deploy tree dhallmark itself judges all that provenance shows; other statements are in the registry alone."""
EXPRESSED: Mapping[Follower, frozenset[Topic]] = MappingProxyType(
    {
        Follower.FLUX: _FLUX,
        Follower.FLUX_HELM: _FLUX,
        Follower.FLUX_INSTANCE: _FLUX,
        Follower.KSAIL: frozenset({Topic.SIGNER}),
        Follower.KYVERNO: _FLUX | {Topic.TYPES, Topic.PROVENANCE},
        Follower.ARGO_CD: _TREE,
        Follower.MERGE_CHECK: _TREE,
        Follower.TALOS: frozenset({Topic.SIGNER}),
    }
)
"""Which topics each consumer can be told."""

SEES: Mapping[Follower, str] = MappingProxyType(
    {
        Follower.FLUX: "the artifact that its source names by digest, before it is unpacked; one signature will do, "
        "whatever the statement says",
        Follower.FLUX_HELM: "each chart that a source names by digest; one signature will do, whatever the "
        "statement says",
        Follower.FLUX_INSTANCE: "the artifact that flux-operator's own source names, while the patch is in force",
        Follower.KSAIL: "nothing by itself: it gives the check to Flux when it makes a cluster, and never again",
        Follower.KYVERNO: "Flux's sources of these repositories when they are created or changed, never a later pull",
        Follower.ARGO_CD: "the files of the deploy tree, before it renders them; an Application that names another "
        "tool is not checked",
        Follower.TALOS: "what a node pulls as an image, if the node has the verifier; charts and Flux's artifacts are "
        "none",
        Follower.MERGE_CHECK: "a change of the deploy repository before it is merged; not what is pushed past it",
    }
)
"""What each consumer looks at, and when."""


def demands(policy: Policy, *, private: bool) -> tuple[Demand, ...]:
    """Everything that `policy` demands; `private`: that the signatures are those of an instance of one's own."""
    return (
        _signer(policy),
        *_statements(policy),
        *_identities(policy),
        *_standing(policy),
        *([_private()] if private else []),
    )


def limits(policy: Policy, consumer: Follower, *, private: bool) -> tuple[Limit, ...]:
    """What `policy` demands and `consumer` does not check."""
    return tuple(
        Limit(consumer=consumer, demand=demand)
        for demand in demands(policy, private=private)
        if demand.topic not in EXPRESSED[consumer]
    )


def _signer(policy: Policy) -> Demand:
    names = dict.fromkeys(name for rule in signature_rules(policy) for name in rule.identities)
    return Demand(
        topic=Topic.SIGNER,
        says=f"a valid signature by {' or '.join(names)}",
        reasons=(Reason.SIGNATURE_NONE, Reason.IDENTITY_SUBJECT_MISMATCH, Reason.IDENTITY_ISSUER_MISMATCH),
    )


def _private() -> Demand:
    return Demand(
        topic=Topic.TRUST_ROOT,
        says="the trust root of this Sigstore instance alone",
        reasons=(Reason.CERTIFICATE_UNTRUSTED,),
    )


def _statements(policy: Policy) -> Iterator[Demand]:
    others = [rule for rule in policy.statements if rule.predicate_type != COSIGN_SIGN_V1]
    for rule in others:
        # The deploy tree has provenance, and no other statement.
        topic = Topic.PROVENANCE if rule.predicate_type == SLSA_PROVENANCE_V1 else Topic.TYPES
        steps = f" for {', '.join(rule.steps)}" if rule.steps else ""
        yield Demand(
            topic=topic,
            says=f"a statement of type {rule.predicate_type}{steps}, by {' or '.join(rule.identities)}",
            reasons=(Reason.STATEMENT_MISSING,),
        )
    for rule in policy.statements:
        if rule.threshold > 1:
            yield Demand(
                topic=Topic.THRESHOLD,
                says=f"{rule.threshold} different signers of {rule.predicate_type}",
                reasons=(Reason.STATEMENT_THRESHOLD,),
            )
        if rule.passed_tests or rule.summary is not None:
            yield Demand(
                topic=Topic.CONTENT,
                says=f"what {rule.predicate_type} says of the result",
                reasons=(Reason.TEST_RESULT_FAILED,) if rule.summary is None else (Reason.SUMMARY_FAILED,),
            )
    yield Demand(
        topic=Topic.NAME,
        says="that the signed name is the artifact's own, so that dev's signature does not stand for prod's",
        reasons=(Reason.SUBJECT_NAME,),
    )
    for says, given, reasons in (
        (f"the source {policy.source.repository}" if policy.source else "", policy.source, (Reason.PROVENANCE_SOURCE,)),
        (f"the builder {' or '.join(policy.builders)}", policy.builders, (Reason.PROVENANCE_BUILDER,)),
        ("a least version", policy.versions, (Reason.VERSION_ROLLBACK,)),
    ):
        if given:
            yield Demand(topic=Topic.CONTENT, says=f"in the provenance: {says}", reasons=reasons)


def _identities(policy: Policy) -> Iterator[Demand]:
    for name, rule in policy.identities.items():
        seen = {"buildSignerDigest"} if subject_expression(rule) != rule.subject_reg_exp else set()
        unseen = [extension for extension in rule.extensions if extension not in seen]
        if unseen:
            yield Demand(
                topic=Topic.EXTENSIONS,
                says=f"what else {name}'s certificate says: {', '.join(unseen)}",
                reasons=(Reason.IDENTITY_EXTENSION_MISMATCH,),
            )
        if rule.reachable:
            yield Demand(
                topic=Topic.REACHABLE,
                says=f"that {name}'s {', '.join(rule.reachable)} stands on a branch of the real repository",
                reasons=(Reason.SOURCE_UNREACHABLE,),
            )
        if rule.valid_from is not None or rule.valid_until is not None:
            yield Demand(
                topic=Topic.KEY_VALIDITY,
                says=f"the time in which {name}'s key may sign",
                reasons=(),
            )


def _standing(policy: Policy) -> Iterator[Demand]:
    ages = [rule.max_age for rule in policy.statements if rule.max_age is not None]
    if policy.freshness is not None or ages:
        yield Demand(topic=Topic.FRESHNESS, says="how old a signature may be", reasons=(Reason.FRESHNESS_TOO_OLD,))
    if policy.expires is not None:
        yield Demand(topic=Topic.EXPIRY, says=f"the policy's end, {policy.expires}", reasons=(Reason.POLICY_EXPIRED,))
    if policy.layout is not None:
        yield Demand(topic=Topic.LAYOUT, says="the in-toto layout", reasons=(Reason.LAYOUT_MISSING,))
    if policy.trust_root is not None:
        yield Demand(
            topic=Topic.TRUST_ROOT_AGE,
            says="which trust roots are believed, and for how long",
            reasons=(Reason.TRUST_ROOT_STALE,),
        )
    if Format.LEGACY not in policy.formats:
        yield Demand(
            topic=Topic.FORMATS,
            says="bundles alone: an older `.sig` counts where there is no bundle",
            reasons=(),
        )
