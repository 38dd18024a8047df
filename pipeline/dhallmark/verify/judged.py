"""A verdict in the form in which thousands are passed between processes, kept and printed."""

from __future__ import annotations

from typing import NamedTuple

from dhallmark import strictjson
from dhallmark.reasons import Reason
from dhallmark.verdict import Outcome, Verdict


class Judged(NamedTuple):
    """One verdict of many. Its tree is made from `line` where it is asked for: most are only counted and printed.

    A tuple, since those pass between processes at a third of a dataclass's cost.
    """

    number: int
    """Its target's place among all targets, from 0."""
    outcome: Outcome
    reason: Reason | None
    line: bytes
    """The verdict as compact JSON, without a line feed."""

    @classmethod
    def of(cls, number: int, verdict: Verdict) -> Judged:
        """`verdict` on the target `number`."""
        line, outcome = verdict.told()
        return cls(number, outcome, verdict.reason_of(outcome), line.encode())

    @property
    def verdict(self) -> Verdict:
        """The whole tree."""
        return read_line(self.line)


def read_line(line: bytes) -> Verdict:
    """The verdict of a line."""
    return Verdict.from_json(strictjson.parse(line, what="verdict"))
