"""What a rule of the policy demands beyond a type and a signer: subjects, thresholds, results, ages, keys, commits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.config.policy import Origin, Policy
from dhallmark.digest import Digest
from dhallmark.identity import Identity, KeyIdentity, Signatory
from dhallmark.reasons import Reason
from dhallmark.statement import (
    COSIGN_SIGN_V1,
    LINK_V0_3,
    SLSA_PROVENANCE_V1,
    SPDX_V2_3,
    TEST_RESULT_V0_1,
    VSA_V1,
    Statement,
    Subject,
)
from dhallmark.verdict import Check, Outcome, Verdict
from dhallmark.verify.demands import Demands, SignatureKind
from dhallmark.verify.policy import (
    ArtifactFacts,
    Broken,
    Claim,
    PolicyJudge,
    Signed,
    SignedMessage,
    Unsigned,
    demands,
)
from dhallmark.verify.trust import TrustRoot

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
NAME = "registry.test/acme/prod/web"
DIGEST, ARCHIVE, OTHER = Digest.of(b"manifest"), Digest.of(b"archive"), Digest.of(b"other")
FACTS = ArtifactFacts(name=NAME, digest=DIGEST, archive=ARCHIVE)
ISSUER, REPOSITORY, REVISION = "https://issuer.test", "https://git.test/acme/platform", "ab" * 20
ANN, BOB, EVE = (Identity(issuer=ISSUER, subject=f"https://git.test/{name}") for name in ("ann", "bob", "eve"))
SELF = Subject(NAME, DIGEST)
LAYER, FILE = Subject("web-1.0.0.tgz", ARCHIVE), Subject("environments/prod/charts/web/Chart.yaml", OTHER)


def make_policy(rule: Mapping[str, Any] | None = None, /, **more: object) -> Policy:
    """A policy with Ann and Bob, and one rule, for cosign's signature by Ann where nothing else is said."""
    return Policy.model_validate(
        {
            "schemaVersion": 1,
            "identities": {name: {"issuer": ISSUER, "subject": f"https://git.test/{name}"} for name in ("ann", "bob")},
            "statements": [{"predicateType": COSIGN_SIGN_V1, "identities": ["ann"], **(rule or {})}],
            **more,
        }
    )


def statement(kind: str, *subjects: Subject, predicate: Mapping[str, Any] | None = None) -> Statement:
    return Statement.build(predicate_type=kind, subjects=subjects or [SELF], predicate=predicate or {})


def signed(item: Statement, by: Signatory = ANN, *times: datetime) -> Signed:
    bundle = Verdict.of("bundle", checks=[Check(name="bundle")])
    return Signed(bundle=bundle, statement=item, identity=by, times=times or (NOW,))


def message(digest: Digest = DIGEST, by: Signatory = ANN, *times: datetime) -> SignedMessage:
    bundle = Verdict.of("bundle", checks=[Check(name="bundle")])
    return SignedMessage(bundle=bundle, digest=digest, identity=by, times=times or (NOW,))


def judge(
    policy: Policy,
    claims: Sequence[Claim | SignedMessage],
    *,
    trust: TrustRoot | None = None,
    broken: Sequence[Broken] = (),
) -> Verdict:
    judgement = PolicyJudge(policy, trust, clock=lambda: NOW).judge(claims, FACTS, broken=broken)
    return Verdict.of("artifact", checks=judgement.checks, parts=judgement.rules, ignored=judgement.ignored)


