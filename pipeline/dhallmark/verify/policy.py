"""Whether statements about an artifact are what the policy demands: types, signers, subjects, claims, and the chain.

The same code decides before the first signature (`unsigned`) and after the last (`artifact`). A rule is met by one
statement that meets all of it (a link rule by one chain of links; a threshold by as many, of different signers).
Statements beside it that do not, a stranger's for instance, neither help nor harm; the one exception is a failed test
result by an identity of the policy.

Every check is a step of a `Run` with a name of its own, so that each can be told, and switched off, alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import TYPE_CHECKING, NamedTuple

from dhallmark.config.policy import Policy, SignatureRule, StatementRule
from dhallmark.config.strictyaml import dotted
from dhallmark.digest import Digest
from dhallmark.identity import Identity, Signatory
from dhallmark.reasons import Reason
from dhallmark.statement import LINK_V0_3, SLSA_PROVENANCE_V1, TEST_RESULT_V0_1
from dhallmark.verdict import Check, Outcome, Verdict
from dhallmark.verify import links, provenance, results, standing, subjects, versions
from dhallmark.verify.bundle import BundleResult, verify_parts
from dhallmark.verify.claims import ArtifactFacts, Broken, Claim, Signed, SignedMessage, Unsigned
from dhallmark.verify.contradictions import require_no_contradiction
from dhallmark.verify.demands import Demands, SignatureKind
from dhallmark.verify.identities import IdentityMatcher, evidence_of
from dhallmark.verify.keys import ManagedKey
from dhallmark.verify.listed import require_count
from dhallmark.verify.parse import parse_bundle
from dhallmark.verify.pausing import Pausing, alone
from dhallmark.verify.refusal import Refusal
from dhallmark.verify.run import Run
from dhallmark.verify.signers import count_signers
from dhallmark.verify.terms import Terms
from dhallmark.verify.trust import TrustRoot

if TYPE_CHECKING:
    # Loaded where a policy asks for it: a short command takes longer to load than to verify.
    from dhallmark.config.review import Advice
    from dhallmark.verify.ancestry import Ancestry
    from dhallmark.verify.legacy import LegacySignature

__all__ = [
    "ArtifactFacts",
    "Broken",
    "Claim",
    "Judgement",
    "PolicyJudge",
    "Signed",
    "SignedMessage",
    "Unsigned",
    "demands",
]

SIGNATURE = "signature"
"""What the verdict on the policy's `signature` rule is about."""


def demands(policy: Policy) -> Demands:
    """What every bundle must have to be looked at by `policy`."""
    kinds = {SignatureKind.DSSE} if policy.statements or policy.layout else set()
    if policy.signature is not None:
        kinds.add(SignatureKind.MESSAGE)
    evidence = policy.evidence
    return Demands(
        kinds=frozenset(kinds),
        log_entries=evidence.log_entries,
        timestamps=evidence.timestamps,
        scts=evidence.scts,
    )


class Judgement(NamedTuple):
    """What the policy says."""

    checks: tuple[Check, ...]
    """Those that are about all statements together."""
    rules: tuple[Verdict, ...]
    """One for each rule, in the policy's order."""
    ignored: tuple[Verdict, ...]
    """Bundles and statements that count for nothing here, each with what is wrong with it."""


class _Tried(NamedTuple):
    """What became of a claim under a rule."""

    verdict: Verdict
    signatory: Signatory | None
    """None for a statement that nobody has signed yet."""
    names: tuple[str, ...]
    """The rule's identities that the signer is."""


