"""Hands on what a recorded command prints to standard error, while it runs.

in-toto's runlib either throws a command's output away or stores all of it in the link, watching the command in a loop
that keeps a core busy. A link with output in it is not reproducible, so the output is thrown away, and the command's
standard error goes through a named pipe instead.
"""

from __future__ import annotations

import os
import select
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_PIECE = 65536
_KEPT_LINES = 20


class Relay:
    """A named pipe whose text goes to a listener; the last lines are kept."""

    def __init__(self, pipe: Path) -> None:
        self._pipe = pipe
        self._tail: deque[str] = deque(maxlen=_KEPT_LINES)

    def wrap(self, command: Sequence[str]) -> list[str]:
        """`command` so that its standard error is the pipe. Its words are the shell's arguments, never its text.

        The shell gives its place to the command, so that whoever stops the one stops the other.
        """
        return ["/bin/sh", "-c", 'exec "$@" 2>"$0"', str(self._pipe), *command]

    @property
    def tail(self) -> str:
        """The last lines that came, for an error message; complete when the block of `relay` has ended."""
        return "\n".join(self._tail)

    def _keep(self, text: str) -> None:
        self._tail.extend(line for line in text.splitlines() if line.strip())


@contextmanager
def relay(write: Callable[[str], object]) -> Iterator[Relay]:
    """A relay that calls `write` with each piece of text, from a thread of its own, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="dhallmark-step-") as folder:
        pipe = Path(folder) / "stderr"
        os.mkfifo(pipe, mode=0o600)
        # Opened for both directions: opening waits for nobody, and the end of a writer is not the end of the pipe.
        reader = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
        wake_reader, wake_writer = os.pipe()
        through = Relay(pipe)
        thread = threading.Thread(target=_pump, args=(reader, wake_reader, through, write), daemon=True)
        thread.start()
        try:
            yield through
        finally:
            os.close(wake_writer)
            thread.join()
            os.close(reader)
            os.close(wake_reader)


def _pump(reader: int, wake: int, through: Relay, write: Callable[[str], object]) -> None:
    pending = ""
    ending = False
    while True:
        ready, _, _ = select.select([reader, wake], [], [], 0 if ending else None)
        if reader in ready:
            text = os.read(reader, _PIECE).decode(errors="replace")
            write(text)
            pending += text
            whole, newline, pending = pending.rpartition("\n")
            through._keep(whole + newline)  # noqa: SLF001 - the two halves of one thing
        elif ending:
            through._keep(pending)  # noqa: SLF001
            return
        ending = ending or wake in ready
