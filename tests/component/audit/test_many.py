"""Many audits: a deploy tree, three commits; resumed after a kill; and why a build is not reproducible."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.component.audit.conftest import Command
from tests.component.audit.releases import Lie, Maker
from tests.component.audit.test_audit import wrapper

import dhallmark
from dhallmark.errors import ExitCode

pytestmark = pytest.mark.component


@pytest.fixture
def tree(maker: Maker, tmp_path: Path) -> Path:
    """A deploy tree."""
    maker.write_tree(tmp_path / "deploy")
    return tmp_path / "deploy"


def test_every_chart_of_a_deploy_tree_is_audited_offline(
    maker: Maker, command: Command, tree: Path, work: Path
) -> None:
    words = ("audit", "--inventory", tree, "--policy", maker.policy, "--work", work)
    said = command(*words, "--materials", maker.build / "package")
    assert said.status == ExitCode.OK
    assert [audit["subject"] for audit in said.body["audits"]] == [
        "environments/dev", "environments/dev/charts/greeter", "environments/prod",
        "environments/prod/charts/greeter",
    ]  # fmt: skip
    assert said.body["counts"] == {"equal": 4, "equivalent": 0, "different": 0, "unknown": 0}
    # Without the bundle the registry is asked, which there is none of.
    gone = command(*words)
    assert {audit["verdict"]["reason"] for audit in gone.body["audits"]} == {"registry.unavailable"}


def test_a_chart_that_was_changed_in_the_tree_is_found(maker: Maker, command: Command, tree: Path, work: Path) -> None:
    chart = tree / "environments" / "prod" / "charts" / "greeter"
    template = chart / "templates" / "002-deployment-greeter.yaml"
    template.write_text(template.read_text().replace("replicas: 3", "replicas: 4"))
    # Not verified, since nothing of it would be rebuilt from a record that is not accepted; a commit is named instead.
    said = command(
        "audit", "--inventory", tree, "--source", maker.root, "--work", work,
        "--materials", maker.build / "package",
    )  # fmt: skip
    assert said.status == ExitCode.REJECTED
    found = {audit["subject"]: audit for audit in said.body["audits"]}
    assert found["environments/prod/charts/greeter"]["differences"][0]["field"] == "spec.replicas"
    assert found["environments/dev/charts/greeter"]["sameness"] == "equal"
    verified = command(
        "audit", "--inventory", tree, "--policy", maker.policy, "--work", work,
        "--materials", maker.build / "package",
    )  # fmt: skip
    reasons = {audit["subject"]: audit["verdict"].get("reason") for audit in verified.body["audits"]}
    assert reasons["environments/prod/charts/greeter"] == "artifact.content-mismatch"


def test_three_commits_are_rebuilt_each_from_its_own_record(tmp_path: Path, command: Command) -> None:
    maker = Maker.new(tmp_path)
    layouts = []
    for number in range(3):
        config = maker.root / "dhallmark.yaml"
        config.write_text(config.read_text().replace(f"version: 0.{number + 1}.0", f"version: 0.{number + 2}.0"))
        values = maker.root / "environments" / "prod.dhall"
        values.write_text(values.read_text().replace(f"replicas = {number + 3}", f"replicas = {number + 4}"))
        maker.commit(f"release {number}")
        maker.make()
        maker.publish(tmp_path / f"layout-{number}", maker.artifact())
        layouts.append(tmp_path / f"layout-{number}")
    said = command("audit", *layouts, "--policy", maker.policy)
    assert said.status == ExitCode.OK
    assert [audit["sameness"] for audit in said.body["audits"]] == ["equal"] * 3
    revisions = {audit["record"]["revision"] for audit in said.body["audits"]}
    assert len(revisions) == len({audit["digest"] for audit in said.body["audits"]}) == 3


def test_a_run_that_was_killed_goes_on_where_it_was(maker: Maker, tree: Path, tmp_path: Path) -> None:
    state, work = tmp_path / "state", tmp_path / "work"
    words: list[str | Path] = [
        sys.executable, "-m", "dhallmark.cli.app", "audit", "--inventory", tree, "--policy", maker.policy,
        "--work", work, "--state", state, "--materials", maker.build / "package", "--jobs", "1", "--output", "json",
    ]  # fmt: skip
    env = {**os.environ, "PYTHONPATH": str(Path(dhallmark.__path__[0]).parent)}
    first = subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    for _ in range(1200):
        if state.is_dir() and any(state.glob("*.json")):
            break
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    kept = {path: path.read_bytes() for path in state.glob("*.json")}
    assert kept
    before = {path: path.stat().st_mtime_ns for path in kept}
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["counts"]["equal"] == 4
    assert {path: path.stat().st_mtime_ns for path in kept} == before
    assert len(list(state.glob("*.json"))) == 4
    # One rebuild served all of them.
    assert len(list(work.glob("*/rebuild.json"))) == 1


def test_nothing_indeterminate_is_kept(maker: Maker, command: Command, tmp_path: Path) -> None:
    maker.publish(tmp_path / "layout", maker.artifact(), lie=Lie(materials=lambda _: None))
    words = ("audit", tmp_path / "layout", "--policy", maker.policy, "--state", tmp_path / "state")
    assert command(*words).verdict[1] == "indeterminate"
    assert not list((tmp_path / "state").glob("*")) if (tmp_path / "state").exists() else True


# Why is it not reproducible?


@pytest.fixture
def irreproducible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `dhall` whose version says how many processors it has."""
    script = 'if [ "$1" = version ]; then echo "1.42.$(nproc)"; exit 0; fi\nexec "$REAL" "$@"'
    wrapper(tmp_path / "bin", "dhall", script, monkeypatch)


def test_a_reproducible_build_is_said_to_be_one(maker: Maker, command: Command) -> None:
    said = command("audit", "--explain", "--source", maker.root)
    assert said.status == ExitCode.OK
    assert said.body["reproducible"] is True
    assert {finding["variation"] for finding in said.body["findings"]} == {
        "time", "path", "locale", "timezone", "cpus", "order of files", "hostname", "user", "umask",
    }  # fmt: skip


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor cannot be varied")
@pytest.mark.usefixtures("irreproducible")
def test_the_surroundings_that_matter_are_named(maker: Maker, command: Command) -> None:
    said = command("audit", "--explain", "--source", maker.root)
    assert said.status == ExitCode.REJECTED
    matters = {finding["variation"]: finding for finding in said.body["findings"] if finding["matters"]}
    assert set(matters) == {"cpus"}
    assert matters["cpus"]["step"] == "resolve"
    assert matters["cpus"]["files"] == ["resolve/closure.json"]
