"""Who gives many verdicts: this process while they are few, one process for each processor once they are many.

A process takes some tenths of a second to start, in which this one gives hundreds of verdicts; a copy of this one takes
next to none, and can be made only before there is an event loop (`Crew.fork`). Each process reads the policy and the
trust root once. One that dies (killed, out of memory) takes the verdicts that it was to give with it: they become
`indeterminate(check.lost)`, and another takes its place.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Protocol, Self

import anyio
import anyio.abc
import anyio.to_thread
from anyio.abc import UNIXSocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from dhallmark.config.policy import Format
from dhallmark.reasons import Reason
from dhallmark.verdict import Check, Verdict
from dhallmark.verify.basis import Basis, Item, subject_of, verdicts_on
from dhallmark.verify.forked import Copy, can_fork, fork
from dhallmark.verify.judge import Evidence, Judge
from dhallmark.verify.judged import Judged
from dhallmark.verify.worker import LENGTH_BYTES, frame

PAYS: Final = 600
"""Items from which on other processes are started, where there are no copies."""
_MAX_WORKERS: Final = 16
_AHEAD: Final = 2
"""Requests that a process has at once: it works on one while the next waits in its pipe."""
_MAX_LOST: Final = 8
"""How many processes may be lost and replaced."""
_START_SECONDS: Final = 60.0

Numbered = tuple[int, Item]


class LostError(Exception):
    """A process ended before it answered."""


class Crew:
    """Gives verdicts by one basis; an async context manager. Leaving it ends its processes."""

    def __init__(self, basis: Basis, *, workers: int | None = None, pays: int = PAYS) -> None:
        """`workers` is how many processes at most: one for each processor where it is not given.

        `pays` is the number of items from which on they are started. Raises FormatError for a trust root that cannot
        be read.
        """
        available = len(os.sched_getaffinity(0)) if workers is None else workers
        self.workers = min(available, _MAX_WORKERS) if available > 1 else 0
        self._basis = basis
        self._here = _Here(basis.judge())
        self._pays = pays
        self._seen = 0
        self._lost = 0
        self._employed = 0
        """Processes that run, are being started, or will be replaced."""
        self._running: dict[int, _Process] = {}
        self._free: deque[_Executor] = deque([self._here])
        self._copies: list[Copy] = []
        """Those that nothing was asked of yet."""
        self._staffed = False
        """Whether it began with copies."""
        self._changed = anyio.Condition()

    def fork(self) -> None:
        """Make the processes now, as copies of this one, where that is possible (`can_fork`); else do nothing.

        To be called before there is an event loop, by who knows that there is enough to do: it takes some milliseconds.
        """
        if not can_fork():
            return
        for _ in range(self.workers):
            try:
                self._copies.append(fork(self._here.judge))
            except OSError:  # no memory, or too many processes: who is there goes on
                break

    def discard(self) -> None:
        """End the copies that were made in vain, where the crew was never entered."""
        while self._copies:
            self._copies.pop().discard()

    async def __aenter__(self) -> Self:
        self.group = await anyio.create_task_group().__aenter__()
        copies, self._copies = self._copies, []
        self._employed = len(copies)
        self._staffed = bool(copies)
        for copy in copies:
            self.group.start_soon(self._employ, copy)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        self._here.stopped = True
        self.group.cancel_scope.cancel()
        return await self.group.__aexit__(kind, error, traceback)

    async def judge(self, evidence: Evidence) -> Verdict:
        """The verdict on one thing that was gathered."""
        return (await self.judge_all([(0, evidence)]))[0].verdict

    async def judge_all(self, items: Sequence[Numbered]) -> list[Judged]:
        """The verdicts on `items`, in their order. Waits for someone to be free; raises nothing but cancellation.

        Who has many calls `expect` beforehand.
        """
        try:
            executor = await self._take()
            try:
                return await executor.run(items)
            finally:
                await self._give(executor)
        except LostError as error:
            return [Judged.of(number, _lost(item, str(error))) for number, item in items]

    @property
    def needs_layer(self) -> bool:
        """See `Judge.needs_layer`."""
        return self._here.judge.needs_layer

    @property
    def formats(self) -> Collection[Format]:
        """The formats of signatures that count by the policy."""
        return self._basis.policy.formats

    @property
    def pids(self) -> frozenset[int]:
        """The processes that are ready to give verdicts."""
        return frozenset(self._running)

    def expect(self, more: int) -> None:
        """Say that `more` items are coming; processes are started once that pays."""
        before = self._seen
        self._seen += more
        if before <= self._pays < self._seen and not self._staffed:
            self._employed = self.workers
            for _ in range(self.workers):
                self.group.start_soon(self._employ)

    async def _take(self) -> _Executor:
        async with self._changed:
            while True:
                while self._free:
                    executor = self._free.popleft()
                    if executor.usable:
                        return executor
                if not self._here.usable and not self._employed:
                    raise LostError("too many processes that were to give verdicts ended")
                await self._changed.wait()

    async def _give(self, executor: _Executor) -> None:
        with anyio.CancelScope(shield=True):
            async with self._changed:
                self._free.append(executor)
                self._changed.notify()

    async def _employ(self, copy: Copy | None = None) -> None:
        """Run one process, by default a new one, and another in its place should it die."""
        try:
            while self._lost <= _MAX_LOST:
                async with _process(self._basis) if copy is None else _forked(copy) as process:
                    copy = None
                    self._here.usable = False
                    self._running[process.process.pid] = process
                    try:
                        for _ in range(_AHEAD):
                            await self._give(process)
                        await process.listen()
                    finally:
                        del self._running[process.process.pid]
                self._lost += 1
        except (OSError, LostError):
            # None could be started: who is here goes on.
            pass
        finally:
            self._employed -= 1
            with anyio.CancelScope(shield=True):
                async with self._changed:
                    self._changed.notify_all()


class _Executor(Protocol):
    usable: bool

    async def run(self, items: Sequence[Numbered]) -> list[Judged]: ...


@dataclass(slots=True)
class _Here:
    """This process: a thread of it, so that requests to registries go on meanwhile."""

    judge: Judge
    usable: bool = True
    stopped: bool = False

    async def run(self, items: Sequence[Numbered]) -> list[Judged]:
        return await anyio.to_thread.run_sync(self._run, items, abandon_on_cancel=True)

    def _run(self, items: Sequence[Numbered]) -> list[Judged]:
        # Once nobody waits any more, fewer verdicts come.
        verdicts = verdicts_on([item for _, item in items], self.judge, stopped=lambda: self.stopped)
        return [Judged.of(number, verdict) for (number, _), verdict in zip(items, verdicts, strict=False)]


@dataclass(slots=True, eq=False)
class _Request:
    done: anyio.Event = field(default_factory=anyio.Event)
    answer: list[Judged] | None = None


@dataclass(slots=True, eq=False)
class _Process:
    """A process that gives verdicts, and what it was asked and has not answered."""

    process: anyio.abc.Process | Copy
    requests: anyio.abc.ByteSendStream
    answers: BufferedByteReceiveStream
    usable: bool = True
    _asked: deque[_Request] = field(default_factory=deque)
    _order: anyio.Lock = field(default_factory=anyio.Lock)

    async def run(self, items: Sequence[Numbered]) -> list[Judged]:
        request = _Request()
        content = frame(items)
        # A frame that was begun is sent to its end, or those behind it could not be read.
        with anyio.CancelScope(shield=True):
            async with self._order:
                if not self.usable:  # It may have ended while others sent: nobody would answer this one.
                    raise LostError(f"the process that was to give it ended with {self.process.returncode}")
                self._asked.append(request)
                try:
                    await self.requests.send(content)
                except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                    self.usable = False
        await request.done.wait()
        if request.answer is None:
            raise LostError(f"the process that was to give it ended with {self.process.returncode}")
        return request.answer

    async def listen(self) -> None:
        """Take answers until the process ends; whoever still waits then learns that none comes."""
        try:
            while True:
                answer = await self.receive()
                request = self._asked.popleft()
                request.answer = answer
                request.done.set()
        except (LostError, pickle.UnpicklingError, IndexError):
            self.usable = False
            self.process.kill()
            await self.process.wait()
        finally:
            self.usable = False
            while self._asked:
                self._asked.popleft().done.set()

    async def receive(self) -> list[Judged] | None:
        """The next answer. Raises LostError where the process ends instead."""
        try:
            length = int.from_bytes(await self.answers.receive_exactly(LENGTH_BYTES), "big")
            content = await self.answers.receive_exactly(length)
        except (anyio.IncompleteRead, anyio.EndOfStream, anyio.BrokenResourceError) as error:
            raise LostError("ended") from error
        answer: list[Judged] | None = pickle.loads(content)  # noqa: S301 - from our own process, of our own types
        return answer


@asynccontextmanager
async def _process(basis: Basis) -> AsyncIterator[_Process]:
    """Start a process and wait until it is ready; it is gone at the end. Raises OSError and LostError."""
    # Without -P, modules of the working directory would be imported: it may be what is to be verified (P15).
    path = os.pathsep.join(entry for entry in sys.path if entry)
    process = await anyio.open_process(
        [sys.executable, "-P", "-m", "dhallmark.verify.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path},
    )
    try:
        if process.stdin is None or process.stdout is None:
            raise LostError("no pipes")
        found = _Process(process, process.stdin, BufferedByteReceiveStream(process.stdout))
        try:
            with anyio.fail_after(_START_SECONDS):
                await found.requests.send(frame(basis))
                await found.receive()
        except (TimeoutError, anyio.BrokenResourceError) as error:
            raise LostError("did not start") from error
        yield found
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
            await process.aclose()


@asynccontextmanager
async def _forked(copy: Copy) -> AsyncIterator[_Process]:
    """As `_process`, for one that is there."""
    try:
        async with await UNIXSocketStream.from_socket(copy.end) as stream:
            yield _Process(copy, stream, BufferedByteReceiveStream(stream))
    finally:
        with anyio.CancelScope(shield=True):
            copy.kill()
            await copy.aclose()


def _lost(item: Item, detail: str) -> Verdict:
    return Verdict.of(subject_of(item), checks=[Check(name="verifier", reason=Reason.CHECK_LOST, detail=detail)])
