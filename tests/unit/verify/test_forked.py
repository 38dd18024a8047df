"""Processes that are copies: they give the same verdicts, are replaced, and never wait for an original that is gone."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dhallmark.verify.basis import verdict_on
from dhallmark.verify.files import FileTarget
from dhallmark.verify.forked import fork

if TYPE_CHECKING:
    from tests.unit.verify.conftest import SignedFiles

PROGRAM = Path(__file__).with_name("forking.py")
TOGETHER = 150
HUGE = 48 * 1024**3
"""Bytes of a file with nothing in it: hashing it takes far longer than any test."""


@pytest.fixture
def items(signed_files: SignedFiles) -> list[FileTarget]:
    """Some files, one of which is signed as another."""
    paths = [signed_files.add("good"), signed_files.add("bad", about=b"other")]
    targets = [FileTarget(subject=path.name, artifact=str(path), bundles=(f"{path}.sigstore.json",)) for path in paths]
    return [targets[number % 10 == 9] for number in range(TOGETHER)]


@pytest.fixture
def given(signed_files: SignedFiles, items: list[FileTarget], tmp_path: Path) -> Path:
    file = tmp_path / "given.pickle"
    file.write_bytes(pickle.dumps((signed_files.basis, items)))
    return file


def environment() -> dict[str, str]:
    """The program finds what this process finds."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}


def command(mode: str, given: Path) -> list[str]:
    return [sys.executable, str(PROGRAM), mode, str(given)]


def run(mode: str, given: Path, *before: str) -> dict[str, Any]:
    """What the program prints; `before` are words in front of the command."""
    done = subprocess.run(
        [*before, *command(mode, given)],
        env=environment(),
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    body: dict[str, Any] = json.loads(done.stdout)
    return body


@pytest.mark.parametrize("mode", ["judge", "thread"])
def test_copies_give_the_verdicts_that_this_process_gives(
    signed_files: SignedFiles, items: list[FileTarget], given: Path, mode: str
) -> None:
    """A process with a second thread is not copied: what that held would be held for ever."""
    judge = signed_files.basis.judge()
    expected = [verdict_on(item, judge).to_line() for item in items]
    found = run(mode, given)
    assert found["possible"] == (mode == "judge")
    assert len(found["forked"]) == (2 if mode == "judge" else 0)
    assert found["copies"] == sorted(found["forked"])
    assert found["lines"] == found["again"] == expected
    assert found["left"] == []


@pytest.mark.parametrize("handling", ["default", "ignore"])
def test_a_copy_that_is_killed_is_replaced(given: Path, handling: str) -> None:
    """Where who started the original ignores SIGCHLD, the kernel leaves nothing to wait for."""
    found = run("kill", given, "env", f"--{handling}-signal=CHLD")
    assert len(found["copies"]) == 2
    assert found["lines"] == found["again"]
    assert not set(found["now"]) & set(found["copies"])
    assert found["left"] == []


def test_a_process_without_standard_streams_has_copies_that_work(given: Path, tmp_path: Path) -> None:
    """Their ends of the line to the original are file descriptors that others take for standard input and output."""
    output = tmp_path / "output"
    script = f'exec "$@" <&- >{output} 2>&-'
    subprocess.run(
        ["sh", "-c", script, "sh", *command("judge", given)],
        env=environment(),
        timeout=120,
        check=True,
    )
    found = json.loads(output.read_text())
    assert len(found["forked"]) == 2
    assert len(found["lines"]) == TOGETHER
    assert found["left"] == []


def ended(pid: int) -> bool:
    """Whether a process is gone, or a zombie whose parent is not its own."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


@contextmanager
def waiting(given: Path, mode: str = "wait") -> Iterator[tuple[subprocess.Popen[bytes], list[int]]]:
    """A process that does nothing, and the ids of its copies."""
    with subprocess.Popen(
        ["env", "--default-signal=INT", *command(mode, given)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        late = threading.Timer(90, process.kill)
        late.start()
        try:
            assert process.stdout is not None
            copies: list[int] = json.loads(process.stdout.readline())["forked"]
            assert len(copies) == 2
            yield process, copies
        finally:
            late.cancel()
            process.kill()


def test_a_copy_has_one_line_to_the_original_and_minds_no_interrupt(given: Path) -> None:
    """Ctrl-C goes to all processes of a terminal, and what a library prints must get nowhere."""
    with waiting(given) as (_, copies):
        deadline = time.monotonic() + 30
        for copy in copies:
            descriptors: list[str] = []
            # It closes what it has from the original, and opens its line twice.
            while descriptors[:3] != [os.devnull] * 3 or len(descriptors) != 5:
                assert time.monotonic() < deadline, descriptors
                with contextlib.suppress(FileNotFoundError):
                    descriptors = [str(path.readlink()) for path in sorted(Path(f"/proc/{copy}/fd").iterdir())]
                time.sleep(0.01)
            assert len({target for target in descriptors if target.startswith("socket:")}) == 1
            os.kill(copy, signal.SIGINT)
        time.sleep(0.2)
        assert not any(ended(copy) for copy in copies)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_copies_end_when_the_original_does(given: Path, number: signal.Signals) -> None:
    with waiting(given) as (process, copies):
        process.send_signal(number)
        process.wait(60)
    await_end(copies)


@pytest.mark.parametrize("mode", ["busy", "busy-thread"])
def test_processes_that_are_busy_end_with_the_original_too(signed_files: SignedFiles, given: Path, mode: str) -> None:
    """Copies, and those that are started where there can be none."""
    huge = signed_files.add("huge")
    os.truncate(huge, HUGE)
    item = FileTarget(subject="huge", artifact=str(huge), bundles=(f"{huge}.sigstore.json",))
    given.write_bytes(pickle.dumps((signed_files.basis, [item])))
    with waiting(given, mode) as (process, copies):
        process.kill()
        process.wait(60)
    await_end(copies)


def await_end(processes: list[int]) -> None:
    deadline = time.monotonic() + 10
    while not all(ended(pid) for pid in processes):
        assert time.monotonic() < deadline, processes
        time.sleep(0.02)


def test_no_signal_interrupts_the_making_of_a_copy(signed_files: SignedFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its handler would raise in the copy, too, in the middle of what only the original is to finish."""
    blocked: set[int] = set()

    def none_more() -> int:
        blocked.update(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        raise BlockingIOError

    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    monkeypatch.setattr(os, "fork", none_more)
    with pytest.raises(BlockingIOError):
        fork(signed_files.basis.judge())
    assert {signal.SIGINT, signal.SIGTERM} <= blocked
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_a_copy_that_cannot_be_led_to_is_ended(signed_files: SignedFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more(_: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with subprocess.Popen(["sleep", "600"]) as stands_for_it:
        monkeypatch.setattr(os, "fork", lambda: stands_for_it.pid)
        monkeypatch.setattr(os, "pidfd_open", no_more)
        with pytest.raises(OSError, match="Too many open files"):
            fork(signed_files.basis.judge())
        assert ended(stands_for_it.pid)
