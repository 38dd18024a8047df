"""Verification summaries (VSA): made from a verdict, and judged when somebody else's are input.

Source: SLSA 1.1, "Verification Summary Attestation", predicate type https://slsa.dev/verification_summary/v1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from dhallmark.config.policy import Policy, SummaryRule
from dhallmark.digest import Digest
from dhallmark.errors import FormatError, SigningError, VerdictError
from dhallmark.identity import Signatory
from dhallmark.reasons import Reason
from dhallmark.statement import SLSA_PROVENANCE_V1, TEST_RESULT_V0_1, VSA_V1, Statement, Subject
from dhallmark.verdict import Outcome, Verdict
from dhallmark.verify.refusal import Refusal
from dhallmark.verify.run import Run

if TYPE_CHECKING:
    from dhallmark.verify.layouts.functionaries import Identities

SLSA_VERSION = "1.1"
VERIFIER = "https://dhallmark.dev/verifier"
"""Id of the verifier where whoever runs it gives no other."""
_SKEW = timedelta(minutes=5)
"""How far another verifier's clock may be ahead of this one's."""

_ARTIFACT = re.compile(r"([^@\s]+/[^@\s]+)@(sha256:[0-9a-f]{64})")
"""What a verdict on an artifact of a registry is about."""
_BUNDLE = re.compile(r"bundle (sha256:[0-9a-f]{64})")
"""What a verdict on a bundle of a registry is about: the manifest that attaches it."""
_PASSED, _FAILED = "PASSED", "FAILED"
_LEVEL = re.compile(r"(SLSA_[A-Z]+_LEVEL_)(\d{1,3})")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A ResourceDescriptor with a URI and a digest: the policy, an attestation."""

    uri: str
    digest: Digest

    def to_json(self) -> dict[str, object]:
        return {"uri": self.uri, "digest": {"sha256": self.digest.hex}}


def resource_uri(name: str, digest: Digest) -> str:
    """The URI of an artifact in a registry, by its name (its repository, with the registry) and digest."""
    return f"oci://{name}@{digest}"


def make_summary(
    verdict: Verdict,
    *,
    name: str,
    digest: Digest,
    policy: Described,
    inputs: Sequence[Described],
    version: str,
    time: datetime,
    verifier: str = VERIFIER,
) -> Statement:
    """The summary of `verdict` on the artifact `digest`, named `name` in its statements. Not signed.

    `policy` is what it was judged by, `inputs` are the attestations that were looked at, `version` is dhallmark's, and
    `time` is when it was judged. Raises VerdictError for a verdict that is indeterminate: a summary has no word for
    that, and FAILED would be a verdict from a failure to look (ADR 1, point 5).

    Whoever signs a FAILED one must not be an identity that deploys: consumers that look at subjects alone would take it
    for a permission (`require_other_signer`).
    """
    outcome = verdict.outcome
    if outcome is Outcome.INDETERMINATE:
        raise VerdictError(verdict, hint="a summary says PASSED or FAILED: find out first")
    passed = outcome is Outcome.ACCEPTED
    return Statement.build(
        predicate_type=VSA_V1,
        subjects=[Subject(name, digest)],
        predicate={
            "verifier": {"id": verifier, "version": {"dhallmark": version}},
            "timeVerified": time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "resourceUri": resource_uri(name, digest),
            "policy": policy.to_json(),
            "inputAttestations": [item.to_json() for item in inputs],
            "verificationResult": _PASSED if passed else _FAILED,
            "verifiedLevels": [build_level(verdict) if passed else _FAILED],
            "slsaVersion": SLSA_VERSION,
        },
    )


def summarise(verdict: Verdict, *, policy: Described, version: str, verifier: str, name: str = "") -> Statement | None:
    """The summary of a verdict on one artifact of a registry, made now; None where that is indeterminate.

    The artifact, and the bundles that were looked at, are those that the verdict names; `name` is what its statements
    call it, where that is not the repository that it was read from. Raises FormatError for a verdict on anything else.
    """
    found = next((match for one in (verdict, *verdict.parts) if (match := _ARTIFACT.fullmatch(one.subject))), None)
    if found is None:
        raise FormatError(
            f"a summary is about one artifact of a registry, and this is none: {verdict.subject[:200]}",
            hint="name it by REGISTRY/REPOSITORY@sha256:… or by a tag",
        )
    if verdict.outcome is Outcome.INDETERMINATE:
        return None
    repository, digest = found[1], Digest(found[2])
    manifests = {match[1] for one in _below(verdict) if (match := _BUNDLE.fullmatch(one.subject))}
    return make_summary(
        verdict,
        name=name or repository,
        digest=digest,
        policy=policy,
        inputs=[Described(uri=resource_uri(repository, Digest(one)), digest=Digest(one)) for one in sorted(manifests)],
        version=version,
        time=datetime.now(UTC),
        verifier=verifier,
    )


def build_level(verdict: Verdict) -> str:
    """The SLSA build level that an accepted verdict shows, 2 at most.

    - 2 where provenance was required and met, signed by the identity of a CI's workflow: the platform's own token
      stands behind it. Level 3 would need provenance that the job itself cannot write; no statement shows that.
    - 1 where it was signed by a person or by a key: where it was built is that signer's word.
    - 0 without provenance.
    """
    found = [
        check.evidence
        for rule in _below(verdict)
        if rule.subject == SLSA_PROVENANCE_V1 and rule.outcome is Outcome.ACCEPTED
        for check in rule.walk()
        if check.name == "identity" and check.reason is None
    ]
    if not found:
        return "SLSA_BUILD_LEVEL_0"
    hosted = all(one.get("issuer") and one.get("subject", "").startswith("https://") for one in found)
    return f"SLSA_BUILD_LEVEL_{2 if hosted else 1}"


