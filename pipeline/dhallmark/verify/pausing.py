"""Several verifications in step: all do the first step, then all the second, and so on.

A step runs some hundred kilobytes of machine code, mostly of libraries, and no two steps the same. One bundle after the
other finds the processor's caches full of the last step each time, which costs a quarter of the whole. In step, a step
finds them as its neighbour left them. Nothing else is shared: each verification has its own checks, and all of them.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import TypeVar

T = TypeVar("T")
Pausing = Generator[None, None, T]
"""Work that may be left for a while at each `yield`, and returns what came of it."""


def alone(work: Pausing[T]) -> T:
    """What `work` returns, without a pause."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            found: T = end.value
            return found


def in_step(works: Iterable[Pausing[T]]) -> list[T]:
    """What each of `works` returns, in their order. What one raises ends them all."""
    left = dict(enumerate(works))
    found: dict[int, T] = {}
    while left:
        for number, work in list(left.items()):
            try:
                next(work)
            except StopIteration as end:
                found[number] = end.value
                del left[number]
    return [found[number] for number in sorted(found)]
