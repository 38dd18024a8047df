"""Running the program that a consumer is, with an environment of its own.

No configuration, cache, credentials or TUF root of the user's are in reach: they would decide in the policy's place.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio

from dhallmark.errors import ToolError

TIMEOUT: Final = 30.0
"""Seconds for one answer. The whole judgement has a limit of its own."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a program left behind."""

    status: int
    stdout: bytes
    stderr: str


def find_program(name: str) -> str:
    """The path of a program: `name` itself where it is a path, or else what PATH has. Raises ToolError."""
    found = shutil.which(name)
    if found is None:
        raise ToolError(f"there is no program {name!r}" + ("" if "/" in name else " on PATH"))
    return found


async def run_program(
    name: str, arguments: Sequence[str], *, home: Path, stdin: bytes = b"", variables: Mapping[str, str] | None = None
) -> Done:
    """Run a program to its end; `home` is its home, working and temporary directory.

    Raises ToolError where it is not there, cannot be started, or does not end in time.
    """
    program = find_program(name)
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "TMPDIR": str(home),
        "DOCKER_CONFIG": str(home),
        "LANG": "C.UTF-8",
        **(variables or {}),
    }
    try:
        with anyio.fail_after(TIMEOUT):
            done = await anyio.run_process(
                [program, *arguments], input=stdin, check=False, env=environment, cwd=str(home)
            )
    except TimeoutError as error:  # before OSError, which it is a kind of
        raise ToolError(f"{program} did not end in {TIMEOUT:.0f} s") from error
    except OSError as error:
        raise ToolError(f"{program} cannot be run: {error.strerror}") from error
    return Done(done.returncode, done.stdout, done.stderr.decode(errors="replace"))


def ask_version(name: str, *arguments: str) -> str:
    """What a program prints when it is asked for its version. Raises ToolError."""
    try:
        done = subprocess.run(
            [find_program(name), *arguments], capture_output=True, text=True, check=False, timeout=TIMEOUT
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"{name} does not say its version: {error}") from error
    return done.stdout
