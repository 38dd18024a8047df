"""Whether the proof of an earlier environment stands, before a later one is proved and goes on.

What an attacker could do, and what is checked against it:

1. Write a proof of his own: it must be signed, by an identity of the policy that may sign test results, or that the
   caller names; or the caller names its digest, as the run gave it that made it.
2. Show a proof that failed: its result must be good, and no test of it failed.
3. Show the proof of another environment, or the result of other tests: it names the environment that it is about.
4. Show the proof of an earlier release: it covers every artifact that is promoted by digest, or names the same release,
   of which both environments' artifacts are a part.
5. Show a proof by an older, looser policy: it names the digest of the policy, which must be this one.
6. Keep a good proof for later: the verified time of its signature must lie within `max_age`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Self

from dhallmark.config.policy import Policy
from dhallmark.digest import Digest
from dhallmark.errors import FormatError, UsageError
from dhallmark.files import UnreadableFileError, read_regular
from dhallmark.prove.evidence import ENVIRONMENT, POLICY, RELEASE, environment_uri, release_digest
from dhallmark.prove.prove import Proved
from dhallmark.publish.model import Publication
from dhallmark.reasons import Reason
from dhallmark.statement import TEST_RESULT_V0_1, Statement
from dhallmark.verdict import Check, Verdict
from dhallmark.verify import results, standing
from dhallmark.verify.parse import MAX_BUNDLE_BYTES
from dhallmark.verify.policy import PolicyJudge
from dhallmark.verify.refusal import Refusal
from dhallmark.verify.run import Run
from dhallmark.verify.trust import TrustRoot

MAX_AGE: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """The proof of an earlier environment, as it was named: `ENVIRONMENT=FILE` or `ENVIRONMENT=FILE@sha256:…`."""

    environment: str
    path: Path
    digest: Digest | None
    """Of the file; where it is given, the file is an unsigned statement that the caller vouches for."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises UsageError."""
        environment, equals, rest = text.partition("=")
        path, at, digest = rest.rpartition("@sha256:")
        if not environment or not equals or not rest:
            raise UsageError(f"no proof of the form {text!r}", hint="expected ENVIRONMENT=FILE, or …=FILE@sha256:…")
        try:
            known = Digest.from_hex(digest) if at else None
        except FormatError as error:
            raise UsageError(f"no digest: {digest!r}") from error
        return cls(environment=environment, path=Path(path if at else rest), digest=known)


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """What is to be promoted."""

    proved: Sequence[Proved]
    """The artifacts of the later environment."""
    policy: Policy
    trust: TrustRoot | None
    release: Publication | None
    max_age: timedelta = MAX_AGE
    signers: Sequence[str] = ()
    """Identities of the policy that may sign a proof; those that may sign its test results where none is named."""


def check_earlier(earlier: Earlier, promotion: Promotion) -> Verdict:
    """The verdict on whether the proof of an earlier environment stands for this promotion. Never raises."""
    subject = f"the proof of {earlier.environment}, {earlier.path}"
    try:
        content = read_regular(earlier.path, max_bytes=MAX_BUNDLE_BYTES)
    except UnreadableFileError as error:
        return Verdict.of(subject, checks=[Check(name="file", reason=Reason.FILE_UNREADABLE, detail=error.message)])
    run = Run()
    if earlier.digest is not None:
        statement = run.step("digest", lambda: _pinned(content, earlier.digest))
        parts: list[Verdict] = []
    else:
        statement, parts = _signed(content, promotion, run)
    if statement is not None:
        _about(statement, earlier.environment, promotion, run)
    return Verdict.of(subject, checks=run.checks, parts=parts)


def _pinned(content: bytes, digest: Digest | None) -> Statement:
    """The statement in a file that the caller named by its digest."""
    if Digest.of(content) != digest:
        raise Refusal(
            Reason.PROMOTION_PROOF, "the file is not the one that was named", expected=str(digest),
            found=Digest.of(content),
        )  # fmt: skip
    try:
        return Statement.parse(content)
    except FormatError as error:
        raise Refusal(Reason.STATEMENT_MALFORMED, error.message) from error


