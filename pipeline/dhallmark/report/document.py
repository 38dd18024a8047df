"""The one model behind every report format: what was judged, what was found, and what to do about it.

Verdicts and runs of controls become a `Document`; each format is a function from a `Document` to bytes, which adds
nothing and leaves out only what it has no place for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from rich.console import RenderableType

from dhallmark.verdict import Outcome


class Level(StrEnum):
    """How much an entry matters."""

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """Nothing may be concluded: it blocks like a failure and says something else."""
    NOTE = "note"
    """Worth knowing, and neither a pass nor a failure: a known hole, something that does not count."""

    @classmethod
    def of(cls, outcome: Outcome) -> Level:
        return _LEVELS[outcome]


_LEVELS = {Outcome.ACCEPTED: Level.PASSED, Outcome.REJECTED: Level.FAILED, Outcome.INDETERMINATE: Level.UNKNOWN}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is behind the code of a finding."""

    summary: str
    """One sentence: what it means."""
    remedy: str = ""
    """What to do about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that was judged, with its parts."""

    name: str
    """A reference by digest, a file, a check, a consumer."""
    level: Level
    said: str
    """What was said of it in a word, such as `rejected(identity.issuer-mismatch)`."""
    rule: str = ""
    """Code of the finding, a key of `Document.rules`; empty where there is none."""
    message: str = ""
    """What was seen, in a sentence."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What was seen, by name."""
    file: str = ""
    """File that the finding is in, for formats that point into files; empty where it is not about one."""
    line: int | None = None
    """Line in that file, from 1."""
    parts: tuple[Entry, ...] = ()

    def leaves(self) -> Iterator[Entry]:
        """The entries without parts, this one where it has none."""
        if not self.parts:
            yield self
        for part in self.parts:
            yield from part.leaves()

    def findings(self) -> Iterator[Entry]:
        """The leaves that did not pass."""
        return (leaf for leaf in self.leaves() if leaf.level is not Level.PASSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A whole report."""

    kind: str
    """What was judged, in one word: `verify`, `controls`."""
    title: str
    level: Level
    said: str
    """The overall answer in a word, such as `accepted`."""
    summary: str
    """The overall answer in a sentence."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What it was judged by: policy, trust root, versions."""
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What must be read besides the entries: sentences, by their heading."""
    entries: tuple[Entry, ...] = ()
    columns: tuple[str, ...] = ()
    """Where not empty, the report is a matrix: an entry is a row, and its parts are cells, named after columns."""
    rules: Mapping[str, Rule] = field(default_factory=dict)
    """The codes that entries have, explained."""
    file: str = ""
    """The file that stands behind findings without a file of their own: the policy."""
    data: Mapping[str, object] = field(default_factory=dict)
    """The JSON document, in a schema of its own."""
    text: RenderableType = ""
    """For a terminal."""

    def cases(self) -> Iterator[tuple[Entry, Entry]]:
        """What is counted, each with its row: cells of a matrix, entries otherwise."""
        for entry in self.entries:
            for case in entry.parts if self.columns else (entry,):
                yield entry, case

    def count(self, level: Level) -> int:
        """How many cases have this level."""
        return sum(case.level is level for _, case in self.cases())


def printable(text: str) -> str:
    """`text` with every character that could steer a terminal, or that XML 1.0 cannot hold, spelled out.

    Names of files and words of consumers are written by others; a report is read by people who decide.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape", "backslashreplace").decode() for c in text
    )
