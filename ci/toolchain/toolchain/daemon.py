"""Background processes that outlive the command which starts them, known by process id and start time.

A process id alone could by now be somebody else's process; together with the start time from /proc it cannot.
"""

import json
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolchain import command
from toolchain.cache import write_atomically
from toolchain.errors import ToolchainError

POLL_SECONDS = 0.05


def start_time(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None if it is gone or a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command, in parentheses, may hold blanks: count fields from the last one (proc_pid_stat(5)).
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} else int(fields[19])


def children(pid: int) -> list[int]:
    """Return the children of a process."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


@dataclass(frozen=True, kw_only=True)
class Daemon:
    """A background process whose record and log are in a folder of its own."""

    folder: Path
    name: str

    @property
    def log(self) -> Path:
        """Where the process writes."""
        return self.folder / f"{self.name}.log"

    @property
    def _record(self) -> Path:
        return self.folder / f"{self.name}.pid"

    def pid(self) -> int | None:
        """Return the id of the running process, or None."""
        try:
            record = json.loads(self._record.read_text())
        except FileNotFoundError:
            return None
        pid = int(record["pid"])
        # None: it was gone before it could be looked at, and so is no running process either.
        return pid if record["start"] is not None and start_time(pid) == record["start"] else None

    def start(
        self,
        arguments: Sequence[str | Path],
        *,
        ready: Callable[[], bool],
        seconds: float,
        env: Mapping[str, str],
    ) -> None:
        """Start the process and wait until `ready` says so.

        Raises:
            ToolchainError: it ended, or was not ready in time; the message has the end of its log, and it is gone.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        # Spawned rather than run by `subprocess`, whose objects complain about a process that outlives them.
        # `env` changes to the root folder, so that the daemon keeps no other one busy, and becomes the program.
        words = ["env", "--chdir=/", *(str(argument) for argument in arguments)]
        pid = os.posix_spawnp(
            words[0],
            words,
            dict(env),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self.log), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
        write_atomically(self._record, json.dumps({"pid": pid, "start": start_time(pid)}))
        try:
            self._wait(pid, ready=ready, seconds=seconds)
        except BaseException:
            self.stop(seconds=seconds)
            raise

    def _wait(self, pid: int, *, ready: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            ended = os.waitpid(pid, os.WNOHANG)[0] == pid
            if ended or time.monotonic() > deadline:
                what = "ended at once" if ended else f"was not ready in {seconds:.0f} s"
                raise ToolchainError(f"{self.name} {what}. The end of {self.log}:\n{command.tail(self.log)}")
            time.sleep(POLL_SECONDS)

    def stop(self, *, seconds: float, first: Callable[[int], None] | None = None) -> bool:
        """End the process: politely, and with SIGKILL after `seconds`; return whether one was running.

        `first` asks it to end, given its id; the default is SIGTERM.
        """
        pid = self.pid()
        if pid is not None:
            if first is not None:
                first(pid)
            else:
                _signal(pid, signal.SIGTERM)
            deadline = time.monotonic() + seconds
            while self.pid() is not None and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
            if self.pid() is not None:
                _signal(pid, signal.SIGKILL)
                while self.pid() is not None:
                    time.sleep(POLL_SECONDS)
            _reap(pid)
        self._record.unlink(missing_ok=True)
        return pid is not None


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _reap(pid: int) -> None:
    """Collect the exit status if the process was this one's child, so that no zombie stays."""
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        return
