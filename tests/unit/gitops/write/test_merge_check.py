"""The check before a merge: valid for both platforms, pinned, with the least rights, and out of the change's reach."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.gitops.write.conftest import IMAGE, MakeChecks

from dhallmark.gitops.write.write import plan_consumers

GITHUB, GITLAB = ".github/workflows/dhallmark-verify.yml", ".gitlab/dhallmark-verify.gitlab-ci.yml"


@pytest.fixture
def checked(make_checks: MakeChecks, deploy: Path) -> Path:
    """A deploy repository with the check."""
    plan_consumers([make_checks("merge-check")], deploy).apply(deploy)
    return deploy


@pytest.mark.parametrize(("path", "schema"), [(GITHUB, "vendor.github-workflows"), (GITLAB, "vendor.gitlab-ci")])
def test_it_is_valid_under_the_schema_of_its_platform(checked: Path, path: str, schema: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(checked / path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_workflow_is_pinned_reads_alone_and_takes_its_policy_from_the_target(checked: Path) -> None:
    body: dict[Any, Any] = yaml.safe_load((checked / GITHUB).read_text())
    assert set(body[True]) == {"pull_request_target", "merge_group"}  # YAML 1.1 reads `on` so
    assert body["permissions"] == {}
    (job,) = body["jobs"].values()
    assert job["permissions"] == {"contents": "read"}
    assert job["container"]["image"] == IMAGE
    trusted, change, verify = job["steps"]
    for checkout in (trusted, change):
        assert re.fullmatch(r"actions/checkout@[0-9a-f]{40}", checkout["uses"])
        assert checkout["with"]["persist-credentials"] is False
    assert "base" in trusted["with"]["ref"]
    assert "merge" in change["with"]["ref"]
    words = verify["run"].replace("\\\n", " ").split()
    assert words[words.index("--tree") + 1] == "change"
    assert all(words[words.index(option) + 1].startswith("trusted/") for option in ("--policy", "--trusted-root"))
    assert "${{" not in verify["run"]


def test_the_job_takes_its_policy_from_the_target(checked: Path) -> None:
    (job,) = yaml.safe_load((checked / GITLAB).read_text()).values()
    assert job["image"] == IMAGE
    script = " ".join(job["script"])
    assert script.index('git fetch --quiet --depth 1 origin "$CI_MERGE_REQUEST_TARGET_BRANCH_NAME"') < script.index(
        "git archive --format=tar FETCH_HEAD verification"
    )
    assert script.count('"$trusted/verification/') == 2


def test_what_it_verifies_by_is_the_policy_byte_for_byte(make_checks: MakeChecks, checked: Path) -> None:
    checks = make_checks("merge-check")
    assert (checked / "verification/policy.yaml").read_bytes() == checks.policy_file
    assert (checked / "verification/trusted_root.json").read_text() == checks.trust.text
    done = subprocess.run(
        ["sha256sum", "--check", "--quiet", "SHA256SUMS"],
        cwd=checked / "verification",
        check=False,
        capture_output=True,
    )
    assert done.returncode == 0
