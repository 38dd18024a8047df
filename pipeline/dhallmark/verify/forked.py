"""A process that gives verdicts as a copy of this one: it has loaded what this one has, so that it is ready at once.

`python -m dhallmark.verify.worker` loads the same again for some tenths of a second, in which a processor gives
hundreds of verdicts. A copy has but the thread that made it: what another thread held then, a lock say, nobody would
ever let go. So it is made only of a process with one thread; that there is no event loop yet is the caller's to know.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

import anyio

from dhallmark.lifetime import die_with_parent
from dhallmark.verify.judge import Judge
from dhallmark.verify.worker import answer_all

_THREADS: Final = Path("/proc/self/task")
_DESCRIPTORS: Final = "/proc/self/fd"
_HANDLED: Final = (signal.SIGINT, signal.SIGTERM)
"""Signals whose handlers raise an exception in whatever runs."""
_UNKNOWN: Final = 255
"""Stands for the exit code of a process that nobody could wait for, as in asyncio."""
_FIRST: Final = 3
"""The first file descriptor after the standard ones."""


@dataclass(slots=True, eq=False)
class Copy:
    """A process that was forked off, with what a crew asks of an `anyio.abc.Process`."""

    pid: int
    end: socket.socket
    """Requests go there, and answers come from there."""
    _handle: int
    """Its pidfd: a number that no other process gets once this one is gone."""
    returncode: int | None = None
    """None until it was waited for; negative where a signal ended it."""

    def kill(self) -> None:
        if self.returncode is None:
            # Where SIGCHLD is ignored, a process is gone without being waited for.
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    async def wait(self) -> int:
        if self.returncode is None:
            await anyio.wait_readable(self._handle)
            self.returncode = self._reap()
        return self.returncode

    async def aclose(self) -> None:
        """Wait for it, and let go of what leads to it."""
        try:
            await self.wait()
        finally:
            os.close(self._handle)

    def discard(self) -> None:
        """End it where no crew has taken it over."""
        self.end.close()
        self.kill()
        self.returncode = self._reap()
        os.close(self._handle)

    def _reap(self) -> int:
        try:
            _, status = os.waitpid(self.pid, 0)
        except ChildProcessError:
            return _UNKNOWN
        return os.waitstatus_to_exitcode(status)


def can_fork() -> bool:
    """Whether a copy of this process works: on Linux, as long as it has one thread."""
    if sys.platform != "linux":
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
        return len(list(_THREADS.iterdir())) == 1
    except OSError:
        return False


def fork(judge: Judge) -> Copy:
    """A copy of this process that answers requests until its `end` is closed. Raises OSError. See `can_fork`."""
    ours, theirs = socket.socketpair()
    # A signal that came before the copy minds none would end what the original is in the middle of, in the copy.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
    try:
        pid = os.fork()
        if not pid:
            _serve(theirs.fileno(), judge)
        return Copy(pid, ours, _handle_of(pid))
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _handle_of(pid: int) -> int:
    """The pidfd of a copy; where there is none to be had, the copy is ended and OSError raised."""
    try:
        return os.pidfd_open(pid)
    except OSError:
        os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
        raise


def _serve(end: int, judge: Judge) -> NoReturn:
    """Never returns to what the copy was in the middle of, nor runs what is meant for the end of the original."""
    code = 1
    try:
        die_with_parent()
        # Ctrl-C goes to all processes of a terminal; the original decides, and closes its end.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
        nothing = os.open(os.devnull, os.O_RDWR)
        end = fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, _FIRST)  # of a process that was started without a standard input
        for standard in range(_FIRST):
            os.dup2(nothing, standard)
        # The original's end of its own line among them, and those of copies before it: held open here, nobody would
        # learn that the original is gone.
        for descriptor in [int(name) for name in os.listdir(_DESCRIPTORS)]:  # noqa: PTH208 - numbers, not paths
            if descriptor >= _FIRST and descriptor != end:
                with contextlib.suppress(OSError):  # the one that this list was read by
                    os.close(descriptor)
        with os.fdopen(os.dup(end), "rb") as requests, os.fdopen(end, "wb") as answers:
            answer_all(requests, answers, judge)
        code = 0
    except BrokenPipeError:
        code = 0  # the original is gone
    finally:
        os._exit(code)
