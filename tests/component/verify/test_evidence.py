"""The result of a run of controls, from the command to the artifact: signed in the lab, attached, and verified."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import dhallmark
from dhallmark.lab.session import make_token
from dhallmark.oci.client import Registry
from dhallmark.statement import TEST_RESULT_V0_1, Statement, Subject
from dhallmark.verify.artifact import verify_artifact
from dhallmark.verify.claimed import claimed_type

if TYPE_CHECKING:
    from tests.component.verify.conftest import Release

    from dhallmark.consumer import Target
    from dhallmark.digest import Digest
    from dhallmark.verdict import Verdict

pytestmark = pytest.mark.component

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "PYTHONPATH": str(Path(str(dhallmark.__file__)).parents[1]),
    "LANG": "C.UTF-8",
}


def run(release: Release, *arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    """A command inside the lab's network."""
    program = [sys.executable, "-c", "from dhallmark.cli.app import main; main()", *arguments]
    return release.lab.call(
        subprocess.run, program, env={**ENVIRONMENT, "HOME": str(home)}, capture_output=True, text=True, check=False
    )


PLACE = "verify/evidence"
"""A repository with a copy of the release, for these tests alone."""


@pytest.fixture(scope="module")
def target(release: Release) -> Target:
    """The copy."""

    async def push(registry: Registry) -> Digest:
        digest = await release.push_chart(registry, PLACE, 3)
        for bundle in release.bundles.values():
            await release.attach(registry, PLACE, digest, bundle)
        return digest

    return replace(
        release.target,
        repository=f"{release.host}/{PLACE}",
        digest=release.use(push),
        subject_name=release.target.repository,
    )


def verdict_of(release: Release, target: Target) -> Verdict:
    return release.use(lambda registry: verify_artifact(registry, target, release.policy, release.trust))


def bundles_of(release: Release, target: Target) -> list[bytes]:
    return release.use(lambda registry: registry.bundles(PLACE, target.digest))


@pytest.fixture
def files(release: Release, target: Target, tmp_path: Path) -> dict[str, str]:
    """What the commands are given."""
    token = tmp_path / "token"
    token.write_text(make_token(release.lab.directory, "github"))
    return {
        "reference": f"{target.repository}@{target.digest}",
        "name": target.subject_name,
        "statement": str(tmp_path / "result.json"),
        "bundle": str(tmp_path / "result.sigstore.json"),
        "token": str(token),
        "policy": str(release.target.policy),
        "trust-config": str(Path(release.lab.trusted_root()).with_name("trust_config.json")),
        "trusted-root": str(release.target.trusted_root),
    }


def sign(release: Release, files: dict[str, str], home: Path) -> subprocess.CompletedProcess[str]:
    return run(
        release,
        *("evidence", "sign", f"--statement={files['statement']}", f"--out={files['bundle']}"),
        *(f"--policy={files['policy']}", f"--trust-config={files['trust-config']}", f"--token-file={files['token']}"),
        home=home,
    )


def attach(release: Release, files: dict[str, str], home: Path) -> subprocess.CompletedProcess[str]:
    return run(
        release,
        *("evidence", "attach", f"--bundle={files['bundle']}", f"--ref={files['reference']}", "--plain-http"),
        f"--subject-name={files['name']}",
        *(f"--policy={files['policy']}", f"--trusted-root={files['trusted-root']}"),
        home=home,
    )


def test_a_good_result_is_signed_by_the_release_attached_and_the_artifact_stays_accepted(
    release: Release, target: Target, files: dict[str, str], tmp_path: Path
) -> None:
    judged = run(
        release,
        *("controls", f"--ref={files['reference']}", f"--policy={files['policy']}", "--plain-http"),
        f"--subject-name={files['name']}",
        *(f"--trusted-root={files['trusted-root']}", "--case=S1", "--consumer=dhallmark", "--consumer=cosign"),
        *(f"--statement={files['statement']}", f"--report=json={tmp_path / 'report.json'}"),
        home=tmp_path,
    )
    assert judged.returncode == 0, judged.stdout + judged.stderr
    result = Statement.parse(Path(files["statement"]).read_bytes())
    assert result.predicate["result"] == "PASSED"
    assert result.predicate["passedTests"] == ["S1/cosign", "S1/dhallmark"]
    assert result.subjects == (Subject(release.target.repository, release.target.digest),)

    signed = sign(release, files, tmp_path)
    assert signed.returncode == 0, signed.stdout + signed.stderr
    attached = attach(release, files, tmp_path)
    assert attached.returncode == 0, attached.stdout + attached.stderr
    assert "accepted" in attached.stdout
    assert verdict_of(release, target).outcome.value == "accepted"
    bundles = bundles_of(release, target)
    assert TEST_RESULT_V0_1 in {claimed_type(bundle) for bundle in bundles}
    # Again: it is there once.
    assert attach(release, files, tmp_path).returncode == 0
    assert len(bundles_of(release, target)) == len(bundles)


def failed_result(release: Release, predicate: dict[str, Any] | None = None) -> bytes:
    return Statement.build(
        predicate_type=TEST_RESULT_V0_1,
        subjects=[Subject(release.target.repository, release.target.digest)],
        predicate=predicate
        or {
            "result": "FAILED",
            "configuration": [],
            "passedTests": [],
            "warnedTests": [],
            "failedTests": ["S1/cosign"],
        },
    ).payload


def test_a_failed_result_is_never_signed_by_who_deploys(
    release: Release, target: Target, files: dict[str, str], tmp_path: Path
) -> None:
    Path(files["statement"]).write_bytes(failed_result(release))
    refused = sign(release, files, tmp_path)
    assert refused.returncode == 1, refused.stdout + refused.stderr
    assert "S1/cosign" in refused.stderr or "test-result.failed" in refused.stderr
    assert not Path(files["bundle"]).exists()


def test_a_failed_result_that_was_signed_all_the_same_is_not_attached(
    release: Release, target: Target, files: dict[str, str], tmp_path: Path
) -> None:
    Path(files["bundle"]).write_bytes(release.sign(failed_result(release)))
    before = len(bundles_of(release, target))
    refused = attach(release, files, tmp_path)
    assert refused.returncode == 1, refused.stdout + refused.stderr
    assert len(bundles_of(release, target)) == before
    assert verdict_of(release, target).outcome.value == "accepted"


def test_evidence_about_another_artifact_is_not_attached(
    release: Release, target: Target, files: dict[str, str], tmp_path: Path
) -> None:
    other = json.loads(failed_result(release, {"result": "PASSED", "configuration": []}))
    other["subject"][0]["digest"]["sha256"] = "ab" * 32
    Path(files["bundle"]).write_bytes(release.sign(json.dumps(other).encode()))
    refused = attach(release, files, tmp_path)
    assert refused.returncode == 4, refused.stdout + refused.stderr
    assert "about another artifact" in refused.stderr