@dataclass(frozen=True, slots=True)
class PolicyJudge:
    """A policy, ready to judge. Raises ConfigError for one whose keys cannot be read."""

    policy: Policy
    trust: TrustRoot | None = None
    """What the bundles were verified with: for a policy that says which trust roots it believes."""
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC), kw_only=True)
    _matcher: IdentityMatcher = field(init=False)
    _ancestry: Callable[[], Ancestry] = field(init=False)
    _terms: Terms = field(init=False)
    _warnings: tuple[Check, ...] = field(init=False)

    def __post_init__(self) -> None:
        matcher = IdentityMatcher.of(self.policy)
        terms = Terms(self.trust, tuple(matcher.keys.values()), demands(self.policy), clock=self.clock)
        object.__setattr__(self, "_matcher", matcher)
        object.__setattr__(self, "_ancestry", cache(partial(_read_ancestry, self.policy)))
        object.__setattr__(self, "_terms", terms)
        object.__setattr__(self, "_warnings", _warnings(self.policy))

    @property
    def identities(self) -> IdentityMatcher:
        """The policy's identities, ready to be asked."""
        return self._matcher

    @property
    def terms(self) -> Terms:
        """What every bundle is verified by."""
        return self._terms

    def require_identity(self, signatory: Signatory, names: Sequence[str]) -> tuple[str, ...]:
        """Those of the identities `names` that `signatory` is, with the commits that they demand. Refuses for none."""
        found = self._matcher.require(signatory, names)
        if any(self.policy.identities[name].reachable for name in found):
            return self._matcher.require_reachable(signatory, found, self._ancestry())
        return found

    def examine(
        self, bundle: bytes, *, name: str, message: Digest | bytes | None = None, keys: Sequence[ManagedKey] = ()
    ) -> BundleResult:
        """Verify a bundle with the policy's keys and demands, and the trust root. Any bytes give a result.

        `name` is what the verdict calls it; `message` is as in `verify_bundle`; `keys` are more keys than the policy's,
        such as a layout's.
        """
        return alone(self.examine_pausing(bundle, name=name, message=message, keys=keys))

    def examine_pausing(
        self, bundle: bytes, *, name: str, message: Digest | bytes | None = None, keys: Sequence[ManagedKey] = ()
    ) -> Pausing[BundleResult]:
        """As `examine`, with pauses."""
        terms = replace(self._terms, keys=(*self._terms.keys, *keys)) if keys else self._terms
        return verify_parts(lambda: parse_bundle(bundle), terms, name=name, message=message)

    def examine_legacy(self, legacy: LegacySignature, *, name: str) -> BundleResult:
        """As `examine`, for a signature in cosign's older format."""
        from dhallmark.verify.legacy import verify_legacy

        return verify_legacy(legacy, self._terms, name=name)

    def judge(
        self,
        claims: Sequence[Claim | SignedMessage],
        facts: ArtifactFacts,
        *,
        broken: Sequence[Broken] = (),
    ) -> Judgement:
        """Judge all that is claimed about the artifact `facts`."""
        statements = [claim for claim in claims if not isinstance(claim, SignedMessage)]
        messages = [claim for claim in claims if isinstance(claim, SignedMessage)]
        verdicts: list[Verdict] = []
        ignored: list[Verdict] = []
        explaining: set[int] = set()
        for rule in self.policy.statements:
            candidates = [claim for claim in statements if claim.statement.predicate_type == rule.predicate_type]
            if candidates:
                decide = self._links if rule.predicate_type == LINK_V0_3 else self._statement
                verdict, beside = decide(rule, candidates, facts)
                ignored += beside
            else:
                verdict, used = _missing(rule.predicate_type, {rule.predicate_type}, broken)
                explaining |= used
            verdicts.append(verdict)
        if self.policy.signature is not None and messages:
            verdict, beside = self._signature(self.policy.signature, messages, facts)
            verdicts.append(verdict)
            ignored += beside
        elif self.policy.signature is not None:
            verdict, used = _missing(SIGNATURE, {None}, broken)
            explaining |= used
            verdicts.append(verdict)
        wanted = {rule.predicate_type for rule in self.policy.statements}
        ignored += [
            claim.verdict([Check(name="statement", detail="the policy has no rule for its type")])
            for claim in statements
            if claim.statement.predicate_type not in wanted
        ]
        ignored += [item.verdict for index, item in enumerate(broken) if index not in explaining]
        run = Run()
        self._standing(run, signed=len(claims) > sum(isinstance(claim, Unsigned) for claim in claims))
        self._test_results(run, statements, facts)
        return Judgement(checks=tuple(run.checks), rules=tuple(verdicts), ignored=tuple(ignored))

    def judge_provenance(self, claim: Signed) -> tuple[Check, ...]:
        """The checks of provenance that say nothing of an artifact in a registry: for files in a deploy tree.

        Each rule for provenance must be met by this one bundle.
        """
        rules = [rule for rule in self.policy.statements if rule.predicate_type == SLSA_PROVENANCE_V1]
        run = Run()
        self._standing(run, signed=True)
        if claim.statement.predicate_type != SLSA_PROVENANCE_V1 or not rules:
            run.step("statement.present", _no_provenance)
            return tuple(run.checks)
        for rule in rules:
            names = self._signer(run, rule.identities, claim.identity)
            self._fresh(run, rule.max_age, claim.times)
            if rule.threshold > 1:  # never met: there is one bundle, which has one signer
                alone, least = [_Tried(claim.bundle, claim.identity, names)], rule.threshold
                run.step("statement.threshold", lambda alone=alone, least=least: _require_signers(alone, least))  # type: ignore[misc]
        run.step("subject.count", lambda: require_count(claim.statement, self.policy.max_subjects))
        self._provenance(run, claim, names=())
        return tuple(run.checks)

    def _standing(self, run: Run, *, signed: bool) -> None:
        """Whether the policy and the trust root still stand, and which of its identities are loose."""
        now = self.clock()
        run.checks += self._warnings
        if self.policy.expires is not None:
            run.step("policy.expires", lambda: standing.require_current(self.policy, now))
        if self.policy.origin.minimum_version:
            run.step("policy.version", lambda: standing.require_version(self.policy))
        rule = self.policy.trust_root
        if rule is not None and signed:
            digest = self.trust.digest if self.trust else None
            run.step("trust-root", lambda: standing.require_trust_root(rule, digest, now))

    def _statement(
        self, rule: StatementRule, candidates: Sequence[Claim], facts: ArtifactFacts
    ) -> tuple[Verdict, list[Verdict]]:
        """The verdict on a rule that one statement must meet, and those on the other candidates."""
        tried = [self._try(rule, claim, facts) for claim in candidates]
        return _decide(rule.predicate_type, tried, rule.threshold)

    def _signature(
        self, rule: SignatureRule, messages: Sequence[SignedMessage], facts: ArtifactFacts
    ) -> tuple[Verdict, list[Verdict]]:
        tried = []
        for claim in messages:
            run = Run()
            names = self._signer(run, rule.identities, claim.identity)
            self._fresh(run, rule.max_age, claim.times)
            run.step("message.digest", lambda claim=claim: _require_message(claim, facts))  # type: ignore[misc]
            tried.append(_Tried(claim.verdict(run.checks), claim.identity, names))
        return _decide(SIGNATURE, tried, rule.threshold)

    def _try(self, rule: StatementRule, claim: Claim, facts: ArtifactFacts) -> _Tried:
        run = Run()
        statement = claim.statement
        signatory: Signatory | None = None
        names: tuple[str, ...] = ()
        if isinstance(claim, Signed):
            signatory, names = claim.identity, self._signer(run, rule.identities, claim.identity)
            self._fresh(run, rule.max_age, claim.times)
        run.step("subject.count", lambda: require_count(statement, self.policy.max_subjects))
        run.step("subject.digest", lambda: subjects.require_digest(statement, facts))
        run.step("subject.name", lambda: subjects.require_name(statement, facts, rule))
        run.step("subject.own", lambda: subjects.require_own(statement, facts, rule.allowed_subjects))
        if statement.predicate_type == SLSA_PROVENANCE_V1:
            run.step("provenance.archive", lambda: subjects.require_archive(statement, facts.archive))
            self._provenance(run, claim, names=[facts.name] if facts.name else [])
        elif statement.predicate_type == TEST_RESULT_V0_1:
            run.step("test-result.required", lambda: results.require_result(statement, rule))
        elif rule.summary is not None:
            from dhallmark.verify import vsa

            vsa.verify_summary(
                run,
                statement,
                rule.summary,
                name=facts.name or "",
                digest=facts.digest,
                now=self.clock(),
                max_age=self._max_age(rule.max_age),
            )
        return _Tried(claim.verdict(run.checks), signatory, names)

    def _signer(self, run: Run, identities: Sequence[str], signatory: Signatory) -> tuple[str, ...]:
        """The rule's identities that the signer is; none where a check refused."""
        names = run.step(
            "identity",
            lambda: self._matcher.require(signatory, identities),
            seen=lambda found: {"identity": ", ".join(found), **evidence_of(signatory)},
        )
        if names is not None and any(self.policy.identities[name].reachable for name in names):
            names = run.step(
                "identity.reachable", lambda: self._matcher.require_reachable(signatory, names, self._ancestry())
            )
        return names or ()

    def _max_age(self, own: timedelta | None) -> timedelta | None:
        """The age that a rule allows, by itself or by the policy; None where any will do."""
        return own or (self.policy.freshness.max_age if self.policy.freshness else None)

    def _fresh(self, run: Run, own: timedelta | None, times: Sequence[datetime]) -> None:
        most = self._max_age(own)
        if most is not None:
            run.step(
                "freshness",
                lambda: standing.require_fresh(times, most, self.clock()),
                seen=lambda oldest: {"signed": oldest.isoformat()},
            )

    def _provenance(self, run: Run, claim: Claim, *, names: Sequence[str]) -> None:
        found = run.step("provenance.predicate", lambda: provenance.Provenance.read(claim.statement))
        source = self.policy.source
        if found is None or source is None:
            return
        run.step("provenance.builder", lambda: provenance.verify_builder(found, self.policy.builders))
        run.step("provenance.source", lambda: provenance.verify_source(found, source))
        run.step("provenance.clean", lambda: provenance.verify_clean(found, source))
        run.step("provenance.revision", lambda: provenance.verify_revision(found, source))
        if isinstance(claim, Signed):
            ref = found.ref or _extension(claim.identity, "sourceRepositoryRef")
            run.step("provenance.ref", lambda: provenance.verify_ref(ref, source))
            run.step("provenance.claims", lambda: require_no_contradiction(claim.statement, claim.identity))
        reachable = source.reachable
        if reachable is not None:
            run.step("source.reachable", lambda: self._ancestry().require(found.revision, reachable))
        rule = self.policy.versions
        if rule is not None:
            called = {*names, *(subject.name for subject in claim.statement.subjects)}
            run.step(
                "provenance.version",
                lambda: versions.require_version(found.external_parameters, called, rule),
                seen=lambda version: {"version": version},
            )

    def _links(
        self, rule: StatementRule, candidates: Sequence[Claim], facts: ArtifactFacts
    ) -> tuple[Verdict, list[Verdict]]:
        """The verdict on a rule that a chain of links must meet, and those on the links that are no part of it."""
        usable: list[links.LinkRecord] = []
        good: list[Verdict] = []
        bad: list[Verdict] = []
        for claim in candidates:
            link, verdict = self._link(rule, claim)
            if link is None:
                bad.append(verdict)
                continue
            good.append(verdict)
            if link not in usable:
                usable.append(link)
        if not good:
            # Nobody allowed signed a link: that says more than that the steps are missing.
            best = max(bad, key=_progress)
            return Verdict.of(rule.predicate_type, parts=[best]), [verdict for verdict in bad if verdict is not best]
        run = Run()
        run.step(
            "step.chain",
            lambda: links.verify_chain(usable, rule.steps, artifact=facts.digest, archive=facts.archive),
        )
        return Verdict.of(rule.predicate_type, checks=run.checks, parts=good), bad

    def _link(self, rule: StatementRule, claim: Claim) -> tuple[links.LinkRecord | None, Verdict]:
        """The link, where it may be part of a chain; and the verdict on it."""
        run = Run()
        statement = claim.statement
        if isinstance(claim, Signed):
            self._signer(run, rule.identities, claim.identity)
            self._fresh(run, rule.max_age, claim.times)
            run.step("link.claims", lambda: require_no_contradiction(statement, claim.identity))
        run.step("subject.count", lambda: require_count(statement, self.policy.max_subjects))
        link = run.step("link.predicate", lambda: links.LinkRecord.read(statement))
        return link if run.passed else None, claim.verdict(run.checks)

    def _test_results(self, run: Run, claims: Sequence[Claim], facts: ArtifactFacts) -> None:
        """A check for each test result on the artifact by any identity of the policy; strangers' count for nothing."""
        for claim in claims:
            statement = claim.statement
            about = facts.digest in {subject.digest for subject in statement.subjects}
            if statement.predicate_type != TEST_RESULT_V0_1 or not about:
                continue
            if isinstance(claim, Signed) and not self._matcher.knows(claim.identity):
                continue
            run.step("test-result", lambda statement=statement: results.require_not_failed(statement))  # type: ignore[misc]


