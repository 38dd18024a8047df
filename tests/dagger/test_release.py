"""A release from end to end, in the lab."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from dagger import dag
from dhallmark.module import Lab
from dhallmark.module.proof import FIRST_CONTROLS

pytestmark = [pytest.mark.dagger, pytest.mark.anyio]

REPOSITORY = "dhallmark/example-platform"
WORKFLOW = f"{REPOSITORY}/.github/workflows/release.yaml@refs/heads/main"
BUILDER = f"https://github.com/{WORKFLOW}"


def claims(project: Path) -> list[str]:
    """The claims of the job that the example's policy lets sign, at the project's commit."""
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=project, check=True, capture_output=True, text=True)
    return [f"repository={REPOSITORY}", f"job_workflow_ref={WORKFLOW}", f"workflow_ref={WORKFLOW}",
            f"sha={head.stdout.strip()}"]  # fmt: skip


async def test_release(lab: Lab, project: Path, tmp_path: Path) -> None:
    released = await lab.release(source=dag.host().directory(str(project)), builder_id=BUILDER, claims=claims(project))

    published = json.loads(await released.digests())
    verdicts = json.loads(await released.report())
    assert len(published["artifacts"]) == 48
    assert [verdict["outcome"] for verdict in verdicts["verdicts"]] == ["accepted"] * 48

    reports = sorted(await released.controls().entries())
    assert {name.partition(".")[0].partition("-")[0] for name in reports} == set(FIRST_CONTROLS)
    for name in reports:
        report = json.loads(await released.controls().file(name).contents())
        assert [finding["status"] for finding in report["findings"] if finding["consumer"] == "dhallmark"] == ["passed"]
        assert report["counts"]["failed"] == report["counts"]["indeterminate"] == 0

    await released.deploy().export(str(tmp_path / "deploy"))
    for environment in ("dev", "staging", "prod"):
        root = tmp_path / "deploy" / "environments" / environment
        assert (root / "Chart.yaml").is_file()
        assert len(list(root.glob("charts/*/attestation.json"))) == 14
