"""From what was gathered about an artifact to the verdict on it: one place for registries, layouts and files.

Gathering asks registries and disks; judging reads nothing but what was gathered, the policy and the trust root, so that
it may happen in another process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dhallmark import strictjson
from dhallmark.config.policy import Policy
from dhallmark.errors import FormatError
from dhallmark.verdict import Check, Verdict
from dhallmark.verify.claims import ArtifactFacts, Broken, Signed, SignedMessage, claim_of
from dhallmark.verify.parse import MAX_BUNDLE_BYTES
from dhallmark.verify.policy import PolicyJudge
from dhallmark.verify.protojson import decode_base64
from dhallmark.verify.trust import TrustRoot


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


@dataclass(frozen=True, slots=True)
class Judge:
    """A policy and a trust root, ready to judge."""

    policy: Policy
    trust: TrustRoot
    _rules: PolicyJudge = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_rules", PolicyJudge(self.policy, self.trust))

    def judge(self, evidence: Evidence) -> Verdict:
        """The verdict on what was gathered. Never raises."""
        if evidence.facts is None or not evidence.bundles:
            return Verdict.of(evidence.subject, checks=evidence.checks)
        claims: list[Signed | SignedMessage] = []
        broken: list[Broken] = []
        for source, content in evidence.bundles.items():
            if isinstance(content, Verdict):
                broken.append(Broken(verdict=content, predicate_type=None))
                continue
            result = self._rules.examine(content, name=source)
            claim = claim_of(result)
            if claim is not None:
                claims.append(claim)
            else:
                broken.append(Broken(verdict=result.verdict, predicate_type=claimed_type(content)))
        judgement = self._rules.judge(claims, evidence.facts, broken=broken)
        return Verdict.of(
            evidence.subject,
            checks=[*evidence.checks, *judgement.checks],
            parts=judgement.rules,
            ignored=judgement.ignored,
        )


def claimed_type(bundle: bytes) -> str | None:
    """The predicate type that a bundle claims to hold, for explaining; never for deciding. None where there is none."""
    claimed = claimed_statement(bundle).get("predicateType")
    return claimed if isinstance(claimed, str) else None


def claimed_statement(bundle: bytes) -> Mapping[str, Any]:
    """What a bundle claims to state, of which nothing is verified. Empty where there is nothing to be read."""
    try:
        body: Any = strictjson.parse(bundle, max_bytes=MAX_BUNDLE_BYTES)
        payload = strictjson.parse(decode_base64(str(body["dsseEnvelope"]["payload"])))
    except (FormatError, ValueError, KeyError, TypeError):
        return {}
    return payload if isinstance(payload, dict) else {}