def _read_ancestry(policy: Policy) -> Ancestry:
    from dhallmark.verify.ancestry import Ancestry

    return Ancestry(policy.origin.folder)


def _warnings(policy: Policy) -> tuple[Check, ...]:
    """Checks that passed, and say what the policy lets in: a warning is no verdict."""
    if not policy.has_expressions:
        return ()
    from dhallmark.config.review import loose_expressions

    return tuple(_warn(advice) for advice in loose_expressions(policy))


def _warn(advice: Advice) -> Check:
    return Check(
        name="policy.identities",
        detail=f"{dotted(advice.field)} {advice.message}; {advice.hint}",
        evidence={"admitted": advice.example},
    )


def _decide(subject: str, tried: Sequence[_Tried], threshold: int) -> tuple[Verdict, list[Verdict]]:
    """The verdict on a rule of which `tried` are the candidates, and those on the candidates that do not count."""
    good = [one for one in tried if one.verdict.outcome is Outcome.ACCEPTED]
    run = Run()
    if good and threshold > 1:
        counted = good
        run.step("statement.threshold", lambda: _require_signers(good, threshold))
    else:
        counted = [max(tried, key=lambda one: _progress(one.verdict))]
        run.step("statement.present", lambda: _require_present(subject, counted))
    chosen = {id(one) for one in counted}
    return (
        Verdict.of(subject, checks=run.checks, parts=[one.verdict for one in counted]),
        [one.verdict for one in tried if id(one) not in chosen],
    )


