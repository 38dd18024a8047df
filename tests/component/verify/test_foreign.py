"""Controls of what dhallmark did not publish: an image of two platforms that `cosign sign` signed, as anybody does."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from dhallmark.consumer import Target
from dhallmark.controls.catalogue import CONTROLS, select
from dhallmark.controls.prepare import prepare_controls
from dhallmark.controls.report import Status
from dhallmark.controls.run import run_controls
from dhallmark.digest import Digest
from dhallmark.lab.session import Lab

pytestmark = pytest.mark.component

POLICY = """\
schemaVersion: 1
identities:
  release:
    issuer: https://token.actions.githubusercontent.com
    subject: https://github.com/acme/platform/.github/workflows/release.yml@refs/heads/main
statements:
  - {predicateType: https://sigstore.dev/cosign/sign/v1, identities: [release], allowUnnamed: true}
"""
CHOSEN = ("S0", "S1", "S2", "S3", "S6", "C1", "C2", "P3", "P6", "R4", "R9-401", "R9-404")


@pytest.fixture
def signed(lab: Lab, tmp_path: Path) -> Target:
    repository = f"{lab.registry}/foreign/image"
    images = []
    for platform in ("amd64", "arm64"):
        (tmp_path / "program").write_text(platform)
        lab.run(["tar", "-cf", tmp_path / "layer.tar", "-C", tmp_path, "program"])
        images.append(f"--manifest={repository}:{platform}")
        lab.run(["crane", "append", f"--new_layer={tmp_path / 'layer.tar'}", f"--new_tag={repository}:{platform}"])
    lab.run(["crane", "index", "append", *images, f"--tag={repository}:1"])
    digest = Digest(lab.run(["crane", "digest", f"{repository}:1"]).stdout.strip())
    (tmp_path / "token").write_text(lab.token())
    trust = [f"--signing-config={lab.signing_config()}", f"--trusted-root={lab.trusted_root()}"]
    token = f"--identity-token={tmp_path / 'token'}"
    lab.run(["cosign", "sign", "--yes", token, *trust, f"{repository}@{digest}"])
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    return Target(
        repository=repository, digest=digest, trusted_root=Path(lab.trusted_root()), policy=policy, plain_http=True
    )


def test_whatever_a_policy_accepts_has_controls(lab: Lab, signed: Target, tmp_path: Path) -> None:
    chosen = select(only=CHOSEN)

    async def prepare() -> None:
        await prepare_controls(signed, CONTROLS, into=tmp_path / "prepared")

    async def judge() -> None:
        report = await run_controls(tmp_path / "prepared", controls=chosen, consumers=("dhallmark", "cosign"))
        wrong = [one for one in report.findings if one.status not in (Status.PASSED, Status.HOLE)]
        assert not wrong, "\n".join(f"{one.case.id} {one.consumer}: {one.explanation}" for one in wrong)
        holes = {hole.says: hole.controls for hole in report.holes if hole.consumer == "cosign"}
        (failed,) = (says for says in holes if "a failed test result included" in says)
        assert set(holes[failed]) >= {"P3-alone", "P3-beside"}
        assert not {case.id for case in report.skipped} - {"P3-warned"}

    lab.call(anyio.run, prepare)
    anyio.run(judge)