SUBJECTS: list[tuple[str, dict[str, Any], Sequence[Subject], Reason | None]] = [
    (COSIGN_SIGN_V1, {}, [SELF], None),
    (COSIGN_SIGN_V1, {}, [SELF, LAYER], Reason.SUBJECT_EXTRA),
    (COSIGN_SIGN_V1, {}, [SELF, Subject("registry.test/acme/prod/evil", OTHER)], Reason.SUBJECT_EXTRA),
    (COSIGN_SIGN_V1, {}, [SELF, Subject("registry.test/acme/dev/web", DIGEST)], Reason.SUBJECT_EXTRA),
    (COSIGN_SIGN_V1, {"subjects": "release"}, [SELF, LAYER, FILE], None),
    (COSIGN_SIGN_V1, {"subjects": "any"}, [SELF, Subject("registry.test/acme/prod/evil", OTHER)], None),
    (SPDX_V2_3, {}, [SELF, LAYER, FILE], None),
    (SPDX_V2_3, {}, [SELF, Subject("registry.test/acme/prod/evil", OTHER)], Reason.SUBJECT_EXTRA),
    (SPDX_V2_3, {}, [SELF, Subject("", OTHER)], Reason.SUBJECT_EXTRA),
    (SPDX_V2_3, {"subjects": "artifact"}, [SELF, LAYER], Reason.SUBJECT_EXTRA),
    (COSIGN_SIGN_V1, {}, [Subject("", DIGEST)], Reason.SUBJECT_NAME),
    (COSIGN_SIGN_V1, {"allowUnnamed": True}, [Subject("", DIGEST)], None),
    (COSIGN_SIGN_V1, {"allowUnnamed": True}, [Subject("registry.test/acme/dev/web", DIGEST)], Reason.SUBJECT_NAME),
    (COSIGN_SIGN_V1, {"allowUnnamed": True}, [Subject("", OTHER)], Reason.SUBJECT_MISMATCH),
]


@pytest.mark.parametrize(("kind", "rule", "subjects", "reason"), SUBJECTS)
def test_a_statement_is_about_the_artifact_and_what_belongs_to_it(
    kind: str, rule: dict[str, Any], subjects: Sequence[Subject], reason: Reason | None
) -> None:
    policy = make_policy({"predicateType": kind, **rule})
    item = statement(kind, *subjects)
    assert judge(policy, [signed(item)]).reason is reason
    assert judge(policy, [Unsigned(source="file", statement=item)]).reason is reason


RESULTS: list[tuple[dict[str, Any], dict[str, Any], Reason | None]] = [
    ({}, {"result": "PASSED"}, None),
    ({}, {"result": "WARNED"}, Reason.TEST_RESULT_INSUFFICIENT),
    ({"result": "WARNED"}, {"result": "WARNED"}, None),
    ({"result": "WARNED"}, {"result": "PASSED"}, None),
    ({"result": "WARNED"}, {"result": "FAILED"}, Reason.TEST_RESULT_FAILED),
    ({}, {"result": "PASSED", "failedTests": ["a"]}, Reason.TEST_RESULT_FAILED),
    ({}, {"result": "PASSED", "failedTests": []}, None),
    ({"passedTests": ["a", "b"]}, {"result": "PASSED", "passedTests": ["b", "c", "a"]}, None),
    ({"passedTests": ["a", "b"]}, {"result": "PASSED", "passedTests": ["a"]}, Reason.TEST_RESULT_INSUFFICIENT),
    ({"passedTests": ["a"]}, {"result": "PASSED"}, Reason.TEST_RESULT_INSUFFICIENT),
    ({"passedTests": ["a"]}, {"result": "PASSED", "passedTests": "a"}, Reason.STATEMENT_PREDICATE),
    ({}, {"result": "passed"}, Reason.STATEMENT_PREDICATE),
    ({}, {}, Reason.STATEMENT_PREDICATE),
]


@pytest.mark.parametrize(("rule", "predicate", "reason"), RESULTS)
def test_a_required_test_must_say_enough(
    rule: dict[str, Any], predicate: dict[str, Any], reason: Reason | None
) -> None:
    policy = make_policy({"predicateType": TEST_RESULT_V0_1, **rule})
    verdict = judge(policy, [signed(statement(TEST_RESULT_V0_1, predicate=predicate))])
    assert verdict.reason is reason, verdict.to_json()


