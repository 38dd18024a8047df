"""A release from end to end, in the lab."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from dagger import dag

from dhallmark.module import Lab

pytestmark = [pytest.mark.dagger, pytest.mark.anyio]

REPOSITORY = "dhallmark/example-platform"
WORKFLOW = f"{REPOSITORY}/.github/workflows/release.yaml@refs/heads/main"
BUILDER = f"https://github.com/{WORKFLOW}"


def claims(project: Path) -> list[str]:
    """The claims of the job that the example's policy lets sign, at the project's commit."""
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=project, check=True, capture_output=True, text=True)
    return [f"repository={REPOSITORY}", f"job_workflow_ref={WORKFLOW}", f"workflow_ref={WORKFLOW}",
            f"sha={head.stdout.strip()}"]  # fmt: skip


async def test_release(lab: Lab, project: Path) -> None:
    released = await lab.release(
        source=dag.host().directory(str(project)), builder_id=BUILDER, claims=claims(project)
    )
    published = json.loads(await released.digests())
    assert len(published["artifacts"]) == 48
    assert "environments/" in await released.deploy().entries()
