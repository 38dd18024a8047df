"""Ids of the catalogue that are no mutants of an artifact, and the command that proves each.

They are about how a repository configures its consumers, or about what a rebuild finds. What proves them is tested
beside it; here they stand so that whoever reads the catalogue finds all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LINT: Final = "gitops lint"
AUDIT: Final = "audit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """An id that another command proves."""

    id: str
    title: str
    """What is wrong, in a few words."""
    command: str
    """The command of dhallmark that finds it."""


ELSEWHERE: Final[tuple[Elsewhere, ...]] = tuple(
    Elsewhere(id=name, title=title, command=command)
    for command, titles in {
        LINT: {
            "G1": "a source without `verify`",
            "G2": "a `verify` with two matchers",
            "G3": "a `verify` under a key that is not read",
            "G4": "a patch that misses its target, or is undone by a later one",
            "G5": "a second source of the same URL",
            "G8": "unknown keys, keys that stand twice, files that are no YAML",
            "G9": "a tag where a digest is needed",
            "G10": "another provider than cosign, or a blank one",
        },
        AUDIT: {
            "B1": "a rebuild that differs by one byte",
            "B2": "a rebuild that differs in the time of a file, or in the header of gzip alone",
            "B3": "a material that is missing from the record",
            "B4": "a tool of another version than recorded",
            "B5": "a rebuild that tries the network",
        },
    }.items()
    for name, title in titles.items()
)
