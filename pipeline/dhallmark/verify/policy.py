"""Whether statements about an artifact are what the policy demands: types, signers, subjects, claims, and the chain.

The same code decides before the first signature (`unsigned`) and after the last (`artifact`). A rule is met by one
statement that meets all of it (a link rule by one chain of links). Statements beside it that do not, a stranger's
for instance, neither help nor harm; the one exception is a failed test result by an identity of the policy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dhallmark.config.policy import Policy, StatementRule
from dhallmark.digest import Digest
from dhallmark.identity import Identity
from dhallmark.reasons import Reason
from dhallmark.statement import LINK_V0_3, SLSA_PROVENANCE_V1, TEST_RESULT_V0_1, VSA_V1, Statement
from dhallmark.verdict import Check, Verdict
from dhallmark.verify import links, provenance
from dhallmark.verify.identities import IdentityMatcher
from dhallmark.verify.refusal import Refusal
from dhallmark.verify.run import Run

_TEST_RESULTS = frozenset({"PASSED", "WARNED", "FAILED"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactFacts:
    """What the statements must be about."""

    name: str
    """The name that the artifact must have in its statements: its repository, which binds it to its environment."""
    digest: Digest
    """Of its manifest."""
    archive: Digest | None
    """Of its one layer; None where it has no layer or several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A statement whose bundle was verified."""

    bundle: Verdict
    """The verdict on the bundle: accepted."""
    statement: Statement
    identity: Identity

    def verdict(self, checks: Sequence[Check]) -> Verdict:
        return Verdict.of(self.bundle.subject, checks=checks, parts=[self.bundle])


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsigned:
    """A statement that is about to be signed by the one who asks."""

    source: str
    """Where it came from, for the report."""
    statement: Statement

    def verdict(self, checks: Sequence[Check]) -> Verdict:
        return Verdict.of(self.source, checks=checks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A bundle that was not accepted. It meets no rule; it can explain why a rule is not met."""

    verdict: Verdict
    predicate_type: str | None
    """What it claims to hold, if that can be told. Nobody vouches for it."""


Claim = Signed | Unsigned


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What the policy says."""

    checks: tuple[Check, ...]
    """Those that are about all statements together."""
    rules: tuple[Verdict, ...]
    """One for each rule, in the policy's order."""
    ignored: tuple[Verdict, ...]
    """Bundles and statements that count for nothing here, each with what is wrong with it."""


