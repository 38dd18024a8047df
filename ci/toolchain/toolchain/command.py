"""Running other programs: output to a log, its end shown when they fail."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from toolchain.errors import ToolchainError

TAIL_LINES = 20
PAUSES = (5.0, 20.0)
"""Seconds before the second and the third try of what fetches from a registry."""
_PASSING = re.compile(
    r"time[d ]*out|connection (?:reset|refused)|unexpected EOF|TLS handshake|no such host|temporary failure"
    r"|network is unreachable|\b(?:429|50[0234]) ",
    re.IGNORECASE,
)
"""What programs say of a network that may be back in a moment."""


def tail(path: Path, *, lines: int = TAIL_LINES) -> str:
    """Return the last lines of a log, or a word that there is none."""
    if not path.is_file():
        return f"(no log at {path})"
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


def run(
    arguments: Sequence[str | Path],
    *,
    log: Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
) -> None:
    """Run a program to its end with its output appended to `log`.

    The program is the leader of a process group, which is killed when this process is interrupted: a build
    that goes on in the background would hold its temporary folder.

    Raises:
        ToolchainError: it exited with another code than 0; the message has the end of the log.
    """
    words = [str(argument) for argument in arguments]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as stream:
        stream.write(f"$ {shlex.join(words)}\n")
        stream.flush()
        with subprocess.Popen(
            words,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=stream,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                process.communicate(stdin)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
    if process.returncode != 0:
        raise ToolchainError(
            f"{words[0]} failed with exit code {process.returncode}. The end of {log}:\n{tail(log)}",
        )


def run_online(
    arguments: Sequence[str | Path], *, log: Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> None:
    """`run` a program that fetches by itself and does not try again: where it complains of the network, it is.

    Raises:
        ToolchainError: as `run`.
    """
    for pause in (*PAUSES, None):
        before = log.stat().st_size if log.is_file() else 0
        try:
            run(arguments, log=log, cwd=cwd, env=env)
        except ToolchainError:
            said = log.read_bytes()[before:].decode(errors="replace")
            if pause is None or _PASSING.search(said) is None:
                raise
            time.sleep(pause)
        else:
            return


def output(arguments: Sequence[str | Path], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """Run a program and return what it printed, stripped.

    Raises:
        ToolchainError: it exited with another code than 0, or is not there.
    """
    words = [str(argument) for argument in arguments]
    try:
        done = subprocess.run(words, env=env, cwd=cwd, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise ToolchainError(f"{words[0]} is not installed") from error
    if done.returncode != 0:
        raise ToolchainError(f"{shlex.join(words)} failed with exit code {done.returncode}: {done.stderr.strip()}")
    return done.stdout.strip()


def require_root(what: str) -> None:
    """Fail with a clear word when the user may not do what needs root."""
    if os.geteuid() != 0:
        raise ToolchainError(f"{what} needs root: run it as root (for example with sudo)")


def require_program(name: str, *, package: str) -> str:
    """Return the path of a program.

    Raises:
        ToolchainError: it is missing; the message names the Debian package that has it.
    """
    found = shutil.which(name)
    if found is None:
        raise ToolchainError(f"{name} is missing: install the package {package}")
    return found
