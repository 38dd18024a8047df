"""Isolation of one judgement: a process in a network namespace with nothing but loopback, in little time and space.

It has no route, no capability, none of the caller's environment, and a folder of its own; it is killed with all that it
started when its time is up. Root makes the namespace directly; anyone else within a user namespace.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import Process

import dhallmark
from dhallmark import strictjson
from dhallmark.errors import FormatError
from dhallmark.lab.namespace import isolated
from dhallmark.reasons import Reason

TIMEOUT = 120.0
"""Seconds for a whole judgement: three answers of each consumer."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What came of a process."""

    answers: Mapping[str, Any]
    """By consumer; those that did not get to answer are not there."""
    reason: Reason = Reason.CONSUMER_UNAVAILABLE
    """Why the others have none."""
    detail: str = ""


async def judge_isolated(
    case: Path,
    consumers: Sequence[str],
    *,
    timeout: float = TIMEOUT,  # noqa: ASYNC109
) -> Judgement:
    """Judge the case in the folder `case` by `consumers`, in isolation. `timeout` is in seconds. Raises nothing."""
    folder_of_case = await anyio.Path(case).absolute()
    with tempfile.TemporaryDirectory(prefix="dhallmark-control-") as folder:
        result = Path(folder) / "result.json"
        program = [sys.executable, "-m", "dhallmark.controls.inside", str(folder_of_case), str(result), *consumers]
        status, stderr, ended = await _run(isolated(program), folder=Path(folder), timeout=timeout)
        try:
            answers = strictjson.parse(result.read_bytes(), what="result")
        except (OSError, FormatError):
            said = stderr or f"the process ended with {status} before it began"
            return Judgement({}, Reason.ISOLATION_UNAVAILABLE, said)
    if not ended:
        return Judgement(answers, detail=f"no answer in {timeout:.0f} s: killed")
    return Judgement(answers, detail=stderr or f"the process ended with {status}")


async def _run(command: Sequence[str], *, folder: Path, timeout: float) -> tuple[int | None, str, bool]:  # noqa: ASYNC109
    """Exit code, the end of standard error, and whether it ended by itself."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": str(Path(str(dhallmark.__file__)).parent.parent),
        "HOME": str(folder),
        "DOCKER_CONFIG": str(folder),
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
    }
    log = folder / "stderr"
    with log.open("wb") as stderr:
        try:
            process = await anyio.open_process(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env=environment,
                cwd=folder,
                start_new_session=True,
            )
        except OSError as error:
            return None, str(error), True
    try:
        with anyio.move_on_after(timeout) as scope:
            await process.wait()
    finally:
        with anyio.CancelScope(shield=True):
            await _kill(process)
    return process.returncode, log.read_text(errors="replace")[-2000:].strip(), not scope.cancelled_caught


async def _kill(process: Process) -> None:
    """End the process and all that it started: they are one session, of the process's own number."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
