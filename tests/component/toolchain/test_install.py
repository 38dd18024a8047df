"""Installing is done once, by one run at a time, and a run that is ended leaves nothing half-installed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
# The smallest tool: built from the module cache in about a second.
INSTALL = [sys.executable, str(ROOT / "ci" / "toolchain"), "install", "--only", "registry"]

pytestmark = pytest.mark.component


def environment(cache: Path) -> dict[str, str]:
    return {**os.environ, "DHALLMARK_CACHE": str(cache)}


def install(cache: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(INSTALL, env=environment(cache), check=False, capture_output=True, text=True, timeout=300)


def results(cache: Path) -> list[Path]:
    return sorted((cache / "store" / "registry").iterdir())


def test_second_run_is_instant_and_silent(tmp_path: Path) -> None:
    first = install(tmp_path)
    assert first.returncode == 0, first.stderr
    assert "registry" in first.stderr
    before = results(tmp_path)
    before_it = os.times()
    second = install(tmp_path)
    after_it = os.times()
    # Of the processor's time: what else the machine does is no matter.
    spent = after_it.children_user + after_it.children_system
    assert spent - before_it.children_user - before_it.children_system < 1
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert results(tmp_path) == before
    program = before[0] / "bin" / "registry"
    assert subprocess.run([program, "-h"], check=False, capture_output=True).returncode == 0


def test_two_runs_at_once_build_once(tmp_path: Path) -> None:
    runs = [
        subprocess.Popen(INSTALL, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [run.communicate(timeout=300) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], outputs
    assert len(results(tmp_path)) == 1
    assert (tmp_path / "logs/registry.log").read_text().count("go build") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_run_that_is_ended_leaves_nothing_that_counts(tmp_path: Path, number: signal.Signals) -> None:
    # A tool chain whose Go command never ends, to be caught in the middle for certain.
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    go.write_text('#!/bin/sh\n[ "$1" = env ] && { echo go1.99.0; exit; }\ntouch "$CAUGHT"\nexec sleep 300\n')
    go.chmod(0o755)
    cache, caught = tmp_path / "cache", tmp_path / "caught"
    env = {**environment(cache), "PATH": f"{go.parent}:{os.environ['PATH']}", "CAUGHT": str(caught)}
    with subprocess.Popen(INSTALL, env=env, stderr=subprocess.DEVNULL) as run:
        deadline = time.monotonic() + 120
        while not caught.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        builder = int(Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()[0])
        run.send_signal(number)
        assert run.wait(timeout=120) != 0
    left = results(cache)
    if number == signal.SIGTERM:
        assert left == []
        assert not Path(f"/proc/{builder}").exists()
    else:
        # Nobody could tidy up; what is there is under a name that nothing looks for.
        os.kill(builder, signal.SIGKILL)
        assert [path.name.startswith(".partial-") for path in left] == [True]
    done = install(cache)
    assert done.returncode == 0, done.stderr
    assert [path.name.startswith(".") for path in results(cache)] == [False]


def test_failed_build_shows_the_end_of_its_log_and_leaves_nothing(tmp_path: Path) -> None:
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    go.write_text('#!/bin/sh\n[ "$1" = env ] && { echo go1.99.0; exit; }\necho missing go.sum entry\nexit 1\n')
    go.chmod(0o755)
    cache = tmp_path / "cache"
    env = {**environment(cache), "PATH": f"{go.parent}:{os.environ['PATH']}"}
    done = subprocess.run(INSTALL, env=env, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "missing go.sum entry" in done.stderr
    assert "Traceback" not in done.stderr
    assert results(cache) == []
