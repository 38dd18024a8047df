"""Proving a whole environment: a real API server, Flux's own code of both versions, the controller itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.component.prove.conftest import ISSUER, WORKFLOW, Signed

from dhallmark.digest import Digest
from dhallmark.reasons import Reason
from dhallmark.statement import TEST_RESULT_V0_1, Statement

pytestmark = pytest.mark.component

LOOSE = [{"issuer": f"^{ISSUER}$", "subject": "^https://github.com/"}]
TWO = [{"issuer": ISSUER, "subject": WORKFLOW}, {"issuer": ISSUER, "subject": "^other$"}]
REASONS = {
    "S1": Reason.SIGNATURE_NONE,
    "C1": Reason.IDENTITY_SUBJECT_MISMATCH,
    "C2": Reason.IDENTITY_ISSUER_MISMATCH,
    "S2-repacked": Reason.SUBJECT_MISMATCH,
    "S6": Reason.SUBJECT_MISMATCH,
}


@pytest.fixture(scope="module")
def signed(make_signed: Callable[..., Signed]) -> Signed:
    return make_signed()


def prove(signed: Signed, *options: str | Path, environment: str = "sandbox") -> tuple[int, Any, str]:
    return signed.inside(
        "prove",
        signed.folder,
        "--environment",
        environment,
        "--policy",
        signed.policy,
        "--trusted-root",
        signed.trusted_root,
        *options,
    )


def checks(verdict: dict[str, Any]) -> list[dict[str, Any]]:
    """Every check of a verdict as JSON."""
    return [*verdict.get("checks", []), *(one for part in verdict.get("parts", []) for one in checks(part))]


def test_the_good_artifact_is_accepted_and_each_bad_one_refused_for_its_own_reason(
    signed: Signed, tmp_path: Path
) -> None:
    signed.write()
    reports = {name: tmp_path / f"report.{name}" for name in ("text", "json", "junit", "sarif", "markdown", "html")}
    options = [part for name, path in reports.items() for part in ("--report", f"{name}={path}")]
    status, proof, said = prove(signed, *options)
    assert status == 0, said
    assert proof["outcome"] == "accepted"
    assert proof["controller"] == {"ran": False, "version": "", "substitution": ""}
    assert proof["artifacts"] == [
        {"source": "OCIRepository flux-system/web", "repository": signed.repository, "digest": str(signed.digest)}
    ]
    found = {(one["control"], one["consumer"]): one for one in proof["refusals"]}
    assert {name for name, _ in found} == set(REASONS)
    for (name, _), one in found.items():
        assert one["status"] == "passed"
        assert REASONS[name].value in one["found"]
        assert one["words"]
    assert all(path.stat().st_size for path in reports.values())
    assert "no source-controller ran" in reports["text"].read_text()


def test_a_version_that_drops_a_key_is_told_with_file_and_line(signed: Signed, tmp_path: Path) -> None:
    """Flux 2.8 has no `trustedRootSecretRef`; without it, its code is asked with a deployment's trust root."""
    signed.write()
    status, proof, _ = prove(signed, "--flux", "2.8", "--report", f"sarif={tmp_path / 'sarif'}")
    assert status == 1
    assert proof["reason"] == Reason.MANIFEST_UNKNOWN_FIELD.value
    (found,) = [one for one in checks(proof["verdict"]) if one.get("reason")]
    lines = (signed.folder / "web.yaml").read_text().splitlines()
    assert '"trustedRootSecretRef"' in lines[int(found["evidence"]["line"]) - 1]
    (result,) = json.loads((tmp_path / "sarif").read_text())["runs"][0]["results"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == str(signed.folder / "web.yaml")
    assert place["region"]["startLine"] == int(found["evidence"]["line"])
    verify = {"provider": "cosign", "matchOIDCIdentity": [{"issuer": f"^{ISSUER}$", "subject": f"^{WORKFLOW}$"}]}
    signed.write(signed.source(verify=verify))
    status, proof, said = prove(signed, "--flux", "2.8", "--flux", "2.9")
    assert status == 0, said
    assert {one["consumer"] for one in proof["refusals"]} == {"flux-1.8", "flux-1.9"}
    assert len(proof["refusals"]) == 2 * len(REASONS)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"verify": None}, Reason.MANIFEST_UNVERIFIED),
        ({"matchOIDCIdentity": LOOSE}, Reason.MANIFEST_UNKNOWN_FIELD),
        ({"verify": {"provider": "cosign", "matchOIDCIdentity": LOOSE}}, Reason.CONTROL_FAILED),
        ({"verify": {"provider": "cosign", "matchOIDCIdentity": TWO}}, Reason.CONTROL_UNANSWERED),
        (
            {"verify": {"provider": "cosign", "matchOIDCIdentity": [{"issuer": ISSUER, "subject": "^nobody$"}]}},
            Reason.CONTROL_FAILED,
        ),
    ],
    ids=["no verify", "beside where it is read", "loose", "two matchers", "refuses everything"],
)
def test_the_historical_mistakes_are_no_proof(signed: Signed, changes: dict[str, Any], reason: Reason) -> None:
    signed.write(signed.source(**changes))
    status, proof, _ = prove(signed)
    assert status != 0
    assert proof["reason"] == reason.value, proof["verdict"]


