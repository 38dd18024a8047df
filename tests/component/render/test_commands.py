"""`dhallmark plan`, `resolve` and `render` as a user runs them."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dhallmark.cli.app import run
from dhallmark.errors import ExitCode

if TYPE_CHECKING:
    from tests.component.render.conftest import Example

    from dhallmark.lab.session import Lab

pytestmark = pytest.mark.component


def command(*words: str) -> tuple[int, Any]:
    """Run a command with JSON output; its exit code and what it printed."""
    stdout, stderr = io.StringIO(), io.StringIO()
    code = run([*words, "--output", "json", "--quiet"], stdout=stdout, stderr=stderr)
    return code, json.loads(stdout.getvalue() or stderr.getvalue())


def tree(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


@pytest.fixture
def checkout(example: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example as a Git checkout of its own, and the current folder."""
    root = tmp_path / "platform"
    shutil.copytree(example.root, root)
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@example.test", *words], cwd=root, check=True)
    monkeypatch.chdir(root)
    return root


def test_the_three_commands_fill_a_build_directory(example: Example, checkout: Path) -> None:
    code, planned = command("plan")
    assert code == ExitCode.OK
    assert planned == json.loads((checkout / "build" / "plan.json").read_bytes())
    assert planned["schema"] == "dhallmark.dev/plan/v1"
    assert (planned["project"], planned["version"], len(planned["units"])) == ("acme-platform", "1.4.0", 42)
    assert planned["units"][0] == {"environment": "dev", "application": "catalog", "layer": "workloads"}
    assert planned["source"]["dirty"] is False
    code, resolved = command("resolve", "--dhall-cache", str(example.seed))
    assert code == ExitCode.OK
    assert resolved["imports"]["remote"] == 1
    code, rendered = command("render")
    assert code == ExitCode.OK
    assert sum(chart["objects"] for chart in rendered["charts"]) == 348
    for step in ("resolve", "render"):
        assert tree(checkout / "build" / step) == tree(example.build / step)


def test_a_dirty_tree_is_planned_only_when_asked_for(checkout: Path) -> None:
    (checkout / "apps" / "catalog.dhall").write_text("[]")
    code, error = command("plan")
    assert code == ExitCode.INPUT
    assert not (checkout / "build" / "plan.json").exists(), error
    code, planned = command("plan", "--allow-dirty")
    assert code == ExitCode.OK
    assert planned["source"]["dirty"] is True


def test_a_shard_is_a_part(example: Example, checkout: Path) -> None:
    command("plan", "--shard", "3/7")
    command("resolve", "--shard", "3/7", "--dhall-cache", str(example.seed))
    code, rendered = command("render", "--shard", "3/7")
    assert code == ExitCode.OK
    units = [f"{unit['environment']}/{unit['application']}" for unit in
             json.loads((checkout / "build" / "plan.json").read_bytes())["units"]]  # fmt: skip
    assert len(units) == 6
    assert [chart["path"] for chart in rendered["charts"]] == units
    code, _ = command("render", "--shard", "8/7")
    assert code == ExitCode.USAGE


def test_an_error_carries_its_place_as_json(example: Example, checkout: Path) -> None:
    (checkout / "apps" / "catalog.dhall").write_text("let x = 1\nin  [ y ]")
    code, error = command("resolve", "--dhall-cache", str(example.seed))
    assert code == ExitCode.INPUT
    assert '"line": 2' in json.dumps(error)
    assert "apps/catalog.dhall" in json.dumps(error)


def test_rendering_before_resolving_says_what_to_do(checkout: Path) -> None:
    code, error = command("render")
    assert code == ExitCode.INPUT
    assert "dhallmark resolve" in json.dumps(error)


def test_the_package_comes_from_its_own_host(example: Example, lab: Lab, tmp_path: Path) -> None:
    # Inside the lab's network the package's host name resolves to the lab's server of `examples/packages`.
    words = [sys.executable, "-m", "dhallmark.cli.app", "resolve", "--build", str(tmp_path / "build"), "--quiet"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "XDG_CACHE_HOME": str(tmp_path / "empty")}
    lab.run([*words, "--config", str(example.root / "dhallmark.yaml")], env=environment)
    assert tree(tmp_path / "build" / "resolve") == tree(example.build / "resolve")
