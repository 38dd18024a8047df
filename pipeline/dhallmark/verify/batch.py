"""Many verdicts in one run: whatever is named, as the verdicts come, in a bounded amount of memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread
from anyio.streams.memory import MemoryObjectSendStream

from dhallmark.verdict import Verdict
from dhallmark.verify.basis import Item, TreeTarget
from dhallmark.verify.crew import Crew, Numbered
from dhallmark.verify.files import FileTarget
from dhallmark.verify.folder import read_folder
from dhallmark.verify.judged import Judged
from dhallmark.verify.target import FolderTarget, LayoutTarget, ListTarget, ReferenceTarget, Target, name_of

if TYPE_CHECKING:
    from dhallmark.verify.reference import Reference

CHUNK: Final = 64
"""Most items that are asked for together: few, so that verdicts come soon; enough that passing them on costs little."""
_ROUNDS: Final = 8
"""Chunks for each process at least, where there are so many items: the last one must not wait for a large chunk."""
_CONCURRENT_REFERENCES: Final = 4
"""Artifacts that are read from registries at once; each may have some blobs in memory."""


async def verify_many(
    targets: Iterable[Target], crew: Crew, *, found: Callable[[int], object] = lambda _: None
) -> AsyncIterator[Judged]:
    """The verdicts on all that `targets` name, as they come; `Judged.number` says where each belongs.

    A target that turns out to be nothing (an empty folder, list, layout or repository) is `indeterminate(check.none)`.
    `found` is told how many more verdicts will come as soon as that is known. Memory holds what is being judged, not
    what was. Raises UsageError and nothing else.
    """
    send, receive = anyio.create_memory_object_stream[list[Judged]](4)
    run = _Run(crew, send, found)
    crew.group.start_soon(run.all, targets)
    try:
        async with receive:
            async for chunk in receive:
                for judged in chunk:
                    yield judged
    finally:
        run.scope.cancel()


class _Run:
    """One call of `verify_many`."""

    def __init__(self, crew: Crew, send: MemoryObjectSendStream[list[Judged]], found: Callable[[int], object]) -> None:
        self.scope = anyio.CancelScope()
        self._crew = crew
        self._send = send
        self._found = found
        self._number = 0
        self._known = 0
        """Verdicts that will come, as far as that is known."""
        self._chunks = anyio.Semaphore(2 * max(crew.workers, 1) + 1)
        self._references = anyio.Semaphore(_CONCURRENT_REFERENCES)

    async def all(self, targets: Iterable[Target]) -> None:
        with self.scope:
            async with self._send, anyio.create_task_group() as group:
                self._group = group
                chunk: list[Numbered] = []
                for target in targets:
                    before = self._number
                    if isinstance(target, ReferenceTarget):
                        await self._reference(target)
                    else:
                        async for item in self._items(target):
                            chunk = await self._add(item, chunk)
                    if self._number == before:
                        self._expect(1)
                        await self._tell(self._next(), Verdict.of(name_of(target)))
                await self._start(chunk)

    def _expect(self, count: int) -> None:
        self._known += count
        self._found(count)
        self._crew.expect(count)

    def _next(self) -> int:
        self._number += 1
        return self._number - 1

    async def _items(
        self, target: FileTarget | FolderTarget | LayoutTarget | TreeTarget | ListTarget
    ) -> AsyncIterator[Item | Verdict]:
        """What is to be judged of a target that is on the disk, and verdicts on what cannot be."""
        if isinstance(target, FileTarget | TreeTarget):
            self._expect(1)
            yield target
        elif isinstance(target, ListTarget):
            self._expect(target.count)
            for one in target.targets:
                yield one
        elif isinstance(target, FolderTarget):
            found = await anyio.to_thread.run_sync(_whole_folder, target, abandon_on_cancel=True)
            self._expect(len(found))
            for item in found:
                yield item
        else:
            from dhallmark.verify.image_layout import gather_layout

            async for evidence in gather_layout(
                target.folder,
                subject_name=target.name,
                unpack=self._crew.needs_layer,
                formats=self._crew.formats,
            ):
                self._expect(1)
                yield evidence

    async def _add(self, item: Item | Verdict, chunk: list[Numbered]) -> list[Numbered]:
        """Put an item to `chunk`, and send that off when it is full; returns the chunk to go on with."""
        number = self._next()
        if isinstance(item, Verdict):
            await self._tell(number, item)
            return chunk
        chunk.append((number, item))
        # What is in memory with its bundles goes at once; files are read by whoever judges them.
        size = min(CHUNK, self._known // (_ROUNDS * max(self._crew.workers, 1)))
        if len(chunk) < size and isinstance(item, FileTarget):
            return chunk
        await self._start(chunk)
        return []

    async def _start(self, chunk: list[Numbered]) -> None:
        if chunk:
            await self._chunks.acquire()
            self._group.start_soon(self._judge, chunk)

    async def _judge(self, chunk: list[Numbered]) -> None:
        try:
            # Until somebody has taken the verdicts no others are made: a slow reader must not fill the memory.
            await self._send.send(await self._crew.judge_all(chunk))
        finally:
            self._chunks.release()

    async def _tell(self, number: int, verdict: Verdict) -> None:
        await self._send.send([Judged.of(number, verdict)])

    async def _reference(self, target: ReferenceTarget) -> None:
        from dhallmark.verify.reference import list_repository

        reference = target.reference
        if not reference.is_repository:
            self._expect(1)
            await self._start_reference(target, reference)
            return
        listed = await list_repository(reference, target.registries)
        if isinstance(listed, Verdict):
            self._expect(1)
            await self._tell(self._next(), listed)
            return
        self._expect(len(listed))
        for one in listed:
            await self._start_reference(target, one)

    async def _start_reference(self, target: ReferenceTarget, reference: Reference) -> None:
        await self._references.acquire()
        self._group.start_soon(self._judge_reference, self._next(), target, reference)

    async def _judge_reference(self, number: int, target: ReferenceTarget, reference: Reference) -> None:
        from dhallmark.verify.reference import judge_reference

        try:
            verdict = await judge_reference(
                await target.registries.of(reference),
                reference,
                self._crew.judge,
                subject_name=target.name,
                platform=target.platform,
                unpack=self._crew.needs_layer,
                formats=self._crew.formats,
            )
            await self._tell(number, verdict)
        finally:
            self._references.release()


def _whole_folder(target: FolderTarget) -> list[FileTarget | Verdict]:
    return list(read_folder(target.folder, name=target.name))
