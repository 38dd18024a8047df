"""The policy on statements: each rule, what explains a rule that is not met, and what counts for nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.config.identities import IdentityRule
from dhallmark.config.policy import Policy
from dhallmark.digest import Digest
from dhallmark.identity import Identity
from dhallmark.reasons import Reason
from dhallmark.statement import (
    COSIGN_SIGN_V1,
    LINK_V0_3,
    SLSA_PROVENANCE_V1,
    TEST_RESULT_V0_1,
    VSA_V1,
    Statement,
    Subject,
)
from dhallmark.verdict import Check, Outcome, Verdict
from dhallmark.verify.claimed import claimed_type
from dhallmark.verify.identities import IdentityMatcher
from dhallmark.verify.policy import ArtifactFacts, Broken, Judgement, PolicyJudge, Signed, Unsigned
from dhallmark.verify.provenance import Provenance
from dhallmark.verify.refusal import Refusal

NAME = "registry.test/acme/prod/web"
DIGEST, ARCHIVE = Digest.of(b"manifest"), Digest.of(b"archive")
FACTS = ArtifactFacts(name=NAME, digest=DIGEST, archive=ARCHIVE)
REPOSITORY, BUILDER, REVISION = "https://github.com/acme/platform", "https://github.com/acme/builder", "ab" * 20
ISSUER, SUBJECT = (
    "https://issuer.test",
    "https://github.com/acme/platform/.github/workflows/release.yml@refs/heads/main",
)
RELEASE = Identity(issuer=ISSUER, subject=SUBJECT)
STRANGER = Identity(issuer=ISSUER, subject="https://github.com/evil/platform")
POLICY = Policy.model_validate(
    {
        "schemaVersion": 1,
        "identities": {"release": {"issuer": ISSUER, "subject": SUBJECT}},
        "statements": [
            {"predicateType": COSIGN_SIGN_V1, "identities": ["release"]},
            {"predicateType": SLSA_PROVENANCE_V1, "identities": ["release"]},
            {
                "predicateType": LINK_V0_3,
                "identities": ["release"],
                "steps": ["resolve", "render", "package", "publish"],
            },
        ],
        "source": {"repository": REPOSITORY},
        "builders": [BUILDER],
    }
)
Files = Mapping[str, Digest]


def statement(kind: str, predicate: Mapping[str, Any], *subjects: Subject) -> Statement:
    return Statement.build(predicate_type=kind, subjects=subjects or [Subject(NAME, DIGEST)], predicate=predicate)


def link(name: str, materials: Files, products: Files) -> Statement:
    return statement(
        LINK_V0_3,
        {"name": name, "materials": [{"name": n, "digest": {"sha256": d.hex}} for n, d in materials.items()]},
        *(Subject(n, d) for n, d in products.items()),
    )


SOURCE = {"web.dhall": Digest.of(b"source"), "values.yaml": Digest.of(b"values")}
NORMAL = {"build/resolve/normal/web.dhallb": Digest.of(b"normal")}
CHART = {"build/render/web/Chart.yaml": Digest.of(b"chart")}
PACKED = {"build/package/web.tgz": ARCHIVE, "build/package/oci/blobs/manifest": DIGEST}
LINKS = {
    "resolve": link("resolve", SOURCE, NORMAL),
    "render": link("render", {**NORMAL, "values.yaml": SOURCE["values.yaml"]}, CHART),
    "package": link("package", CHART, PACKED),
    "publish": link("publish", PACKED, {"build/publish/web.json": DIGEST}),
}


def provenance(change: Callable[[dict[str, Any]], object] = lambda _: None, *subjects: Subject) -> Statement:
    predicate: dict[str, Any] = {
        "buildDefinition": {
            "internalParameters": {"dirty": False},
            "resolvedDependencies": [
                {"name": "source", "uri": f"git+{REPOSITORY}", "digest": {"gitCommit": REVISION}},
                {"name": "source-tree", "uri": f"git+{REPOSITORY}#x", "digest": {"gitTree": REVISION}},
            ],
        },
        "runDetails": {"builder": {"id": BUILDER}},
    }
    change(predicate)
    return statement(SLSA_PROVENANCE_V1, predicate, *(subjects or (Subject(NAME, DIGEST), Subject("web.tgz", ARCHIVE))))


GOOD = {"signature": statement(COSIGN_SIGN_V1, {}), "provenance": provenance(), **LINKS}


def signed(item: Statement, identity: Identity = RELEASE) -> Signed:
    return Signed(bundle=Verdict.of("bundle", checks=[Check(name="bundle")]), statement=item, identity=identity)


def judge(
    statements: Mapping[str, Statement] = GOOD,
    *,
    also: Sequence[Signed] = (),
    broken: Sequence[Broken] = (),
    policy: Policy = POLICY,
    identity: Identity = RELEASE,
) -> Judgement:
    claims = [signed(item, identity) for item in statements.values()]
    return PolicyJudge(policy).judge([*claims, *also], FACTS, broken=broken)


def whole(judgement: Judgement) -> Verdict:
    return Verdict.of("artifact", checks=judgement.checks, parts=judgement.rules, ignored=judgement.ignored)


def test_a_whole_release_is_accepted_with_a_verdict_for_each_rule() -> None:
    judgement = judge()
    assert whole(judgement).outcome is Outcome.ACCEPTED, whole(judgement).to_json()
    assert [verdict.subject for verdict in judgement.rules] == [COSIGN_SIGN_V1, SLSA_PROVENANCE_V1, LINK_V0_3]
    assert judgement.ignored == ()


CASES: dict[str, tuple[Mapping[str, Statement], Reason]] = {
    "no statement at all": ({}, Reason.STATEMENT_MISSING),
    "no provenance": ({**GOOD, "provenance": GOOD["signature"]}, Reason.STATEMENT_MISSING),
    "another digest": (
        {**GOOD, "signature": statement(COSIGN_SIGN_V1, {}, Subject(NAME, Digest.of(b"other")))},
        Reason.SUBJECT_MISMATCH,
    ),
    "another environment's name": (
        {**GOOD, "signature": statement(COSIGN_SIGN_V1, {}, Subject("registry.test/acme/dev/web", DIGEST))},
        Reason.SUBJECT_NAME,
    ),
    "the right name on another digest": (
        {
            **GOOD,
            "signature": statement(COSIGN_SIGN_V1, {}, Subject("dev/web", DIGEST), Subject(NAME, Digest.of(b"other"))),
        },
        Reason.SUBJECT_NAME,
    ),
    "1025 subjects": (
        {
            **GOOD,
            "signature": statement(
                COSIGN_SIGN_V1,
                {},
                Subject(NAME, DIGEST),
                *(Subject(str(n), Digest.of(b"x")) for n in range(1024)),
            ),
        },
        Reason.SUBJECT_TOO_MANY,
    ),
    "provenance without the archive": (
        {**GOOD, "provenance": provenance(lambda _: None, Subject(NAME, DIGEST))},
        Reason.ARTIFACT_CONTENT_MISMATCH,
    ),
    "another builder": (
        {**GOOD, "provenance": provenance(lambda p: p["runDetails"]["builder"].update(id="https://evil.test"))},
        Reason.PROVENANCE_BUILDER,
    ),
    "another source": (
        {
            **GOOD,
            "provenance": provenance(
                lambda p: p["buildDefinition"]["resolvedDependencies"][0].update(uri=f"git+{REPOSITORY}-evil")
            ),
        },
        Reason.PROVENANCE_SOURCE,
    ),
    "a dirty tree": (
        {**GOOD, "provenance": provenance(lambda p: p["buildDefinition"]["internalParameters"].update(dirty=True))},
        Reason.PROVENANCE_DIRTY,
    ),
    "a tree that is not said to be clean": (
        {**GOOD, "provenance": provenance(lambda p: p["buildDefinition"].pop("internalParameters"))},
        Reason.PROVENANCE_DIRTY,
    ),
    "no source": (
        {**GOOD, "provenance": provenance(lambda p: p["buildDefinition"].pop("resolvedDependencies"))},
        Reason.STATEMENT_PREDICATE,
    ),
    "two sources": (
        {
            **GOOD,
            "provenance": provenance(
                lambda p: p["buildDefinition"]["resolvedDependencies"].append(
                    {"uri": "git+https://evil.test", "digest": {"gitCommit": REVISION}}
                )
            ),
        },
        Reason.STATEMENT_PREDICATE,
    ),
    "a source that is no repository": (
        {
            **GOOD,
            "provenance": provenance(
                lambda p: p["buildDefinition"]["resolvedDependencies"][0].update(uri="https://x.test")
            ),
        },
        Reason.STATEMENT_PREDICATE,
    ),
    "no builder": (
        {**GOOD, "provenance": provenance(lambda p: p.pop("runDetails"))},
        Reason.STATEMENT_PREDICATE,
    ),
    "a missing step": ({name: item for name, item in GOOD.items() if name != "render"}, Reason.STEP_MISSING),
    "a step under another name": (
        {**GOOD, "render": link("verify", NORMAL, CHART)},
        Reason.STEP_MISSING,
    ),
    "a link without name": ({**GOOD, "render": statement(LINK_V0_3, {"materials": []})}, Reason.STEP_MISSING),
    "a material that was changed between two steps": (
        {**GOOD, "package": link("package", {"build/render/web/Chart.yaml": Digest.of(b"evil")}, PACKED)},
        Reason.STEP_CHAIN,
    ),
    "a material from nowhere": (
        {**GOOD, "package": link("package", {**CHART, "extra.yaml": Digest.of(b"evil")}, PACKED)},
        Reason.STEP_CHAIN,
    ),
    "a source that differs from the one that was resolved": (
        {**GOOD, "render": link("render", {**NORMAL, "values.yaml": Digest.of(b"evil")}, CHART)},
        Reason.STEP_CHAIN,
    ),
    "a step that uses nothing of the others": ({**GOOD, "package": link("package", {}, PACKED)}, Reason.STEP_CHAIN),
    "a package of another archive": (
        {**GOOD, "package": link("package", CHART, {"build/package/oci/blobs/manifest": DIGEST})},
        Reason.STEP_CHAIN,
    ),
    "another artifact published": (
        {**GOOD, "publish": link("publish", PACKED, {"build/publish/web.json": Digest.of(b"other")})},
        Reason.STEP_CHAIN,
    ),
    "nine different links of a step": (
        {**GOOD, **{f"render-{n}": link("render", NORMAL, {str(n): DIGEST}) for n in range(9)}},
        Reason.STEP_CHAIN,
    ),
    "a failed test": ({**GOOD, "test": statement(TEST_RESULT_V0_1, {"result": "FAILED"})}, Reason.TEST_RESULT_FAILED),
    "a test result that is none": (
        {**GOOD, "test": statement(TEST_RESULT_V0_1, {"result": "failed"})},
        Reason.STATEMENT_PREDICATE,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_release_that_lacks_something_is_refused_for_that(name: str) -> None:
    statements, reason = CASES[name]
    verdict = whole(judge(statements))
    assert verdict.reason is reason, verdict.to_json()


@pytest.mark.parametrize("name", CASES)
def test_the_same_is_refused_before_it_is_signed(name: str) -> None:
    statements, reason = CASES[name]
    claims = [Unsigned(source=key, statement=item) for key, item in statements.items()]
    assert whole(PolicyJudge(POLICY).judge(claims, FACTS)).reason is reason


def test_unsigned_statements_that_are_good_pass() -> None:
    claims = [Unsigned(source=key, statement=item) for key, item in GOOD.items()]
    assert whole(PolicyJudge(POLICY).judge(claims, FACTS)).outcome is Outcome.ACCEPTED


@pytest.mark.parametrize(
    ("identity", "reason"),
    [
        (STRANGER, Reason.IDENTITY_SUBJECT_MISMATCH),
        (replace(RELEASE, issuer="https://other.test"), Reason.IDENTITY_ISSUER_MISMATCH),
        (replace(RELEASE, subject=SUBJECT + "-evil"), Reason.IDENTITY_SUBJECT_MISMATCH),
        (replace(RELEASE, subject=SUBJECT.upper()), Reason.IDENTITY_SUBJECT_MISMATCH),
    ],
)
def test_all_of_it_by_someone_else_is_refused(identity: Identity, reason: Reason) -> None:
    verdict = whole(judge(identity=identity))
    assert verdict.reasons == {reason}


@pytest.mark.parametrize("kind", ["signature", "provenance", "render"])
def test_one_statement_by_a_stranger_does_not_stand_in_for_the_good_one(kind: str) -> None:
    others = {name: item for name, item in GOOD.items() if name != kind}
    verdict = whole(judge(others, also=[signed(GOOD[kind], STRANGER)]))
    assert verdict.outcome is Outcome.REJECTED
    assert verdict.reason in (Reason.IDENTITY_SUBJECT_MISMATCH, Reason.STEP_MISSING)


@pytest.mark.parametrize(
    "statement_of_stranger",
    [
        GOOD["signature"],
        statement(COSIGN_SIGN_V1, {}, Subject("evil", Digest.of(b"evil"))),
        provenance(lambda p: p.pop("runDetails")),
        link("render", {}, {"x": Digest.of(b"evil")}),
        link("package", {"nowhere": Digest.of(b"evil")}, PACKED),
        statement(TEST_RESULT_V0_1, {"result": "FAILED"}),
        statement("https://evil.test/type", {}),
    ],
)
def test_a_strangers_statement_beside_the_good_ones_harms_nothing(statement_of_stranger: Statement) -> None:
    judgement = judge(also=[signed(statement_of_stranger, STRANGER)])
    assert whole(judgement).outcome is Outcome.ACCEPTED, whole(judgement).to_json()
    assert len(judgement.ignored) == 1


def test_a_passed_test_harms_nothing_and_a_test_of_another_artifact_neither() -> None:
    passed = statement(TEST_RESULT_V0_1, {"result": "PASSED"})
    elsewhere = statement(TEST_RESULT_V0_1, {"result": "FAILED"}, Subject("x", Digest.of(b"other")))
    assert whole(judge(also=[signed(passed), signed(elsewhere)])).outcome is Outcome.ACCEPTED


def test_a_second_release_of_the_same_artifact_is_accepted_by_one_chain_that_fits() -> None:
    normal = {"build/resolve/normal/web.dhallb": Digest.of(b"normal, by a newer dhall")}
    again = [
        signed(link("resolve", SOURCE, normal)),
        signed(link("render", {**normal, "values.yaml": SOURCE["values.yaml"]}, CHART)),
    ]
    assert whole(judge(also=again)).outcome is Outcome.ACCEPTED
    # Half of one and half of the other do not fit.
    mixed = {name: item for name, item in GOOD.items() if name != "render"}
    assert whole(judge(mixed, also=again[1:])).reason is Reason.STEP_CHAIN


def test_a_link_rule_without_steps_still_wants_the_artifact_made() -> None:
    rules = [rule.model_copy(update={"steps": ()}) for rule in POLICY.statements]
    policy = POLICY.model_copy(update={"statements": tuple(rules)})
    assert whole(judge(policy=policy)).reason is Reason.STEP_CHAIN


def test_an_archive_that_is_not_known_is_not_compared() -> None:
    facts = FACTS._replace(archive=None)
    claims = [
        signed(item) for item in {**GOOD, "provenance": provenance(lambda _: None, Subject(NAME, DIGEST))}.values()
    ]
    assert whole(PolicyJudge(POLICY).judge(claims, facts)).outcome is Outcome.ACCEPTED


def _broken(reason: Reason, kind: str | None) -> Broken:
    return Broken(verdict=Verdict.of("bundle", checks=[Check(name="x", reason=reason)]), predicate_type=kind)


@pytest.mark.parametrize("kind", [SLSA_PROVENANCE_V1, None])
def test_a_broken_bundle_explains_the_rule_that_it_would_have_met(kind: str | None) -> None:
    others = {name: item for name, item in GOOD.items() if name != "provenance"}
    verdict = whole(judge(others, broken=[_broken(Reason.SIGNATURE_INVALID, kind)]))
    assert verdict.reasons == {Reason.SIGNATURE_INVALID}
    verdict = whole(judge(others, broken=[_broken(Reason.FORMAT_UNSUPPORTED, kind)]))
    assert verdict.outcome is Outcome.INDETERMINATE


def test_a_broken_bundle_of_another_type_explains_nothing() -> None:
    others = {name: item for name, item in GOOD.items() if name != "provenance"}
    judgement = judge(others, broken=[_broken(Reason.SIGNATURE_INVALID, COSIGN_SIGN_V1)])
    assert whole(judgement).reason is Reason.STATEMENT_MISSING
    assert len(judgement.ignored) == 1


def test_a_broken_bundle_beside_the_good_ones_harms_nothing() -> None:
    judgement = judge(
        broken=[_broken(Reason.SIGNATURE_INVALID, SLSA_PROVENANCE_V1), _broken(Reason.BUNDLE_MALFORMED, None)]
    )
    assert whole(judgement).outcome is Outcome.ACCEPTED
    assert len(judgement.ignored) == 2


@pytest.mark.parametrize(
    ("extensions", "accepted"),
    [
        ({}, True),
        ({"sourceRepositoryURI": REPOSITORY, "sourceRepositoryDigest": REVISION}, True),
        ({"sourceRepositoryURI": "https://github.com/evil/platform"}, False),
        ({"sourceRepositoryDigest": "cd" * 20}, False),
    ],
)
def test_claims_must_not_contradict_the_certificate(extensions: dict[str, str], accepted: bool) -> None:  # noqa: FBT001
    verdict = whole(judge(identity=replace(RELEASE, extensions=extensions)))
    assert (verdict.outcome is Outcome.ACCEPTED) is accepted
    assert accepted or verdict.reasons == {Reason.PROVENANCE_CLAIM_MISMATCH}


@pytest.mark.parametrize("result", ["FAILED", "passed", "", None, True, ["PASSED"]])
def test_a_verification_summary_of_anything_but_success_meets_no_rule(result: object) -> None:
    """What else of a summary is judged: test_vsa."""
    rule = {
        "predicateType": VSA_V1,
        "identities": ["release"],
        "summary": {"verifiers": ["https://verifier.test"]},
    }
    policy = Policy.model_validate(
        {"schemaVersion": 1, "identities": {"release": {"issuer": ISSUER, "subject": SUBJECT}}, "statements": [rule]}
    )
    said = {
        "verifier": {"id": "https://verifier.test"},
        "timeVerified": "2026-01-01T00:00:00Z",
        "resourceUri": f"oci://{NAME}@{DIGEST}",
        "verificationResult": "PASSED",
        "verifiedLevels": ["SLSA_BUILD_LEVEL_2"],
    }
    assert whole(judge({"summary": statement(VSA_V1, said)}, policy=policy)).outcome is Outcome.ACCEPTED
    bad = statement(VSA_V1, {**said, "verificationResult": result})
    reason = Reason.SUMMARY_FAILED if result == "FAILED" else Reason.STATEMENT_PREDICATE
    assert whole(judge({"summary": bad}, policy=policy)).reason is reason


@pytest.mark.parametrize("repository", ["ssh://git@example.test/acme/platform", "https://example.test/a@b/platform"])
@pytest.mark.parametrize("ref", ["", "@refs/heads/main", "@refs/tags/v1@2"])
def test_a_repository_may_have_a_user_or_an_at_sign(repository: str, ref: str) -> None:
    def change(predicate: dict[str, Any]) -> None:
        predicate["buildDefinition"]["resolvedDependencies"][0]["uri"] = f"git+{repository}{ref}"

    claims = Provenance.read(provenance(change))
    assert (claims.repository, claims.ref) == (repository, ref.removeprefix("@"))


def test_a_policy_may_allow_a_dirty_tree() -> None:
    assert POLICY.source is not None
    policy = POLICY.model_copy(update={"source": POLICY.source.model_copy(update={"allow_dirty": True})})
    assert whole(judge(CASES["a dirty tree"][0], policy=policy)).outcome is Outcome.ACCEPTED


MATCHES: list[tuple[dict[str, Any], Identity, Reason | None]] = [
    ({"subject": SUBJECT}, RELEASE, None),
    ({"subjectRegExp": r"https://github\.com/acme/platform/.*"}, RELEASE, None),
    ({"subjectRegExp": r"https://github\.com/acme/platform"}, RELEASE, Reason.IDENTITY_SUBJECT_MISMATCH),
    ({"subjectRegExp": r"acme/platform.*"}, RELEASE, Reason.IDENTITY_SUBJECT_MISMATCH),
    ({"subjectRegExp": "a|.*"}, RELEASE, None),
    ({"subject": SUBJECT, "extensions": {"buildTrigger": "push"}}, RELEASE, Reason.IDENTITY_EXTENSION_MISMATCH),
    (
        {"subject": SUBJECT, "extensions": {"buildTrigger": ["push", "schedule"]}},
        replace(RELEASE, extensions={"buildTrigger": "schedule"}),
        None,
    ),
    (
        {"subject": SUBJECT, "extensions": {"buildTrigger": "push"}},
        replace(RELEASE, extensions={"buildTrigger": "pull_request"}),
        Reason.IDENTITY_EXTENSION_MISMATCH,
    ),
]


@pytest.mark.parametrize(("rule", "identity", "reason"), MATCHES)
def test_an_identity_matches_as_a_whole(rule: dict[str, Any], identity: Identity, reason: Reason | None) -> None:
    matcher = IdentityMatcher({"x": IdentityRule.model_validate({"issuer": ISSUER, **rule})})
    if reason is None:
        assert matcher.require(identity, ["x"]) == ("x",)
    else:
        with pytest.raises(Refusal) as refusal:
            matcher.require(identity, ["x"])
        assert refusal.value.reason is reason


def test_the_nearest_identity_explains_a_mismatch() -> None:
    matcher = IdentityMatcher(
        {
            "far": IdentityRule(issuer="https://far.test", subject=SUBJECT),
            "near": IdentityRule(issuer=ISSUER, subject="x"),
        }
    )
    for names in (["far", "near"], ["near", "far"]):
        with pytest.raises(Refusal) as refusal:
            matcher.require(RELEASE, names)
        assert refusal.value.reason is Reason.IDENTITY_SUBJECT_MISMATCH
    with pytest.raises(Refusal):
        matcher.require(RELEASE, [])


_KEYS = st.sampled_from(
    [
        *("name", "materials", "digest", "sha256", "result", "buildDefinition", "runDetails", "builder", "id", "uri"),
        *("resolvedDependencies", "gitCommit", "internalParameters", "dirty"),
    ]
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(
    kind=st.sampled_from([COSIGN_SIGN_V1, SLSA_PROVENANCE_V1, LINK_V0_3, TEST_RESULT_V0_1, "x"]),
    predicate=st.dictionaries(_KEYS, _JSON, max_size=5),
    alone=st.booleans(),
)
def test_any_predicate_gives_a_judgement(kind: str, predicate: dict[str, Any], alone: bool) -> None:  # noqa: FBT001
    odd = signed(statement(kind, predicate))
    verdict = whole(judge({} if alone else GOOD, also=[odd]))
    assert not alone or verdict.outcome is Outcome.REJECTED


@given(st.binary(max_size=100))
def test_what_bytes_claim_to_be_never_raises(content: bytes) -> None:
    assert claimed_type(content) is None


@pytest.mark.parametrize(
    "bundle",
    [
        b'{"dsseEnvelope": 1}',
        b'{"dsseEnvelope": {"payload": 1}}',
        b'{"dsseEnvelope": {"payload": "bnVsbA=="}}',
        b'{"dsseEnvelope": {"payload": "eyJwcmVkaWNhdGVUeXBlIjogMX0="}}',
    ],
)
def test_a_bundle_that_claims_nothing_explains_nothing(bundle: bytes) -> None:
    assert claimed_type(bundle) is None