def _require_signers(good: Sequence[_Tried], threshold: int) -> None:
    """Refuse fewer different signers than the rule wants. Before the first signature there are none to count."""
    signed = [(one.signatory, one.names) for one in good if one.signatory is not None]
    found = count_signers(signed)
    if len(signed) == len(good) and found < threshold:
        raise Refusal(
            Reason.STATEMENT_THRESHOLD,
            "too few different signers, each as another identity of the rule",
            expected=str(threshold),
            found=str(found),
        )


def _missing(subject: str, types: set[str | None], broken: Sequence[Broken]) -> tuple[Verdict, set[int]]:
    """The verdict on a rule for which nothing valid was found, and which broken bundles explain it.

    A broken bundle of one of `types`, or of a type that cannot be told, says more than that the statement is missing.
    """
    for wanted in (types, {None}):
        used = {index for index, item in enumerate(broken) if item.predicate_type in wanted}
        if used:
            return Verdict.of(subject, parts=[broken[index].verdict for index in sorted(used)]), used
    run = Run()
    run.step("statement.present", lambda: _require_present(subject, ()))
    return Verdict.of(subject, checks=run.checks), set()


def _require_present(wanted: str, found: Sequence[_Tried]) -> None:
    if not found:
        what = "bare signature" if wanted == SIGNATURE else "valid statement of this type"
        raise Refusal(Reason.STATEMENT_MISSING, f"no {what}", expected=wanted)


def _no_provenance() -> None:
    raise Refusal(
        Reason.STATEMENT_MISSING, "no provenance, or no rule for it in the policy", expected=SLSA_PROVENANCE_V1
    )


def _require_message(claim: SignedMessage, facts: ArtifactFacts) -> None:
    if claim.digest != facts.digest:
        raise Refusal(
            Reason.SUBJECT_MISMATCH, "the signature is over other bytes", expected=facts.digest, found=claim.digest
        )


def _extension(signatory: Signatory, name: str) -> str:
    return signatory.extensions.get(name, "") if isinstance(signatory, Identity) else ""


def _progress(verdict: Verdict) -> tuple[bool, int]:
    """How far a candidate came: accepted, or the number of checks before the first that found something."""
    for index, check in enumerate(verdict.checks):
        if check.reason is not None:
            return False, index
    return True, len(verdict.checks)