def test_a_required_test_that_is_missing_is_refused() -> None:
    policy = make_policy({"predicateType": TEST_RESULT_V0_1})
    assert judge(policy, [signed(statement(COSIGN_SIGN_V1))]).reason is Reason.STATEMENT_MISSING


TWO = {"identities": ["ann", "bob"], "threshold": 2}


@pytest.mark.parametrize(
    ("signers", "reason"),
    [
        ([ANN, BOB], None),
        ([ANN, ANN], Reason.STATEMENT_THRESHOLD),
        ([ANN], Reason.STATEMENT_THRESHOLD),
        ([ANN, EVE], Reason.STATEMENT_THRESHOLD),
        ([ANN, BOB, EVE], None),
        ([EVE], Reason.IDENTITY_SUBJECT_MISMATCH),
    ],
)
def test_a_threshold_wants_different_signers(signers: Sequence[Identity], reason: Reason | None) -> None:
    item = statement(COSIGN_SIGN_V1)
    verdict = judge(make_policy(TWO), [signed(item, by) for by in signers])
    assert verdict.reason is reason, verdict.to_json()
    assert len(verdict.ignored) == (EVE in signers and ANN in signers)


def test_before_the_first_signature_a_threshold_is_not_counted() -> None:
    item = Unsigned(source="file", statement=statement(COSIGN_SIGN_V1))
    assert judge(make_policy(TWO), [item]).outcome is Outcome.ACCEPTED


WEEK = timedelta(days=7)


@pytest.mark.parametrize(
    ("policy", "age", "reason"),
    [
        (make_policy(), 10 * WEEK, None),
        (make_policy(freshness={"maxAge": "7d"}), WEEK, None),
        (make_policy(freshness={"maxAge": "7d"}), 2 * WEEK, Reason.FRESHNESS_TOO_OLD),
        (make_policy({"maxAge": "30d"}, freshness={"maxAge": "7d"}), 2 * WEEK, None),
        (make_policy({"maxAge": "12h"}, freshness={"maxAge": "7d"}), WEEK, Reason.FRESHNESS_TOO_OLD),
        (make_policy({"maxAge": "90m"}), timedelta(hours=2), Reason.FRESHNESS_TOO_OLD),
        (make_policy({"maxAge": "90m"}), -timedelta(hours=2), Reason.FRESHNESS_FUTURE),
    ],
)
def test_old_signatures_are_refused(policy: Policy, age: timedelta, reason: Reason | None) -> None:
    claim = signed(statement(COSIGN_SIGN_V1), ANN, NOW - age)
    assert judge(policy, [claim]).reason is reason
    fresh = signed(statement(COSIGN_SIGN_V1))
    # An old one beside a fresh one harms nothing.
    assert judge(policy, [claim, fresh]).outcome is Outcome.ACCEPTED


def test_an_age_that_nobody_vouches_for_is_refused() -> None:
    claim = signed(statement(COSIGN_SIGN_V1))._replace(times=())
    assert judge(make_policy({"maxAge": "1d"}), [claim]).reason is Reason.TIMESTAMP_MISSING
    assert judge(make_policy(), [claim]).outcome is Outcome.ACCEPTED


def test_links_are_old_too() -> None:
    rule = {"predicateType": LINK_V0_3, "steps": ["publish"], "maxAge": "1d"}
    item = statement(LINK_V0_3, predicate={"name": "publish", "materials": []})
    verdict = judge(make_policy(rule), [signed(item, ANN, NOW - WEEK)])
    assert verdict.reason is Reason.FRESHNESS_TOO_OLD
    assert judge(make_policy(rule), [signed(item)]).outcome is Outcome.ACCEPTED


def test_a_link_that_the_certificate_contradicts_is_no_part_of_a_chain() -> None:
    rule = {"predicateType": LINK_V0_3, "steps": ["publish"]}
    predicate = {"name": "publish", "materials": [], "environment": {"GITHUB_SHA": "cd" * 20}}
    by = replace(ANN, extensions={"sourceRepositoryDigest": REVISION})
    verdict = judge(make_policy(rule), [signed(statement(LINK_V0_3, predicate=predicate), by)])
    assert verdict.reason is Reason.PROVENANCE_CLAIM_MISMATCH


