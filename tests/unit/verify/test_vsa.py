"""Verification summaries: what a verdict becomes, and each thing that is wrong with somebody else's."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.config.policy import Policy, SummaryRule
from dhallmark.digest import Digest
from dhallmark.errors import FormatError, SigningError, VerdictError
from dhallmark.identity import Identity
from dhallmark.reason_catalogue import CATALOGUE
from dhallmark.reasons import Reason
from dhallmark.statement import COSIGN_SIGN_V1, SLSA_PROVENANCE_V1, VSA_V1, Statement, Subject
from dhallmark.verdict import Check, Verdict
from dhallmark.verify.identities import IdentityMatcher
from dhallmark.verify.run import Run
from dhallmark.verify.vsa import (
    VERIFIER,
    Described,
    build_level,
    make_summary,
    require_other_signer,
    resource_uri,
    summarise,
    verify_summary,
)

NAME, DIGEST = "registry.test/acme/prod/web", Digest.of(b"manifest")
POLICY, INPUT = Described(uri="policy.yaml", digest=Digest.of(b"policy")), Digest.of(b"bundle")
NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
WORKFLOW = {"issuer": "https://issuer.test", "subject": "https://ci.test/release.yml@refs/heads/main"}


def verdict(*, signer: dict[str, str] | None = None, reason: Reason | None = None) -> Verdict:
    """An artifact's verdict; with `signer`, with provenance by them."""
    parts = []
    if signer is not None:
        claim = Verdict.of("bundle", checks=[Check(name="identity", evidence=signer)])
        parts.append(Verdict.of(SLSA_PROVENANCE_V1, checks=[Check(name="statement.present")], parts=[claim]))
    return Verdict.of(NAME, checks=[Check(name="artifact.manifest", reason=reason)], parts=parts)


def summary(of: Verdict | None = None) -> Statement:
    return make_summary(
        of or verdict(signer=WORKFLOW),
        name=NAME,
        digest=DIGEST,
        policy=POLICY,
        inputs=[Described(uri=f"oci://{NAME}@{INPUT}", digest=INPUT)],
        version="1.2.3",
        time=NOW,
        verifier="https://verifier.test",
    )


def test_a_verdict_becomes_a_summary() -> None:
    statement = Statement.parse(summary().payload)
    assert (statement.predicate_type, statement.subjects) == (VSA_V1, (Subject(NAME, DIGEST),))
    assert statement.predicate == {
        "verifier": {"id": "https://verifier.test", "version": {"dhallmark": "1.2.3"}},
        "timeVerified": "2026-11-22T12:00:00Z",
        "resourceUri": f"oci://{NAME}@{DIGEST}",
        "policy": {"uri": "policy.yaml", "digest": {"sha256": POLICY.digest.hex}},
        "inputAttestations": [{"uri": f"oci://{NAME}@{INPUT}", "digest": {"sha256": INPUT.hex}}],
        "verificationResult": "PASSED",
        "verifiedLevels": ["SLSA_BUILD_LEVEL_2"],
        "slsaVersion": "1.1",
    }


def test_a_rejection_becomes_failed() -> None:
    said = summary(verdict(signer=WORKFLOW, reason=Reason.SIGNATURE_NONE)).predicate
    assert (said["verificationResult"], said["verifiedLevels"]) == ("FAILED", ["FAILED"])


def test_what_could_not_be_found_out_becomes_nothing() -> None:
    assert CATALOGUE[Reason.REGISTRY_UNAVAILABLE].indeterminate
    with pytest.raises(VerdictError):
        summary(verdict(reason=Reason.REGISTRY_UNAVAILABLE))
    with pytest.raises(VerdictError):
        summary(Verdict.of(NAME))


def test_a_summary_names_the_artifact_and_the_bundles_of_a_verdict() -> None:
    bundle, beside = Digest.of(b"attached"), Digest.of(b"beside")
    rule = Verdict.of(
        SLSA_PROVENANCE_V1,
        parts=[Verdict.of(f"bundle {bundle}", checks=[Check(name="identity", evidence=WORKFLOW)])],
        ignored=[Verdict.of(f"bundle {beside}")],
    )
    artifact = Verdict.of(f"{NAME}@{DIGEST}", checks=[Check(name="artifact.manifest")], parts=[rule])
    for judged in (artifact, Verdict.of(f"{NAME}:1.2.3", parts=[artifact])):
        statement = summarise(judged, policy=POLICY, version="1", verifier=VERIFIER)
        assert statement is not None
        assert statement.subjects == (Subject(NAME, DIGEST),)
        assert statement.predicate["inputAttestations"] == [
            {"uri": f"oci://{NAME}@{bundle}", "digest": {"sha256": bundle.hex}}
        ]
    staged = summarise(artifact, policy=POLICY, version="1", verifier=VERIFIER, name="registry.test/live")
    assert staged is not None
    assert staged.predicate["resourceUri"] == f"oci://registry.test/live@{DIGEST}"
    unknown = Verdict.of(artifact.subject, checks=[Check(name="registry", reason=Reason.REGISTRY_UNAVAILABLE)])
    assert summarise(unknown, policy=POLICY, version="1", verifier=VERIFIER) is None
    with pytest.raises(FormatError, match="one artifact of a registry"):
        summarise(Verdict.of("web.tgz"), policy=POLICY, version="1", verifier=VERIFIER)


@pytest.mark.parametrize(
    ("signer", "level"),
    [
        (WORKFLOW, 2),
        ({"issuer": "https://issuer.test", "subject": "jane@acme.test"}, 1),
        ({"key": "sha256:00"}, 1),
        (None, 0),
    ],
)
def test_levels_say_no_more_than_what_was_seen(signer: dict[str, str] | None, level: int) -> None:
    assert build_level(verdict(signer=signer)) == f"SLSA_BUILD_LEVEL_{level}"


