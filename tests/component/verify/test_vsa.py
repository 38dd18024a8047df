"""A verdict becomes a summary, a verifier of its own signs it, and another policy asks for it beside the artifact."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import dhallmark
from dhallmark.config.load import parse_policy
from dhallmark.consumer import Target
from dhallmark.digest import Digest
from dhallmark.oci.client import Registry
from dhallmark.reasons import Reason
from dhallmark.statement import VSA_V1
from dhallmark.verdict import Outcome, Verdict
from dhallmark.verify.artifact import verify_artifact

if TYPE_CHECKING:
    from tests.component.verify.conftest import Release

pytestmark = pytest.mark.component

VERIFIER = "https://verifier.acme.test"
SIGNER = {
    "repository": "acme/verifier",
    "workflow_ref": "acme/verifier/.github/workflows/verify.yml@refs/heads/main",
    "job_workflow_ref": "acme/verifier/.github/workflows/verify.yml@refs/heads/main",
}


def command(release: Release, folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    source = Path(dhallmark.__path__[0]).parent
    return release.lab.run(
        [sys.executable, "-m", "dhallmark.cli.app", *words],
        env={"PYTHONPATH": str(source), **env},
        cwd=folder,
        check=False,
    )


def summarise(release: Release, folder: Path, target: Target) -> tuple[int, dict[str, Any] | None]:
    """`dhallmark verify --vsa`: its exit code, and the predicate that it wrote."""
    done = command(
        release,
        folder,
        *("verify", "--plain-http", "--ref", f"{target.repository}@{target.digest}"),
        *("--subject-name", release.target.repository),
        *("--policy", str(target.policy), "--trusted-root", str(target.trusted_root)),
        *("--vsa", "vsa.json", "--vsa-verifier", VERIFIER),
    )
    file = folder / "vsa.json"
    return done.returncode, json.loads(file.read_text())["predicate"] if file.exists() else None


def sign(release: Release, folder: Path, claims: dict[str, str]) -> subprocess.CompletedProcess[str]:
    trust = ("--trust-config", str(release.lab.trust_config()))
    policy = ("--policy", str(release.target.policy))
    return command(release, folder, "vsa", "sign", *trust, *policy, **release.lab.github_job(claims=claims))


def judge_by_summary(release: Release, target: Target, *bundles: bytes, **summary: object) -> Verdict:
    """The verdict of a policy that asks for nothing but a summary, on a copy of the artifact with `bundles`."""
    policy = parse_policy(
        json.dumps(
            {
                "schemaVersion": 1,
                "identities": {
                    "verifier": {
                        "issuer": "https://token.actions.githubusercontent.com",
                        "subject": f"https://github.com/{SIGNER['workflow_ref']}",
                    }
                },
                "statements": [
                    {
                        "predicateType": VSA_V1,
                        "identities": ["verifier"],
                        "maxAge": "1h",
                        "summary": {"verifiers": [VERIFIER], **summary},
                    }
                ],
            }
        ).encode(),
        file="policy.yaml",
    )

    async def action(registry: Registry) -> Verdict:
        for bundle in bundles:
            await release.attach(registry, target.repository.partition("/")[2], target.digest, bundle)
        return await verify_artifact(registry, target, policy, release.trust)

    return release.use(action)


def copy(release: Release, name: str, *, replicas: int = 3) -> Target:
    digest = release.lab.call(anyio.run, release.push_chart_in_lab, name, replicas)
    return replace(
        release.target,
        repository=f"{release.host}/{name}",
        digest=digest,
        subject_name=release.target.repository,
    )


def test_from_verdict_to_summary_to_verdict(release: Release, tmp_path: Path) -> None:
    code, said = summarise(release, tmp_path, release.target)
    assert code == 0
    assert said is not None
    assert (said["verificationResult"], said["verifiedLevels"]) == ("PASSED", ["SLSA_BUILD_LEVEL_2"])
    assert said["policy"]["digest"]["sha256"] == Digest.of_file(release.target.policy).hex
    assert len(said["inputAttestations"]) == len(release.bundles)
    done = sign(release, tmp_path, SIGNER)
    assert done.returncode == 0, done.stderr
    bundle = (tmp_path / "vsa.sigstore.json").read_bytes()
    target = copy(release, "verify/summarised")
    good = judge_by_summary(release, target, bundle, policies=[Digest.of_file(release.target.policy)])
    assert good.outcome is Outcome.ACCEPTED, good.to_json()
    for asked, reason in (
        ({"policies": [Digest.of(b"another policy")]}, Reason.SUMMARY_POLICY),
        ({"levels": ["SLSA_BUILD_LEVEL_3"]}, Reason.SUMMARY_LEVEL),
        ({"verifiers": ["https://other.test"]}, Reason.SUMMARY_VERIFIER),
        ({"resources": ["oci://registry.test/other"]}, Reason.SUMMARY_RESOURCE),
    ):
        assert judge_by_summary(release, target, **asked).reason is reason


def test_a_failed_summary_is_signed_by_a_verifier_and_refuses(release: Release, tmp_path: Path) -> None:
    """P2, and ADR 1, point 6: never under the identity that deploys."""
    target = copy(release, "verify/failed", replicas=7)
    stray = next(iter(release.bundles.values()))

    async def attach(registry: Registry) -> None:
        await release.attach(registry, "verify/failed", target.digest, stray)

    release.use(attach)
    code, said = summarise(release, tmp_path, target)
    assert code == 1
    assert said is not None
    assert (said["verificationResult"], said["verifiedLevels"]) == ("FAILED", ["FAILED"])
    refused = sign(release, tmp_path, {})
    assert refused.returncode == 6
    assert "must not be signed by release" in refused.stderr
    assert sign(release, tmp_path, SIGNER).returncode == 0
    bundle = (tmp_path / "vsa.sigstore.json").read_bytes()
    assert judge_by_summary(release, target, bundle).reason is Reason.SUMMARY_FAILED


def test_no_summary_of_what_could_not_be_found_out(release: Release, tmp_path: Path) -> None:
    (tmp_path / "vsa.json").write_text("an older one")
    gone = replace(release.target, repository=f"{release.host}/verify/nowhere")
    code, said = summarise(release, tmp_path, gone)
    assert (code, said) == (3, None)