def test_policy_and_trust_root_that_no_longer_stand_refuse_everything() -> None:
    claims = [signed(statement(COSIGN_SIGN_V1))]
    ended = make_policy(expires="2026-11-01T00:00:00Z")
    assert judge(ended, claims).reason is Reason.POLICY_EXPIRED
    assert judge(ended, [Unsigned(source="f", statement=statement(COSIGN_SIGN_V1))]).reason is Reason.POLICY_EXPIRED
    old = make_policy(version=2).read_from(Origin(minimum_version=3))
    assert judge(old, claims).reason is Reason.POLICY_ROLLBACK
    assert judge(make_policy(version=3).read_from(Origin(minimum_version=3)), claims).outcome is Outcome.ACCEPTED


def trust_root(digest: Digest) -> TrustRoot:
    return TrustRoot(logs={}, ct_logs={}, certificate_authorities=(), timestamp_authorities=(), digest=digest)


def test_the_trust_root_must_be_one_that_the_policy_accepts() -> None:
    claims = [signed(statement(COSIGN_SIGN_V1))]
    accepted = [{"digest": DIGEST, "confirmed": "2026-11-01T00:00:00Z"}]
    policy = make_policy(trustRoot={"accepted": accepted, "maxAge": "30d"})
    assert judge(policy, claims, trust=trust_root(DIGEST)).outcome is Outcome.ACCEPTED
    assert judge(policy, claims, trust=trust_root(OTHER)).reason is Reason.TRUST_ROOT_UNKNOWN
    # A caller that forgets to say which one it used gets no better verdict.
    assert judge(policy, claims).reason is Reason.TRUST_ROOT_UNKNOWN
    stale = make_policy(trustRoot={"accepted": accepted, "maxAge": "7d"})
    assert judge(stale, claims, trust=trust_root(DIGEST)).reason is Reason.TRUST_ROOT_STALE
    # Before the first signature there is nothing that a trust root would have to vouch for.
    unsigned = [Unsigned(source="f", statement=statement(COSIGN_SIGN_V1))]
    assert judge(policy, unsigned).outcome is Outcome.ACCEPTED


def test_a_loose_identity_is_told_and_changes_no_verdict() -> None:
    loose = {"issuer": ISSUER, "subjectRegExp": r"https://git\.test/.*"}
    verdict = judge(
        make_policy({"identities": ["loose"]}, identities={"loose": loose}), [signed(statement(COSIGN_SIGN_V1))]
    )
    assert verdict.outcome is Outcome.ACCEPTED
    (warning,) = [check for check in verdict.walk() if check.name == "policy.identities"]
    assert warning.detail.startswith("identities.loose.subjectRegExp admits ")
    assert warning.evidence["admitted"].startswith("https://git.test/")
    assert not [check for check in judge(make_policy(), []).walk() if check.name == "policy.identities"]


SIGNATURE: dict[str, object] = {"statements": [], "signature": {"identities": ["ann"]}}


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        (message(), None),
        (message(OTHER), Reason.SUBJECT_MISMATCH),
        (message(DIGEST, EVE), Reason.IDENTITY_SUBJECT_MISMATCH),
        (message(DIGEST, BOB), Reason.IDENTITY_SUBJECT_MISMATCH),
        (signed(statement(COSIGN_SIGN_V1)), Reason.STATEMENT_MISSING),
    ],
)
def test_a_bare_signature_may_be_demanded(claim: Signed | SignedMessage, reason: Reason | None) -> None:
    assert judge(make_policy(**SIGNATURE), [claim]).reason is reason


