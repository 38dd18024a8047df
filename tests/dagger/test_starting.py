"""What counts as a container that did not start, and what a run of tests says of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.dagger.starting import RUN_AGAIN, ContainerNotStartedError, telling_not_started

pytestmark = pytest.mark.dagger

ROOT = Path(__file__).resolve().parents[2]
OF_RUNC = "runc run failed: unable to start container process: waiting for init preliminary setup: read init-p: reset"
OF_THE_ENGINE = 'cleanup failed: "runc delete container": it did not terminate: container does not exist'


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (AssertionError(f"exit code 1\n{OF_RUNC}\n"), True),
        (RuntimeError(OF_THE_ENGINE), True),
        (ExceptionGroup("a group", [ValueError("x"), ExceptionGroup("another", [RuntimeError(OF_THE_ENGINE)])]), True),
        (AssertionError("exit code 1"), False),
        (ExceptionGroup("a group", [RuntimeError("unable to start container process: no such file")]), False),
    ],
)
def test_a_container_that_did_not_start_is_told_from_one_that_failed(error: Exception, *, told: bool) -> None:
    with pytest.raises(Exception, match=r".") as raised, telling_not_started():
        raise error
    assert isinstance(raised.value, ContainerNotStartedError) == told
    assert told or raised.value is error


NOT_STARTED = f"def test_is_not_started(): raise RuntimeError({OF_THE_ENGINE!r})"
FIXTURE_NOT_STARTED = f"""
@pytest.fixture
def lab(): raise RuntimeError({OF_RUNC!r})

def test_needs_a_lab(lab): pass
"""
FAILS = "def test_fails(): assert False"
ENDS_ITS_PROCESS = "def test_ends_its_process(): __import__('os')._exit(3)"


@pytest.mark.parametrize(
    ("tests", "processes", "code"),
    [
        ((NOT_STARTED, "def test_passes(): pass"), 0, RUN_AGAIN),
        ((FIXTURE_NOT_STARTED, NOT_STARTED), 2, RUN_AGAIN),
        ((NOT_STARTED, FAILS), 0, 1),
        ((FIXTURE_NOT_STARTED, ENDS_ITS_PROCESS), 2, 1),
    ],
    ids=["a test", "a fixture, too", "another failure", "a process that ended"],
)
def test_a_run_asks_for_another_only_where_nothing_else_failed(
    tests: tuple[str, ...], processes: int, code: int, tmp_path: Path
) -> None:
    (tmp_path / "conftest.py").write_text(
        "from tests.dagger.starting import ContainersNotStarted\n"
        "def pytest_configure(config): config.pluginmanager.register(ContainersNotStarted())\n"
    )
    (tmp_path / "test_it.py").write_text("\n\n".join(["import pytest", *tests]))
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", str(processes), str(tmp_path)]
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'pipeline'}", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == code, done.stdout[-3000:]