def _below(verdict: Verdict) -> Sequence[Verdict]:
    return [verdict, *(inner for part in verdict.parts for inner in _below(part))]


def deploying(policy: Policy) -> Sequence[str]:
    """The identities that `policy` lets say more than what a check found: those that deploy."""
    return [
        name
        for rule in policy.statements
        if rule.predicate_type not in {VSA_V1, TEST_RESULT_V0_1}
        for name in rule.identities
    ]


def require_other_signer(statement: Statement, signatory: Signatory, policy: Policy, identities: Identities) -> None:
    """Raise SigningError where a FAILED summary would be signed by an identity that deploys.

    Flux and cosign take any statement by such an identity for a permission, whatever it says (ADR 1, point 6).
    """
    if statement.predicate_type != VSA_V1 or statement.predicate.get("verificationResult") == _PASSED:
        return
    try:
        found = identities.require(signatory, deploying(policy))
    except Refusal:
        return
    raise SigningError(
        f"a summary that says FAILED must not be signed by {found[0]}, which deploys",
        hint="Flux and cosign take any statement of that identity for a permission; sign as a verifier of its own",
    )


def verify_summary(
    run: Run,
    statement: Statement,
    rule: SummaryRule,
    *,
    name: str,
    digest: Digest,
    now: datetime,
    max_age: timedelta | None = None,
) -> None:
    """Run the checks of a summary (P2): that it passed, whose it is, of what, by which policy, when, and its levels.

    `name` and `digest` are the artifact's. That it is about the artifact, and who signed it, is checked elsewhere.
    """
    said = statement.predicate
    run.step("summary.result", lambda: _require_passed(said))
    run.step(
        "summary.verifier",
        lambda: _require_one_of(
            rule.verifiers, _text(said, "verifier", "id"), Reason.SUMMARY_VERIFIER, "is of another verifier"
        ),
    )
    resources = rule.resources or (resource_uri(name, digest), f"{name}@{digest}")
    run.step(
        "summary.resource",
        lambda: _require_one_of(
            resources, _text(said, "resourceUri"), Reason.SUMMARY_RESOURCE, "is about another resource"
        ),
    )
    if rule.policies:
        run.step("summary.policy", lambda: _require_policy(said, rule))
    if rule.levels:
        run.step("summary.levels", lambda: _require_levels(said, rule))
    run.step("summary.time", lambda: _require_time(said, now=now, max_age=max_age))


def _require_passed(said: Mapping[str, Any]) -> None:
    result = _text(said, "verificationResult")
    if result not in {_PASSED, _FAILED}:
        raise Refusal(Reason.STATEMENT_PREDICATE, "the summary's result is none", found=result[:100])
    if result != _PASSED or _FAILED in _levels(said):
        raise Refusal(
            Reason.SUMMARY_FAILED, "another verifier found that the artifact fails", expected=_PASSED, found=_FAILED
        )


def _require_one_of(allowed: Sequence[str], found: str, reason: Reason, what: str) -> None:
    if found not in allowed:
        raise Refusal(reason, f"the summary {what}", expected=" or ".join(allowed), found=found[:500])


def _require_policy(said: Mapping[str, Any], rule: SummaryRule) -> None:
    digest = "sha256:" + _text(said, "policy", "digest", "sha256")
    _require_one_of(rule.policies, digest, Reason.SUMMARY_POLICY, "is by another policy")


def _require_levels(said: Mapping[str, Any], rule: SummaryRule) -> None:
    verified = _levels(said)
    for wanted in rule.levels:
        if not any(_reaches(level, wanted) for level in verified):
            raise Refusal(
                Reason.SUMMARY_LEVEL,
                "the summary does not show a level that is wanted",
                expected=wanted,
                found=", ".join(verified)[:200],
            )


def _reaches(level: str, wanted: str) -> bool:
    """A level of SLSA's implies those below it in its track; any other is only itself."""
    one, other = _LEVEL.fullmatch(level), _LEVEL.fullmatch(wanted)
    if one and other:
        return one[1] == other[1] and int(one[2]) >= int(other[2])
    return level == wanted


def _require_time(said: Mapping[str, Any], *, now: datetime, max_age: timedelta | None) -> None:
    text = _text(said, "timeVerified")
    try:
        moment = datetime.fromisoformat(text) if _TIME.fullmatch(text) else None
    except ValueError:
        moment = None
    if moment is None:
        raise Refusal(Reason.STATEMENT_PREDICATE, "the summary's timeVerified is no time in UTC", found=text[:100])
    if moment > now + _SKEW:
        raise Refusal(Reason.SUMMARY_TIME, "the summary is of a time that has not come", found=text)
    if max_age is not None and now - moment > max_age:
        raise Refusal(Reason.SUMMARY_TIME, "the artifact was verified too long ago", expected=str(max_age), found=text)


def _levels(said: Mapping[str, Any]) -> list[str]:
    levels = said.get("verifiedLevels")
    if not isinstance(levels, list) or not all(isinstance(level, str) for level in levels):
        raise Refusal(Reason.STATEMENT_PREDICATE, "the summary's verifiedLevels is no list of strings")
    return levels


def _text(said: Mapping[str, Any], *path: str) -> str:
    value: object = said
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, str) or not value:
        raise Refusal(Reason.STATEMENT_PREDICATE, f"the summary has no {'.'.join(path)}")
    return value