def test_a_bare_signature_meets_no_rule_on_statements_and_the_other_way_round() -> None:
    assert judge(make_policy(), [message()]).reason is Reason.STATEMENT_MISSING
    both = make_policy(signature={"identities": ["ann"]})
    assert judge(both, [message()]).reason is Reason.STATEMENT_MISSING
    assert judge(both, [signed(statement(COSIGN_SIGN_V1))]).reason is Reason.STATEMENT_MISSING
    assert judge(both, [message(), signed(statement(COSIGN_SIGN_V1))]).outcome is Outcome.ACCEPTED


def test_a_broken_bundle_explains_a_missing_bare_signature() -> None:
    bundle = Verdict.of("bundle", checks=[Check(name="x", reason=Reason.SIGNATURE_INVALID)])
    verdict = judge(make_policy(**SIGNATURE), [], broken=[Broken(verdict=bundle, predicate_type=None)])
    assert verdict.reason is Reason.SIGNATURE_INVALID


def test_bare_signatures_may_have_a_threshold_and_an_age() -> None:
    rule: dict[str, object] = {
        "statements": [],
        "signature": {"identities": ["ann", "bob"], "threshold": 2, "maxAge": "7d"},
    }
    policy = make_policy(**rule)
    assert judge(policy, [message(), message(DIGEST, BOB)]).outcome is Outcome.ACCEPTED
    assert judge(policy, [message(), message()]).reason is Reason.STATEMENT_THRESHOLD
    assert judge(policy, [message(DIGEST, ANN, NOW - 2 * WEEK)]).reason is Reason.FRESHNESS_TOO_OLD


def test_what_bundles_must_have_follows_from_the_policy() -> None:
    assert demands(make_policy()) == Demands()
    assert demands(make_policy(**SIGNATURE)).kinds == {SignatureKind.MESSAGE}
    both = make_policy(signature={"identities": ["ann"]}, evidence={"logEntries": 2, "timestamps": 1, "scts": 0})
    assert demands(both) == Demands(
        kinds=frozenset({SignatureKind.DSSE, SignatureKind.MESSAGE}), log_entries=2, timestamps=1, scts=0
    )