def test_another_trust_root_in_the_secret_is_found(signed: Signed) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "sigstore-trusted-root", "namespace": "flux-system"},
        "stringData": {"trusted_root.json": Path(signed.lab.trusted_root("other")).read_text()},
    }
    signed.write(secret, signed.source())
    status, proof, _ = prove(signed)
    assert (status, proof["reason"]) == (1, Reason.MANIFEST_TRUST_ROOT.value)


def test_manifests_without_a_source_prove_nothing(signed: Signed) -> None:
    signed.write({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}})
    status, proof, _ = prove(signed)
    assert (status, proof["reason"]) == (3, Reason.NOTHING_CHECKED.value)


def test_the_controller_itself_says_the_same_and_serves_the_good_revision_on(signed: Signed) -> None:
    signed.write()
    program = shutil.which("source-controller")
    assert program is not None
    status, proof, said = prove(signed, "--source-controller", program)
    assert status == 0, said + json.dumps(proof)
    assert proof["controller"] == {
        "ran": True,
        "version": "1.9.6",
        "substitution": "built with a stand-in for github.com/fluxcd/pkg/artifact v0.18.3",
    }
    found = {one["name"]: one for one in checks(proof["verdict"])}
    assert found["the good revision is served on"]["evidence"]["after"] == str(signed.digest)
    assert found["C1"]["evidence"]["found"] == Reason.IDENTITY_SUBJECT_MISMATCH.value


def test_the_controller_on_a_tag_that_is_moved(signed: Signed) -> None:
    signed.write(signed.source(ref={"tag": "latest"}))
    status, proof, said = prove(signed, "--source-controller", str(shutil.which("source-controller")))
    assert status == 0, said + json.dumps(proof)


@pytest.fixture(scope="module")
def proved(make_signed: Callable[..., Signed], tmp_path_factory: pytest.TempPathFactory) -> tuple[Signed, Path]:
    """An environment that was proved, and the statement of that."""
    signed = make_signed(greeting="promoted")
    signed.write()
    statement = tmp_path_factory.mktemp("proof") / "sandbox.json"
    status, _, said = prove(signed, "--statement", statement)
    assert status == 0, said
    return signed, statement


def test_a_proof_says_what_it_is_about(proved: tuple[Signed, Path]) -> None:
    signed, path = proved
    statement = Statement.parse(path.read_bytes())
    assert statement.predicate_type == TEST_RESULT_V0_1
    assert [(one.name, one.digest) for one in statement.subjects] == [(signed.repository, signed.digest)]
    assert statement.predicate["result"] == "PASSED"
    assert len(statement.predicate["passedTests"]) == len(REASONS)
    configuration = {one["name"]: one for one in statement.predicate["configuration"]}
    assert configuration["environment"]["uri"] == "urn:dhallmark:environment:sandbox"
    assert configuration["policy"]["digest"] == {"sha256": Digest.of_file(signed.policy).hex}


def test_prod_goes_on_after_the_sandbox_by_a_digest_that_the_caller_vouches_for(proved: tuple[Signed, Path]) -> None:
    signed, statement = proved
    named = f"sandbox={statement}@{Digest.of_file(statement)}"
    status, proof, said = prove(signed, "--after", named, environment="prod")
    assert status == 0, said
    assert proof["verdict"]["parts"][0]["subject"].startswith("the proof of sandbox")
    status, proof, _ = prove(signed, "--after", f"dev={statement}@{Digest.of_file(statement)}", environment="prod")
    assert (status, proof["reason"]) == (1, Reason.PROMOTION_PROOF.value)


def test_prod_goes_on_after_a_proof_that_the_release_signed(proved: tuple[Signed, Path], tmp_path: Path) -> None:
    signed, statement = proved
    bundle = tmp_path / "sandbox.sigstore.json"
    bundle.write_bytes(signed.sign(statement.read_bytes()))
    status, _, said = prove(signed, "--after", f"sandbox={bundle}", "--proved-by", "release", environment="prod")
    assert status == 0, said
    status, proof, _ = prove(signed, "--after", f"sandbox={bundle}", environment="prod")
    assert (status, proof["reason"]) == (1, Reason.STATEMENT_MISSING.value)
    status, _, said = prove(signed, "--after", f"sandbox={bundle}", "--proved-by", "nobody", environment="prod")
    assert status == 2
    assert "no identity" in said
