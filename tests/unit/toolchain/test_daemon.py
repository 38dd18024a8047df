"""Daemons are known by id and start time, awaited, and ended for good."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from toolchain.daemon import Daemon, start_time
from toolchain.errors import ToolchainError

ENV = {"PATH": "/usr/bin:/bin"}


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    return Daemon(folder=tmp_path, name="thing")


def test_started_daemon_runs_until_it_is_stopped(daemon: Daemon) -> None:
    daemon.start(["sleep", "60"], ready=lambda: True, seconds=5, env=ENV)
    pid = daemon.pid()
    assert pid is not None
    assert daemon.stop(seconds=5)
    assert daemon.pid() is None
    assert start_time(pid) is None
    assert not daemon.stop(seconds=5)


def test_stubborn_daemon_is_killed(daemon: Daemon, tmp_path: Path) -> None:
    script = f"trap '' TERM; touch {tmp_path}/up; while :; do sleep 0.1; done"
    daemon.start(["sh", "-c", script], ready=(tmp_path / "up").exists, seconds=5, env=ENV)
    assert daemon.stop(seconds=0.3)
    assert daemon.pid() is None


def test_daemon_that_ends_at_once_is_an_error_with_its_log(daemon: Daemon) -> None:
    with pytest.raises(ToolchainError, match=r"thing ended at once[\s\S]*port is taken"):
        daemon.start(["sh", "-c", "echo port is taken; exit 1"], ready=lambda: False, seconds=5, env=ENV)
    assert daemon.pid() is None


def test_daemon_that_is_never_ready_is_an_error_and_gone(daemon: Daemon) -> None:
    started = time.monotonic()
    with pytest.raises(ToolchainError, match="was not ready in 0 s"):
        daemon.start(["sleep", "60"], ready=lambda: False, seconds=0.2, env=ENV)
    assert daemon.pid() is None
    assert time.monotonic() - started < 30


def test_process_that_took_over_the_id_is_not_ours(daemon: Daemon, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as other:
        try:
            (tmp_path / "thing.pid").write_text(json.dumps({"pid": other.pid, "start": 1}))
            assert daemon.pid() is None
            assert not daemon.stop(seconds=1)
            assert other.poll() is None
        finally:
            other.send_signal(signal.SIGKILL)