@dataclass(frozen=True, slots=True)
class PolicyJudge:
    """A policy, ready to judge."""

    policy: Policy
    _matcher: IdentityMatcher = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_matcher", IdentityMatcher(self.policy.identities))

    def judge(self, claims: Sequence[Claim], facts: ArtifactFacts, *, broken: Sequence[Broken] = ()) -> Judgement:
        """Judge all that is claimed about the artifact `facts`."""
        verdicts: list[Verdict] = []
        ignored: list[Verdict] = []
        explaining: set[int] = set()
        for rule in self.policy.statements:
            candidates = [claim for claim in claims if claim.statement.predicate_type == rule.predicate_type]
            if candidates:
                decide = self._links if rule.predicate_type == LINK_V0_3 else self._one
                verdict, beside = decide(rule, candidates, facts)
                ignored += beside
            else:
                verdict, used = _missing(rule, broken)
                explaining |= used
            verdicts.append(verdict)
        wanted = {rule.predicate_type for rule in self.policy.statements}
        ignored += [
            claim.verdict([Check(name="statement", detail="the policy has no rule for its type")])
            for claim in claims
            if claim.statement.predicate_type not in wanted
        ]
        ignored += [item.verdict for index, item in enumerate(broken) if index not in explaining]
        return Judgement(checks=self._test_results(claims, facts), rules=tuple(verdicts), ignored=tuple(ignored))

    def _one(
        self, rule: StatementRule, candidates: Sequence[Claim], facts: ArtifactFacts
    ) -> tuple[Verdict, list[Verdict]]:
        """The verdict on a rule that one statement must meet, and those on the other candidates."""
        tried = [self._try(rule, claim, facts) for claim in candidates]
        best = max(range(len(tried)), key=lambda index: _progress(tried[index]))
        return (
            Verdict.of(rule.predicate_type, checks=[Check(name="statement.present")], parts=[tried[best]]),
            [verdict for index, verdict in enumerate(tried) if index != best],
        )

    def _try(self, rule: StatementRule, claim: Claim, facts: ArtifactFacts) -> Verdict:
        run = Run()
        self._signer(run, rule, claim)
        run.step("subject.count", lambda: self._count(claim.statement))
        run.step("subject.digest", lambda: _require_digest(claim.statement, facts))
        run.step("subject.name", lambda: _require_name(claim.statement, facts))
        if claim.statement.predicate_type == SLSA_PROVENANCE_V1:
            run.step("provenance.archive", lambda: _require_archive(claim.statement, facts))
            self._provenance(run, claim)
        if claim.statement.predicate_type == VSA_V1:
            run.step("summary.result", lambda: _require_passed(claim.statement))
        return claim.verdict(run.checks)

    def judge_provenance(self, claim: Signed) -> tuple[Check, ...]:
        """The checks of provenance that say nothing of an artifact in a registry: for files in a deploy tree."""
        rules = [rule for rule in self.policy.statements if rule.predicate_type == SLSA_PROVENANCE_V1]
        run = Run()
        if claim.statement.predicate_type != SLSA_PROVENANCE_V1 or not rules:
            run.step("statement.present", _no_provenance)
            return tuple(run.checks)
        self._signer(run, rules[0], claim)
        run.step("subject.count", lambda: self._count(claim.statement))
        self._provenance(run, claim)
        return tuple(run.checks)

    def _signer(self, run: Run, rule: StatementRule, claim: Claim) -> None:
        if isinstance(claim, Signed):
            run.step(
                "identity",
                lambda: self._matcher.require(claim.identity, rule.identities),
                seen=lambda name: {
                    "identity": name,
                    "issuer": claim.identity.issuer,
                    "subject": claim.identity.subject,
                },
            )

    def _provenance(self, run: Run, claim: Claim) -> None:
        claims = run.step("provenance.predicate", lambda: provenance.Provenance.read(claim.statement))
        source = self.policy.source
        if claims is None or source is None:
            return
        run.step("provenance.builder", lambda: provenance.verify_builder(claims, self.policy.builders))
        run.step("provenance.source", lambda: provenance.verify_source(claims, source))
        run.step("provenance.clean", lambda: provenance.verify_clean(claims, source))
        if isinstance(claim, Signed):
            run.step("provenance.claims", lambda: provenance.verify_claims(claims, claim.identity))

    def _links(
        self, rule: StatementRule, candidates: Sequence[Claim], facts: ArtifactFacts
    ) -> tuple[Verdict, list[Verdict]]:
        """The verdict on a rule that a chain of links must meet, and those on the links that are no part of it."""
        usable: list[links.LinkRecord] = []
        good: list[Verdict] = []
        bad: list[Verdict] = []
        for claim in candidates:
            run = Run()
            self._signer(run, rule, claim)
            run.step("subject.count", lambda claim=claim: self._count(claim.statement))  # type: ignore[misc]
            link = run.step("link.predicate", lambda claim=claim: links.LinkRecord.read(claim.statement))  # type: ignore[misc]
            verdict = claim.verdict(run.checks)
            if run.passed and link is not None:
                good.append(verdict)
                if link not in usable:
                    usable.append(link)
            else:
                bad.append(verdict)
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

    def _count(self, statement: Statement) -> None:
        if len(statement.subjects) > self.policy.max_subjects:
            raise Refusal(
                Reason.SUBJECT_TOO_MANY,
                "the statement has too many subjects",
                expected=str(self.policy.max_subjects),
                found=str(len(statement.subjects)),
            )

    def _test_results(self, claims: Sequence[Claim], facts: ArtifactFacts) -> tuple[Check, ...]:
        """A check for each test result on the artifact by any identity of the policy; strangers' count for nothing."""
        run = Run()
        for claim in claims:
            statement = claim.statement
            about = facts.digest in {subject.digest for subject in statement.subjects}
            if statement.predicate_type != TEST_RESULT_V0_1 or not about:
                continue
            if isinstance(claim, Signed) and not self._matcher.knows(claim.identity):
                continue
            run.step("test-result", _test_result_of(statement))
        return tuple(run.checks)