RULE: dict[str, Any] = {
    "verifiers": ["https://verifier.test"],
    "policies": [POLICY.digest],
    "levels": ["SLSA_BUILD_LEVEL_1"],
}


def judge(
    statement: Statement, *, max_age: timedelta | None = timedelta(days=1), now: datetime = NOW, **rule: object
) -> list[Reason]:
    run = Run()
    verify_summary(
        run, statement, SummaryRule.model_validate({**RULE, **rule}), name=NAME, digest=DIGEST, now=now, max_age=max_age
    )
    return [check.reason for check in run.checks if check.reason is not None]


def changed(**fields: object) -> Statement:
    """The good summary with other fields; None leaves one out."""
    body = json.loads(summary().payload)
    body["predicate"].update(fields)
    body["predicate"] = {name: value for name, value in body["predicate"].items() if value is not None}
    return Statement.parse(json.dumps(body).encode())


def test_a_good_summary_is_accepted() -> None:
    assert judge(summary()) == []
    assert judge(changed(resourceUri=f"{NAME}@{DIGEST}")) == []
    assert judge(changed(verifiedLevels=["SLSA_SOURCE_LEVEL_3", "SLSA_BUILD_LEVEL_10"])) == []


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"verificationResult": "FAILED"}, Reason.SUMMARY_FAILED),
        ({"verifiedLevels": ["SLSA_BUILD_LEVEL_2", "FAILED"]}, Reason.SUMMARY_FAILED),
        ({"verificationResult": "passed"}, Reason.STATEMENT_PREDICATE),
        ({"verificationResult": None}, Reason.STATEMENT_PREDICATE),
        ({"verifier": {"id": "https://other.test"}}, Reason.SUMMARY_VERIFIER),
        ({"verifier": "https://verifier.test"}, Reason.STATEMENT_PREDICATE),
        ({"resourceUri": resource_uri("registry.test/acme/dev/web", DIGEST)}, Reason.SUMMARY_RESOURCE),
        ({"resourceUri": resource_uri(NAME, INPUT)}, Reason.SUMMARY_RESOURCE),
        ({"policy": {"uri": "policy.yaml", "digest": {"sha256": INPUT.hex}}}, Reason.SUMMARY_POLICY),
        ({"policy": {"uri": "policy.yaml"}}, Reason.STATEMENT_PREDICATE),
        ({"verifiedLevels": ["SLSA_BUILD_LEVEL_0"]}, Reason.SUMMARY_LEVEL),
        ({"verifiedLevels": ["SLSA_SOURCE_LEVEL_3"]}, Reason.SUMMARY_LEVEL),
        ({"verifiedLevels": []}, Reason.SUMMARY_LEVEL),
        ({"verifiedLevels": "SLSA_BUILD_LEVEL_2"}, Reason.STATEMENT_PREDICATE),
        ({"timeVerified": "2026-11-20T12:00:00Z"}, Reason.SUMMARY_TIME),
        ({"timeVerified": "2026-11-22T12:06:00Z"}, Reason.SUMMARY_TIME),
        ({"timeVerified": "2026-13-22T12:00:00Z"}, Reason.STATEMENT_PREDICATE),
        ({"timeVerified": 1700000000}, Reason.STATEMENT_PREDICATE),
    ],
)
def test_refuses(fields: dict[str, object], reason: Reason) -> None:
    found = judge(changed(**fields))
    assert found
    assert found[0] is reason


def test_what_the_policy_does_not_ask_for_is_not_compared() -> None:
    assert judge(changed(policy=None), policies=()) == []
    assert judge(changed(verifiedLevels=["CUSTOM"]), levels=()) == []
    assert judge(changed(verifiedLevels=["CUSTOM"]), levels=("CUSTOM",)) == []
    assert judge(changed(timeVerified="2020-01-01T00:00:00.5Z"), max_age=None) == []
    assert judge(changed(resourceUri="pkg:docker/web"), resources=("pkg:docker/web",)) == []


DEPLOYER, VERIFIER_IDENTITY = (
    Identity(issuer="https://issuer.test", subject=f"https://ci.test/{name}") for name in ("deployer", "verifier")
)
SIGNERS = Policy.model_validate(
    {
        "schemaVersion": 1,
        "identities": {
            name: {"issuer": "https://issuer.test", "subject": f"https://ci.test/{name}"}
            for name in ("deployer", "verifier")
        },
        "statements": [
            {"predicateType": COSIGN_SIGN_V1, "identities": ["deployer"]},
            {"predicateType": VSA_V1, "identities": ["verifier"], "summary": RULE},
        ],
    }
)


def test_a_failed_summary_is_never_signed_by_who_deploys() -> None:
    matcher = IdentityMatcher(SIGNERS.identities)
    failed = summary(verdict(reason=Reason.SIGNATURE_NONE))
    with pytest.raises(SigningError, match="must not be signed by deployer"):
        require_other_signer(failed, DEPLOYER, SIGNERS, matcher)
    require_other_signer(failed, VERIFIER_IDENTITY, SIGNERS, matcher)
    require_other_signer(summary(), DEPLOYER, SIGNERS, matcher)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["PASSED", "FAILED"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "digest", "sha256"]), inner),
    max_leaves=4,
)


@given(
    field=st.sampled_from(
        ["verifier", "timeVerified", "resourceUri", "policy", "verificationResult", "verifiedLevels"]
    ),
    value=_json,
)
def test_any_other_value_of_any_field_is_refused(field: str, value: object) -> None:
    good = summary().predicate[field]
    assert (judge(changed(**{field: value})) == []) == (value == good)
