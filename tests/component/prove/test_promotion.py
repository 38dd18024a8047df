"""Whether an earlier environment's proof stands: what the lab signed, and what an attacker could show instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.component.prove.conftest import Signed

from dhallmark.config.load import load_policy
from dhallmark.digest import Digest
from dhallmark.prove.evidence import release_digest
from dhallmark.prove.promotion import Earlier, Promotion, check_earlier
from dhallmark.prove.prove import Proved
from dhallmark.publish.model import Attached, Publication, Published
from dhallmark.reasons import Reason
from dhallmark.statement import COSIGN_SIGN_V1, TEST_RESULT_V0_1, Statement, Subject
from dhallmark.verdict import Outcome, Verdict
from dhallmark.verify.trust import TrustRoot

pytestmark = pytest.mark.component

WEB, OTHER = Digest.of(b"web"), Digest.of(b"other")


@pytest.fixture(scope="module")
def signed(make_signed: Callable[..., Signed]) -> Signed:
    return make_signed()


def configuration(signed: Signed, **changes: Mapping[str, object] | None) -> list[Mapping[str, object]]:
    entries: dict[str, Mapping[str, object] | None] = {
        "environment": {"name": "environment", "uri": "urn:dhallmark:environment:sandbox"},
        "policy": {"name": "policy", "digest": {"sha256": Digest.of_file(signed.policy).hex}},
        **changes,
    }
    return [entry for entry in entries.values() if entry is not None]


def statement(signed: Signed, *, subject: Digest = WEB, kind: str = TEST_RESULT_V0_1, **changes: object) -> Statement:
    predicate = {
        "result": "PASSED",
        "configuration": configuration(signed),
        "passedTests": ["prove/S1/flux-1.9/x"],
        "failedTests": [],
        **changes,
    }
    return Statement.build(predicate_type=kind, subjects=[Subject("web", subject)], predicate=predicate)


def promotion(signed: Signed, **changes: object) -> Promotion:
    given: dict[str, Any] = {
        "proved": [Proved(source="web", repository="r", digest=WEB)],
        "policy": load_policy(signed.policy),
        "trust": TrustRoot.load(signed.trusted_root),
        "release": None,
        "signers": ("release",),
        **changes,
    }
    return Promotion(**given)


def judge(
    signed: Signed, folder: Path, made: Statement, *, claims: Mapping[str, str] | None = None, **changes: object
) -> Verdict:
    path = folder / "proof.sigstore.json"
    path.write_bytes(signed.sign(made.payload, claims=claims))
    return check_earlier(Earlier.parse(f"sandbox={path}"), promotion(signed, **changes))


def published(environment: str, name: str, digest: Digest) -> Published:
    return Published(
        kind="chart",
        environment=environment,
        name=name,
        repository=f"registry.example/{environment}/{name}",
        tag="1.0.0",
        digest=digest,
        attached=(Attached(digest=digest, artifact_type="x"),),
    )


def release(*artifacts: Published) -> Publication:
    return Publication(project="acme", version="1.0.0", artifacts=artifacts)


def test_a_good_proof_stands(signed: Signed, tmp_path: Path) -> None:
    verdict = judge(signed, tmp_path, statement(signed))
    assert verdict.outcome is Outcome.ACCEPTED, verdict.to_json()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"result": "FAILED"}, Reason.TEST_RESULT_FAILED),
        ({"failedTests": ["prove/S1"]}, Reason.TEST_RESULT_FAILED),
        ({"passedTests": []}, Reason.TEST_RESULT_INSUFFICIENT),
        ({"result": "WARNED"}, Reason.TEST_RESULT_INSUFFICIENT),
        ({"configuration": []}, Reason.PROMOTION_PROOF),
        ({"subject": OTHER}, Reason.PROMOTION_PROOF),
        ({"kind": COSIGN_SIGN_V1}, Reason.STATEMENT_PREDICATE),
    ],
    ids=str,
)
def test_a_signed_statement_that_says_something_else_is_no_proof(
    signed: Signed, tmp_path: Path, changes: dict[str, Any], reason: Reason
) -> None:
    assert judge(signed, tmp_path, statement(signed, **changes)).reason is reason


@pytest.mark.parametrize(
    "changed",
    [
        {"environment": {"name": "environment", "uri": "urn:dhallmark:environment:dev"}},
        {"environment": None},
        {"policy": {"name": "policy", "digest": {"sha256": "0" * 64}}},
        {"policy": {"name": "policy", "uri": "x"}},
        # Of two environments it cannot be told which is meant.
        {"again": {"name": "environment", "uri": "urn:dhallmark:environment:sandbox"}},
    ],
    ids=str,
)
def test_a_proof_of_another_environment_or_policy_does_not_stand(
    signed: Signed, tmp_path: Path, changed: dict[str, Any]
) -> None:
    made = statement(signed, configuration=configuration(signed, **changed))
    assert judge(signed, tmp_path, made).reason is Reason.PROMOTION_PROOF


def test_a_strangers_proof_does_not_stand(signed: Signed, tmp_path: Path) -> None:
    verdict = judge(signed, tmp_path, statement(signed), claims={"repository": "evil/platform"})
    assert verdict.outcome is Outcome.REJECTED
    assert {one.reason for one in verdict.walk() if one.reason} >= {Reason.IDENTITY_SUBJECT_MISMATCH}


def test_nobody_is_believed_where_the_policy_names_nobody(signed: Signed, tmp_path: Path) -> None:
    assert judge(signed, tmp_path, statement(signed), signers=()).reason is Reason.STATEMENT_MISSING


def test_a_proof_that_is_too_old_does_not_stand(signed: Signed, tmp_path: Path) -> None:
    assert judge(signed, tmp_path, statement(signed), max_age=timedelta(0)).reason is Reason.FRESHNESS_TOO_OLD


def test_nothing_to_promote_is_no_success(signed: Signed, tmp_path: Path) -> None:
    assert judge(signed, tmp_path, statement(signed), proved=[]).outcome is Outcome.INDETERMINATE


@pytest.mark.parametrize(
    ("content", "outcome"), [(None, Outcome.INDETERMINATE), (b"{}", Outcome.REJECTED), (b"junk", Outcome.REJECTED)]
)
def test_a_file_that_is_no_bundle_is_no_proof(
    signed: Signed, tmp_path: Path, content: bytes | None, outcome: Outcome
) -> None:
    path = tmp_path / "proof"
    if content is not None:
        path.write_bytes(content)
    assert check_earlier(Earlier.parse(f"sandbox={path}"), promotion(signed)).outcome is outcome


def test_a_tampered_proof_does_not_stand(signed: Signed, tmp_path: Path) -> None:
    path = tmp_path / "proof"
    content = signed.sign(statement(signed).payload)
    path.write_bytes(content.replace(b'"payload":"e', b'"payload":"f').replace(b'"payload": "e', b'"payload": "f'))
    assert path.read_bytes() != content
    assert check_earlier(Earlier.parse(f"sandbox={path}"), promotion(signed)).outcome is Outcome.REJECTED


def test_an_unsigned_proof_stands_by_its_digest_alone(signed: Signed, tmp_path: Path) -> None:
    path = tmp_path / "proof"
    path.write_bytes(statement(signed).payload)
    named = f"sandbox={path}@{Digest.of_file(path)}"
    assert check_earlier(Earlier.parse(named), promotion(signed)).outcome is Outcome.ACCEPTED
    path.write_bytes(statement(signed, subject=OTHER).payload)
    assert check_earlier(Earlier.parse(named), promotion(signed)).reason is Reason.PROMOTION_PROOF


PROD = Digest.of(b"prod")
RELEASE = release(published("sandbox", "web", WEB), published("sandbox", "api", OTHER), published("prod", "web", PROD))


@pytest.mark.parametrize(
    ("subject", "named", "shown", "promoted", "outcome"),
    [
        (WEB, RELEASE, RELEASE, PROD, Outcome.ACCEPTED),
        # The same application was not proved there.
        (OTHER, RELEASE, RELEASE, PROD, Outcome.REJECTED),
        # Nothing of the release was.
        (Digest.of(b"x"), RELEASE, RELEASE, PROD, Outcome.REJECTED),
        # The proof is of an earlier release.
        (WEB, release(published("sandbox", "web", WEB)), RELEASE, PROD, Outcome.REJECTED),
        # It names no release, or nobody says which it is.
        (WEB, None, RELEASE, PROD, Outcome.REJECTED),
        (WEB, RELEASE, None, PROD, Outcome.REJECTED),
        # What is promoted is no part of it.
        (WEB, RELEASE, RELEASE, Digest.of(b"new"), Outcome.REJECTED),
    ],
)
def test_environments_whose_artifacts_differ_are_bound_by_the_release(
    signed: Signed,
    tmp_path: Path,
    subject: Digest,
    named: Publication | None,
    shown: Publication | None,
    promoted: Digest,
    outcome: Outcome,
) -> None:
    entry = {"release": {"name": "release", "digest": {"sha256": release_digest(named).hex}}} if named else {}
    made = statement(signed, subject=subject, configuration=configuration(signed, **entry))
    proved = [Proved(source="web", repository="r", digest=promoted)]
    verdict = judge(signed, tmp_path, made, proved=proved, release=shown)
    assert verdict.outcome is outcome, verdict.to_json()
    if outcome is Outcome.REJECTED:
        assert verdict.reason is Reason.PROMOTION_PROOF