def _no_provenance() -> None:
    raise Refusal(
        Reason.STATEMENT_MISSING, "no provenance, or no rule for it in the policy", expected=SLSA_PROVENANCE_V1
    )


def _test_result_of(statement: Statement) -> Callable[[], None]:
    def check() -> None:
        result = statement.predicate.get("result")
        if not isinstance(result, str) or result not in _TEST_RESULTS:
            raise Refusal(Reason.STATEMENT_PREDICATE, "the test result is none", found=str(result)[:100])
        if result == "FAILED":
            raise Refusal(Reason.TEST_RESULT_FAILED, "a test of this artifact failed")

    return check


def _require_passed(statement: Statement) -> None:
    """Refuse a verification summary of anything but success (P2; SLSA 1.0, "Verification Summary Attestation")."""
    result = statement.predicate.get("verificationResult")
    if result != "PASSED":
        raise Refusal(
            Reason.STATEMENT_PREDICATE,
            "the verification summary does not say that the artifact passed",
            expected="PASSED",
            found=str(result)[:100],
        )


def _missing(rule: StatementRule, broken: Sequence[Broken]) -> tuple[Verdict, set[int]]:
    """The verdict on a rule for which no valid statement was found, and which broken bundles explain it.

    A broken bundle of the rule's type, or of none that can be told, says more than that the statement is missing.
    """
    for types in ({rule.predicate_type}, {None}):
        used = {index for index, item in enumerate(broken) if item.predicate_type in types}
        if used:
            return Verdict.of(rule.predicate_type, parts=[broken[index].verdict for index in sorted(used)]), used
    check = Check(
        name="statement.present",
        reason=Reason.STATEMENT_MISSING,
        detail="no valid statement of this type",
        evidence={"expected": rule.predicate_type},
    )
    return Verdict.of(rule.predicate_type, checks=[check]), set()


def _progress(verdict: Verdict) -> tuple[bool, int]:
    """How far a candidate came: accepted, or the number of checks before the first that found something."""
    for index, check in enumerate(verdict.checks):
        if check.reason is not None:
            return False, index
    return True, len(verdict.checks)


def _require_digest(statement: Statement, facts: ArtifactFacts) -> None:
    if facts.digest not in {subject.digest for subject in statement.subjects}:
        raise Refusal(
            Reason.SUBJECT_MISMATCH,
            "the statement is about another artifact",
            expected=facts.digest,
            found=", ".join(subject.digest for subject in statement.subjects[:3]),
        )


def _require_name(statement: Statement, facts: ArtifactFacts) -> None:
    names = {subject.name for subject in statement.subjects if subject.digest == facts.digest}
    # A statement about another artifact altogether has said so in `subject.digest`.
    if names and facts.name not in names:
        raise Refusal(
            Reason.SUBJECT_NAME,
            "the statement names the artifact otherwise",
            expected=facts.name,
            found=", ".join(sorted(names)[:3]),
        )


def _require_archive(statement: Statement, facts: ArtifactFacts) -> None:
    if facts.archive is not None and facts.archive not in {subject.digest for subject in statement.subjects}:
        raise Refusal(
            Reason.ARTIFACT_CONTENT_MISMATCH,
            "the artifact's layer is no subject of the provenance",
            expected=facts.archive,
        )