def test_a_key_signs_what_its_identity_may(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    (tmp_path / "key.pem").write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    fingerprint = Digest.of(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    policy = make_policy(
        {"identities": ["hsm"]}, identities={"hsm": {"key": "key.pem"}}, evidence={"logEntries": 0, "scts": 0}
    ).read_from(Origin(folder=tmp_path))
    item = statement(COSIGN_SIGN_V1)
    verdict = judge(policy, [signed(item, KeyIdentity(fingerprint=fingerprint))])
    assert verdict.outcome is Outcome.ACCEPTED, verdict.to_json()
    found = next(check for check in verdict.walk() if check.name == "identity")
    assert found.evidence == {"identity": "hsm", "key": fingerprint}
    assert judge(policy, [signed(item, KeyIdentity(fingerprint=OTHER))]).reason is Reason.IDENTITY_KEY_MISMATCH


def provenance(*, ref: str = "", version: str = "1.4.0") -> Statement:
    predicate = {
        "buildDefinition": {
            "externalParameters": {"version": version},
            "internalParameters": {"dirty": False},
            "resolvedDependencies": [{"uri": f"git+{REPOSITORY}{ref}", "digest": {"gitCommit": REVISION}}],
        },
        "runDetails": {"builder": {"id": "https://builder.test"}},
    }
    return statement(SLSA_PROVENANCE_V1, SELF, LAYER, predicate=predicate)


def provenance_policy(folder: Path = Path(), source: Mapping[str, Any] | None = None, **more: object) -> Policy:
    return make_policy(
        {"predicateType": SLSA_PROVENANCE_V1},
        source={"repository": REPOSITORY, **(source or {})},
        builders=["https://builder.test"],
        **more,
    ).read_from(Origin(folder=folder))


MAIN, TAG = "refs/heads/main", "refs/tags/v1"


@pytest.mark.parametrize(
    ("source", "item", "by", "reason"),
    [
        ({}, provenance(), ANN, None),
        ({"refs": [MAIN, TAG]}, provenance(ref=f"@{MAIN}"), ANN, None),
        ({"refs": [TAG]}, provenance(ref=f"@{MAIN}"), ANN, Reason.PROVENANCE_SOURCE),
        # Where the provenance names no ref, the certificate may.
        ({"refs": [MAIN]}, provenance(), replace(ANN, extensions={"sourceRepositoryRef": MAIN}), None),
        (
            {"refs": [MAIN]},
            provenance(),
            replace(ANN, extensions={"sourceRepositoryRef": TAG}),
            Reason.PROVENANCE_SOURCE,
        ),
        ({"refs": [MAIN]}, provenance(), ANN, Reason.PROVENANCE_SOURCE),
        ({"revisions": [REVISION, "cd" * 20]}, provenance(), ANN, None),
        ({"revisions": ["cd" * 20]}, provenance(), ANN, Reason.PROVENANCE_SOURCE),
        ({"reachable": {"bundle": "gone", "branches": [MAIN]}}, provenance(), ANN, Reason.SOURCE_UNAVAILABLE),
    ],
)
def test_the_source_may_be_narrowed_to_refs_and_commits(
    tmp_path: Path, source: dict[str, Any], item: Statement, by: Identity, reason: Reason | None
) -> None:
    verdict = judge(provenance_policy(tmp_path, source), [signed(item, by)])
    assert verdict.reason is reason, verdict.to_json()
    assert (verdict.outcome is Outcome.INDETERMINATE) == (reason is Reason.SOURCE_UNAVAILABLE)


def test_an_identity_must_stand_on_a_branch_where_the_policy_says_so(tmp_path: Path) -> None:
    demand = {"reachable": {"buildSignerDigest": {"bundle": "gone", "branches": [MAIN]}}}
    policy = make_policy(
        identities={"ann": {"issuer": ISSUER, "subject": ANN.subject, **demand}, "bob": {"issuer": "x", "subject": "x"}}
    ).read_from(Origin(folder=tmp_path))
    by = replace(ANN, extensions={"buildSignerDigest": REVISION})
    verdict = judge(policy, [signed(statement(COSIGN_SIGN_V1), by)])
    assert verdict.reason is Reason.SOURCE_UNAVAILABLE
    assert judge(policy, [signed(statement(COSIGN_SIGN_V1))]).reason is Reason.SOURCE_UNREACHABLE


def test_an_older_release_is_refused_by_its_signed_version() -> None:
    policy = provenance_policy(versions={"artifacts": {"registry.test/acme/prod": "1.4.0"}})
    assert judge(policy, [signed(provenance())]).outcome is Outcome.ACCEPTED
    assert judge(policy, [signed(provenance(version="1.3.9"))]).reason is Reason.VERSION_ROLLBACK
    tree = PolicyJudge(policy, clock=lambda: NOW).judge_provenance(signed(provenance(version="1.3.9")))
    assert [check.reason for check in tree if check.reason] == [Reason.VERSION_ROLLBACK]


def test_a_deploy_trees_provenance_is_judged_for_age_and_standing_too() -> None:
    policy = provenance_policy(freshness={"maxAge": "7d"}, expires="2026-11-01T00:00:00Z")
    checks = PolicyJudge(policy, clock=lambda: NOW).judge_provenance(signed(provenance(), ANN, NOW - 2 * WEEK))
    assert [check.reason for check in checks if check.reason] == [Reason.POLICY_EXPIRED, Reason.FRESHNESS_TOO_OLD]


@pytest.mark.parametrize(
    ("rules", "reasons"),
    [
        ([{"identities": ["ann"]}, {"identities": ["ann", "bob"]}], []),
        ([{"identities": ["ann"]}, {"identities": ["bob"]}], [Reason.IDENTITY_SUBJECT_MISMATCH]),
        ([{"identities": ["ann"]}, {"identities": ["ann"], "maxAge": "1d"}], [Reason.FRESHNESS_TOO_OLD]),
        ([{"identities": ["ann", "bob"], "threshold": 2}], [Reason.STATEMENT_THRESHOLD]),
    ],
)
def test_a_deploy_trees_provenance_must_meet_each_rule_for_provenance(
    rules: list[dict[str, Any]], reasons: list[Reason]
) -> None:
    body = provenance_policy().model_dump(mode="json", by_alias=True, exclude_unset=True)
    body["statements"] = [{"predicateType": SLSA_PROVENANCE_V1, **rule} for rule in rules]
    judge = PolicyJudge(Policy.model_validate(body), clock=lambda: NOW)
    checks = judge.judge_provenance(signed(provenance(), ANN, NOW - WEEK))
    assert [check.reason for check in checks if check.reason] == reasons


FULL = make_policy(
    identities={
        "ann": {"issuer": ISSUER, "subject": ANN.subject},
        "bob": {"issuer": ISSUER, "subjectRegExp": r"https://git\.test/b[a-z]*"},
    },
    statements=[
        {"predicateType": kind, "identities": ["ann", "bob"], **more}
        for kind, more in (
            (COSIGN_SIGN_V1, {"threshold": 2}),
            (SLSA_PROVENANCE_V1, {}),
            (LINK_V0_3, {"steps": ["resolve", "publish"]}),
            (TEST_RESULT_V0_1, {"passedTests": ["a"]}),
            (VSA_V1, {"summary": {"verifiers": ["https://verifier.test"], "levels": ["SLSA_BUILD_LEVEL_1"]}}),
        )
    ],
    signature={"identities": ["ann"]},
    source={"repository": REPOSITORY, "refs": [MAIN], "revisions": [REVISION]},
    builders=["https://builder.test"],
    versions={"minimum": "1.0.0", "artifacts": {"registry.test": "1.0.0"}},
    freshness={"maxAge": "7d"},
    maxSubjects=3,
)
_KEYS = st.sampled_from(
    [
        *("name", "materials", "digest", "sha256", "result", "passedTests", "failedTests", "environment", "variables"),
        *("buildDefinition", "externalParameters", "internalParameters", "resolvedDependencies", "dirty", "version"),
        *("workflow", "github", "repository", "runDetails", "builder", "id", "uri", "gitCommit", "metadata"),
        *("verifier", "timeVerified", "resourceUri", "verificationResult", "verifiedLevels", "policy", "GITHUB_SHA"),
    ]
)
_NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
_LEAVES = st.none() | st.booleans() | _NUMBERS | st.text(max_size=6)
_JSON = st.recursive(
    _LEAVES | st.sampled_from(["PASSED", "1.2.3", f"git+{REPOSITORY}", REVISION, "2026-11-22T12:00:00Z"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=16,
)
_SUBJECTS = st.lists(
    st.builds(Subject, st.sampled_from([NAME, "", "x", "environments/a"]), st.sampled_from([DIGEST, ARCHIVE, OTHER])),
    min_size=1,
    max_size=4,
)
_BY_PUSH = replace(ANN, extensions={"buildTrigger": "push"})
_SIGNERS = st.sampled_from([ANN, BOB, EVE, KeyIdentity(fingerprint=OTHER), _BY_PUSH])


@given(
    st.lists(
        st.tuples(
            st.sampled_from([COSIGN_SIGN_V1, SLSA_PROVENANCE_V1, LINK_V0_3, TEST_RESULT_V0_1, VSA_V1, "x"]),
            st.dictionaries(_KEYS, _JSON, max_size=5),
            _SUBJECTS,
            _SIGNERS,
        ),
        max_size=4,
    )
)
def test_whatever_is_signed_there_is_a_verdict_and_it_is_not_accepted(
    claims: list[tuple[str, dict[str, Any], list[Subject], Signatory]],
) -> None:
    found = [signed(statement(kind, *about, predicate=said), by) for kind, said, about, by in claims]
    verdict = judge(FULL, [*found, message()])
    assert verdict.outcome is Outcome.REJECTED
