"""Several things at once, with one error when one fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import anyio

_T = TypeVar("_T")


async def concurrently(work: Sequence[Callable[[], Awaitable[_T]]], *, limit: int | None = None) -> list[_T]:
    """Run all of `work`, at most `limit` at a time; returns the results in the order of `work`.

    The first failure cancels the rest and is raised by itself, not inside an exception group: callers and users meet
    the error that happened, and not how the work was spread.
    """
    results: dict[int, _T] = {}
    failures: list[Exception] = []
    slots = anyio.Semaphore(limit or max(len(work), 1))

    async def run(number: int, function: Callable[[], Awaitable[_T]]) -> None:
        async with slots:
            try:
                results[number] = await function()
            except Exception as error:  # noqa: BLE001 - raised again below, whatever it is.
                failures.append(error)
                group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        for number, function in enumerate(work):
            group.start_soon(run, number, function)
    if failures:
        raise failures[0]
    return [results[number] for number in range(len(work))]