def _signed(content: bytes, promotion: Promotion, run: Run) -> tuple[Statement | None, list[Verdict]]:
    """The statement in a bundle that verifies, by an identity that the policy lets sign test results."""
    judge = PolicyJudge(promotion.policy, promotion.trust)
    result = judge.examine(content, name="its signature")
    statement, identity = result.statement, result.identity
    if statement is None or identity is None:
        return None, [result.verdict]
    names = promotion.signers or [
        name
        for rule in promotion.policy.statements
        if rule.predicate_type == TEST_RESULT_V0_1
        for name in rule.identities
    ]

    def by_whom() -> None:
        if not names:
            raise Refusal(
                Reason.STATEMENT_MISSING,
                "the policy does not say who may sign a test result; name them with --proved-by",
                expected=TEST_RESULT_V0_1,
            )
        judge.require_identity(identity, names)

    run.step("identity", by_whom)
    run.step("freshness", lambda: standing.require_fresh(result.times, promotion.max_age, judge.clock()))
    return statement, [result.verdict]


def _about(statement: Statement, environment: str, promotion: Promotion, run: Run) -> None:
    """Whether it says that the earlier environment is good, for what is promoted."""
    run.step("result", lambda: _require_good(statement))
    configuration = _configuration(statement)
    run.step("environment", lambda: _require(
        configuration.get(ENVIRONMENT, {}).get("uri"), environment_uri(environment), "it is about another environment"
    ))  # fmt: skip
    policy = promotion.policy.origin.digest
    run.step("policy", lambda: _require(
        _digest(configuration.get(POLICY)), policy.hex if policy else "", "it was reached with another policy"
    ))  # fmt: skip
    run.step("artifacts", lambda: _require_covered(statement, environment, configuration, promotion))


def _require_good(statement: Statement) -> None:
    if statement.predicate_type != TEST_RESULT_V0_1:
        raise Refusal(
            Reason.STATEMENT_PREDICATE,
            "it is no test result",
            expected=TEST_RESULT_V0_1,
            found=statement.predicate_type,
        )
    results.require_not_failed(statement)
    passed = statement.predicate.get("passedTests")
    if statement.predicate.get("result") != "PASSED" or not isinstance(passed, list) or not passed:
        raise Refusal(Reason.TEST_RESULT_INSUFFICIENT, "it names no test that passed")


def _configuration(statement: Statement) -> Mapping[str, Mapping[str, Any]]:
    """What it was reached with, by name; a name that stands twice is not believed."""
    found: dict[str, Mapping[str, Any]] = {}
    twice: set[str] = set()
    entries = statement.predicate.get("configuration")
    for one in entries if isinstance(entries, list) else ():
        if isinstance(one, dict) and isinstance(one.get("name"), str):
            twice |= {one["name"]} & set(found)
            found[one["name"]] = one
    return {name: one for name, one in found.items() if name not in twice}


def _digest(entry: Mapping[str, Any] | None) -> object:
    digests = (entry or {}).get("digest")
    return digests.get("sha256") if isinstance(digests, dict) else None


def _require(found: object, expected: str, otherwise: str) -> None:
    if not expected or found != expected:
        raise Refusal(Reason.PROMOTION_PROOF, otherwise, expected=expected, found=str(found))


def _require_covered(
    statement: Statement, environment: str, configuration: Mapping[str, Mapping[str, Any]], promotion: Promotion
) -> None:
    """Every artifact that is promoted was proved, or is of the release whose artifact of that name was."""
    if not promotion.proved:
        raise Refusal(Reason.NOTHING_CHECKED, "nothing is promoted")
    known = {subject.digest for subject in statement.subjects}
    other = [one for one in promotion.proved if one.digest not in known]
    if not other:
        return
    release = promotion.release
    if release is None:
        raise Refusal(
            Reason.PROMOTION_PROOF,
            "it does not cover an artifact; name the release that both are of with --release",
            expected=other[0].digest,
        )
    _require(_digest(configuration.get(RELEASE)), release_digest(release).hex, "it is about another release")
    there = [one for one in release.artifacts if one.environment == environment]
    if not any(Digest(one.digest) in known for one in there):
        raise Refusal(Reason.PROMOTION_PROOF, "it is about no artifact of its environment in the release")
    for one in other:
        of_release = next((item for item in release.artifacts if item.digest == one.digest), None)
        if of_release is None:
            raise Refusal(Reason.PROMOTION_PROOF, "an artifact is no part of the release", expected=one.digest)
        # What the earlier environment does not have cannot have been proved there.
        twin = next((item for item in there if (item.kind, item.name) == (of_release.kind, of_release.name)), None)
        if twin is not None and Digest(twin.digest) not in known:
            raise Refusal(Reason.PROMOTION_PROOF, "it leaves out what the same artifact is there", expected=twin.pinned)
