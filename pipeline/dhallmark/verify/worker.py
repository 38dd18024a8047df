"""A process that gives verdicts: `python -P -m dhallmark.verify.worker`. See `dhallmark.verify.crew` for who runs it.

It reads frames from standard input and answers each on standard output: four bytes of length, big-endian, and a pickle
of that length. The first frame is the `Basis`, and is answered when it was read; each further one is a list of
`(number, item)` and is answered by the list of what was judged. It ends when its input does. Nothing here imports what
only a registry needs: a process that starts late is of no use.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import sys
from collections.abc import Sequence
from typing import Any, BinaryIO, Final

from dhallmark.lifetime import die_with_parent
from dhallmark.verify.basis import Basis, Item, verdicts_on
from dhallmark.verify.judge import Judge
from dhallmark.verify.judged import Judged

LENGTH_BYTES: Final = 4
_GENERATION: Final = 50_000
"""Containers made before the garbage collector looks for cycles: verdicts have none, and parsed JSON has many."""


def frame(value: object) -> bytes:
    """`value` as one frame."""
    content = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    return len(content).to_bytes(LENGTH_BYTES, "big") + content


def judge_all(items: Sequence[tuple[int, Item]], judge: Judge) -> list[Judged]:
    """The verdicts on numbered items."""
    verdicts = verdicts_on([item for _, item in items], judge)
    return [Judged.of(number, verdict) for (number, _), verdict in zip(items, verdicts, strict=True)]


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer every frame of `requests`."""
    basis = _read(requests)
    if not isinstance(basis, Basis):
        return
    judge = basis.judge()
    _answer(answers, None)
    answer_all(requests, answers, judge)


def answer_all(requests: BinaryIO, answers: BinaryIO, judge: Judge) -> None:
    """Answer every frame of numbered items."""
    gc.freeze()
    gc.set_threshold(_GENERATION)
    while (items := _read(requests)) is not None:
        _answer(answers, judge_all(items, judge))


def _answer(answers: BinaryIO, value: object) -> None:
    answers.write(frame(value))
    answers.flush()


def _read(requests: BinaryIO) -> Any:  # noqa: ANN401 - what our own parent sent
    """The value of the next frame; None at the end."""
    length = requests.read(LENGTH_BYTES)
    if len(length) < LENGTH_BYTES:
        return None
    content = requests.read(int.from_bytes(length, "big"))
    # From the parent alone, through a pipe that nobody else has.
    return pickle.loads(content)  # noqa: S301


def main() -> None:
    die_with_parent()
    # Ctrl-C goes to all processes of a terminal; the parent decides, and closes the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # Whatever a library may print must not get between the frames.
    os.dup2(2, 1)
    sys.stdin.close()
    try:
        serve(requests, answers)
    except BrokenPipeError:
        sys.exit(0)


if __name__ == "__main__":
    main()
