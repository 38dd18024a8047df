"""Which process runs which tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONFTEST = """
import os, pathlib
import pytest
from tests.scheduling import Scheduling

def pytest_xdist_make_scheduler(config, log):
    return Scheduling(config, log)

@pytest.fixture(autouse=True)
def by(request):
    ran = pathlib.Path(__file__).parent / "ran" / os.environ["PYTEST_XDIST_WORKER"]
    with ran.open("a") as file:
        file.write(request.node.path.name + "\\n")
"""
FILES = [
    "tests/dagger/test_release.py",
    "tests/dagger/test_keys.py",
    "tests/dagger/test_calls.py",
    "tests/dagger/test_steps.py",
    *(f"tests/component/test_{number}.py" for number in range(6)),
]


def test_files_stay_whole_and_what_runs_dagger_tests_runs_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "ran").mkdir()
    (tmp_path / "conftest.py").write_text(CONFTEST)
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("\n".join(f"def test_{number}(): pass" for number in range(4)))
    command = [sys.executable, "-m", "pytest", "-n", "3", "--no-loadscope-reorder", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "--import-mode=importlib", "--rootdir", str(tmp_path), "tests/dagger", "tests/component"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    assert " 40 passed" in done.stdout
    ran = {frozenset(path.read_text().split()) for path in (tmp_path / "ran").iterdir()}
    assert ran == {
        frozenset({"test_release.py", "test_keys.py"}),
        frozenset({"test_calls.py", "test_steps.py"}),
        frozenset(f"test_{number}.py" for number in range(6)),
    }
