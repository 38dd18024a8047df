"""Verdicts put aside as they come, and read again in the order of their targets: in a file, not in memory."""

from __future__ import annotations

import tempfile
from array import array
from collections import Counter
from collections.abc import Iterator
from typing import Final

from dhallmark.errors import ExitCode
from dhallmark.reasons import Reason
from dhallmark.verdict import EXIT_CODES, Outcome, Verdict
from dhallmark.verify.judged import Judged, read_line

_IN_MEMORY: Final = 4 * 1024 * 1024
"""Bytes that are kept without a file."""
_BUFFER: Final = 256 * 1024
"""Bytes that are written to the file, and read from it, at once."""
_NOT_THERE: Final = 2**64 - 1


class Spool:
    """A sequence of verdicts, to be closed since it may be a file. Iterating makes each verdict anew."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY, buffering=_BUFFER)  # noqa: SIM115 - closed by `close`
        self._starts = array("Q")
        self._sizes = array("Q")
        self._accepted = bytearray()
        self._end = 0
        self._at_end = True
        """Where the file stands: to seek in vain would write its buffer out for each verdict."""
        self.outcomes: Counter[Outcome] = Counter()
        self.reasons: Counter[Reason] = Counter()
        """How often each was the reason of a verdict."""

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def add(self, judged: Judged) -> None:
        """Put a verdict aside. Each number is added once, in any order."""
        while len(self._starts) <= judged.number:
            self._starts.append(_NOT_THERE)
            self._sizes.append(0)
            self._accepted.append(0)
        if not self._at_end:
            self._file.seek(self._end)
        self._at_end = False
        self._file.write(judged.line)
        self._at_end = True
        self._starts[judged.number] = self._end
        self._sizes[judged.number] = len(judged.line)
        self._accepted[judged.number] = judged.outcome is Outcome.ACCEPTED
        self._end += len(judged.line)
        self.outcomes[judged.outcome] += 1
        if judged.reason is not None:
            self.reasons[judged.reason] += 1

    def __len__(self) -> int:
        return self.outcomes.total()

    def lines(self) -> Iterator[bytes]:
        """Each verdict as compact JSON, in the order of the targets."""
        return map(self._line, self._numbers())

    def refused(self) -> Iterator[Verdict]:
        """The verdicts that are not `accepted`, in the order of the targets."""
        return (read_line(self._line(number)) for number in self._numbers() if not self._accepted[number])

    def __iter__(self) -> Iterator[Verdict]:
        return map(read_line, self.lines())

    def _numbers(self) -> Iterator[int]:
        return (number for number, start in enumerate(self._starts) if start != _NOT_THERE)

    def _line(self, number: int) -> bytes:
        self._at_end = False
        self._file.seek(self._starts[number])
        return self._file.read(self._sizes[number])

    @property
    def outcome(self) -> Outcome:
        """A rejection outweighs an indeterminate answer, which outweighs all acceptances; nothing is no success."""
        for outcome in (Outcome.REJECTED, Outcome.INDETERMINATE, Outcome.ACCEPTED):
            if self.outcomes[outcome]:
                return outcome
        return Outcome.INDETERMINATE

    @property
    def exit_code(self) -> ExitCode:
        return EXIT_CODES[self.outcome]
