"""`dhallmark gitops write`: what it asks for, what it writes and what it tells."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.controls.consumers.conftest import policy
from tests.unit.gitops.test_tree import CHARTS, contents, make_build
from tests.unit.gitops.write.conftest import CONFIG, WITH_PROVENANCE, published

from dhallmark.cli.gitops import write
from dhallmark.cli.result import Result
from dhallmark.config.gitops import Follower
from dhallmark.config.policy import Policy
from dhallmark.errors import InputError

__all__ = ["policy"]


@pytest.fixture
def project(tmp_path: Path, policy: Callable[..., Policy]) -> Path:
    """A project whose release was published; its policy stands beside it."""
    policy(**WITH_PROVENANCE)
    (tmp_path / "dhallmark.yaml").write_text(CONFIG)
    make_build(tmp_path / "build", CHARTS)
    (tmp_path / "build" / "publish.json").write_text(json.dumps(published().to_json()))
    return tmp_path


def run(project: Path, *consumers: Follower, diff: bool = False) -> Result:
    return write(
        to=project / "deploy",
        config=project / "dhallmark.yaml",
        build=project / "build",
        consumer=consumers,
        diff=diff,
    )


def text_of(result: Result) -> str:
    assert isinstance(result.text, str)
    return result.text


def test_a_build_that_is_none_is_told(project: Path) -> None:
    (project / "build/package/artifacts.json").unlink()
    with pytest.raises(InputError, match="no packaged release"):
        run(project)
    assert not (project / "deploy").exists()


def test_consumers_are_not_told_of_what_was_not_published(project: Path) -> None:
    (project / "build/publish.json").unlink()
    with pytest.raises(InputError, match="nothing was published") as caught:
        run(project)
    assert caught.value.hint is not None
    assert not (project / "deploy").exists()


def test_without_consumers_the_deploy_tree_alone_is_written(project: Path) -> None:
    (project / "build/publish.json").unlink()
    (project / "dhallmark.yaml").write_text(CONFIG + "  consumers: []\n")
    run(project)
    assert {path.partition("/")[0] for path in contents(project / "deploy")} == {"environments"}


def test_tree_consumers_and_pages_are_written_and_a_second_run_changes_no_byte(project: Path) -> None:
    first = run(project)
    there = contents(project / "deploy")
    assert {path.partition("/")[0] for path in there} == {"environments", "consumers", "docs"}
    assert sorted(there) == sorted(str(path) for path in first.data["written"])  # type: ignore[attr-defined]
    second = run(project)
    assert contents(project / "deploy") == there
    assert (second.data["written"], second.data["removed"], second.data["unchanged"]) == ([], [], len(there))


def test_what_a_consumer_does_not_check_is_told(project: Path) -> None:
    result = run(project, Follower.FLUX, Follower.KYVERNO)
    missing = result.data["notExpressed"]
    assert {
        "consumer": "flux",
        "topic": "provenance",
        "demand": "a statement of type https://slsa.dev/provenance/v1, by release",
    } in missing  # type: ignore[operator]
    lines = text_of(result).splitlines()
    assert "not expressed by Flux: a statement of type https://slsa.dev/provenance/v1, by release" in lines
    assert not [line for line in lines if "Kyverno: a statement of type" in line]
    assert len(lines) == len(set(lines))


def test_a_diff_writes_nothing_and_applies(project: Path) -> None:
    run(project, Follower.FLUX)
    source = project / "deploy/consumers/prod/flux/source.yaml"
    source.write_text(source.read_text().replace("interval: 10m", "interval: 1h # ours") + "# no line feed")
    (project / "build/publish.json").write_text(json.dumps(published("1.5.0").to_json()))
    before = contents(project / "deploy")
    shown = run(project, Follower.FLUX, Follower.KYVERNO, diff=True)
    assert contents(project / "deploy") == before
    subprocess.run(["git", "init", "--quiet"], cwd=project / "deploy", check=True)
    subprocess.run(["git", "apply", "-"], cwd=project / "deploy", input=text_of(shown), text=True, check=True)
    patched = {path: content for path, content in contents(project / "deploy").items() if not path.startswith(".git/")}
    assert patched != before
    assert run(project, Follower.FLUX, Follower.KYVERNO).data["written"] == []
    assert "interval: 1h # ours" in source.read_text()


def test_everything_that_was_done_and_left_is_told(project: Path) -> None:
    run(project)
    (project / "deploy/environments/prod/charts/web/templates/mine.yaml").write_text("kind: Mine\n")
    (project / "deploy/environments/old").mkdir()
    smaller = {name: files for name, files in CHARTS.items() if name != "db"}
    (project / "build" / "package" / "artifacts.json").unlink()
    make_build(project / "build", smaller)
    result = run(project)
    assert result.data["foreign"] == ["environments/prod/charts/web/templates/mine.yaml"]
    assert result.data["otherEnvironments"] == ["old"]
    signs = [line.split()[0] for line in text_of(result).splitlines()[1:] if line.startswith("  ")]
    assert signs == ["-", "-", "!", "?"]
