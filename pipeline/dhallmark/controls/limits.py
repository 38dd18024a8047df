"""How much a judgement may take, and seeing that it took more.

What the kernel enforces on each process (`dhallmark.controls.privileges`) does not add up: a hundred small processes
fill a machine as well as a big one. So the first process of a judgement's namespace, which no consumer can signal,
looks at all of them together, again and again.
Source: proc_pid_statm(5), proc(5), statvfs(3).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from dhallmark.config.model import Model

_MIB = 1024 * 1024
_RESIDENT, _SHARED = 1, 2
"""Fields of /proc/PID/statm, in pages."""
_FULL = 0.97
"""Of the scratch file system: a writer that is refused leaves a rest that was too small for it."""


class Limits(Model):
    """What one consumer may take for one control, with all that it starts."""

    seconds: float = 120.0
    """By the wall clock, for three answers."""
    memory: int = 3072 * _MIB
    """Bytes that are its own, of all processes together."""
    scratch: int = 256 * _MIB
    """Bytes of files; there is no other place to write to."""
    tasks: int = 512
    """Processes and threads. A Go program has some ten threads, and some more for each core."""

    def with_room_for(self, needs: Needs) -> Limits:
        """These limits on top of what a consumer needs before it can be asked."""
        return self.model_copy(
            update={"seconds": self.seconds + needs.seconds, "scratch": self.scratch + needs.scratch}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a consumer takes before it can be asked: for servers of its own."""

    seconds: float = 0.0
    """At most, on a busy machine."""
    scratch: int = 0
    """Bytes of files."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Looks at the processes of one PID namespace, from within, and at its scratch space."""

    limits: Limits
    scratch: Path
    ours: Collection[int]
    """Process ids that are not the consumer's."""

    def excess(self) -> str:
        """What there is too much of, in a sentence; empty where nothing is."""
        tasks = memory = 0
        for pid in self._processes():
            try:
                tasks += Path(f"/proc/{pid}/task").stat().st_nlink - 2
                fields = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()
            except OSError:
                continue  # it has ended
            memory += (int(fields[_RESIDENT]) - int(fields[_SHARED])) * os.sysconf("SC_PAGE_SIZE")
        if memory > self.limits.memory:
            return f"it took {memory // _MIB} MiB of memory, and may take {self.limits.memory // _MIB}"
        if tasks >= self.limits.tasks:
            return f"it started {tasks} processes and threads, and may start fewer than {self.limits.tasks}"
        space = os.statvfs(self.scratch)
        for what, total, free in (
            ("bytes", space.f_blocks, space.f_bfree),
            ("files", space.f_files, space.f_ffree),
        ):
            if total - free > _FULL * total:
                return f"it filled the {what} of its {self.limits.scratch // _MIB} MiB of files"
        return ""

    def _processes(self) -> Iterator[int]:
        for path in Path("/proc").iterdir():
            if path.name.isdigit() and int(path.name) not in self.ours:
                yield int(path.name)
