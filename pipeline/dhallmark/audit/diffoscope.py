"""What diffoscope found, read from its JSON: whether contents differ, or only how they are packed.

It takes an archive apart as a tree: what it says of the archive itself (`filetype from file(1)`, `file list`) stands
beside the files in it. Source: diffoscope's `--json`, version 1, as of 240.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from dhallmark import strictjson
from dhallmark.errors import FormatError

_VERSION: Final = 1
_NOTHING: Final = "/dev/null"
"""Stands for the side that lacks a file (`--new-file`)."""
_ABOUT_ARCHIVES: Final = frozenset({"file list", "filetype from file(1)"})
_LOOKED_INSIDE: Final = "no file-specific differences were detected"
"""Of an archive whose contents are the same, and whose bytes it shows for want of anything else."""
_MAX_NAMED: Final = 5


class Differs(StrEnum):
    """What it is that differs between two archives."""

    NOTHING = "nothing"
    PACKING = "packing"
    CONTENTS = "contents"
    UNREADABLE = "unreadable"
    """One of them cannot be unpacked."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What diffoscope found in two archives."""

    differs: Differs
    files: tuple[str, ...] = ()
    """Those whose contents differ, by their names in the archive."""

    @classmethod
    def read(cls, content: bytes) -> Seen:
        """Read what `--json` wrote of two archives that differ. Raises FormatError for anything else."""
        body = strictjson.parse(content, what="diffoscope")
        if not isinstance(body, dict) or body.get("diffoscope-json-version") != _VERSION:
            raise FormatError("diffoscope: not the JSON of its version 1")
        files = tuple(dict.fromkeys(name for archive in _inside(body) for name in _names(archive)))
        if files:
            return cls(Differs.CONTENTS, files)
        comments = " ".join(str(one) for one in body.get("comments") or ())
        # Bytes of the archives themselves are compared where there was nothing to see in them, or no way in.
        if body.get("unified_diff") is not None and _LOOKED_INSIDE not in comments:
            return cls(Differs.UNREADABLE)
        return cls(Differs.PACKING)

    @property
    def headline(self) -> str:
        """It in a line."""
        if self.differs is Differs.CONTENTS:
            left = len(self.files) - _MAX_NAMED
            return f"other contents: {', '.join(self.files[:_MAX_NAMED])}" + (f" and {left} more" if left > 0 else "")
        return {
            Differs.NOTHING: "the archives are the same, byte for byte",
            Differs.PACKING: "the same contents, packed differently",
            Differs.UNREADABLE: "the bytes differ, and one of the archives cannot be unpacked",
        }[self.differs]


def _inside(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What it took out of `node`, beside what it says about it."""
    for one in node.get("details") or ():
        if isinstance(one, dict) and one.get("source1") not in _ABOUT_ARCHIVES:
            yield one


def _names(archive: Mapping[str, Any]) -> Iterator[str]:
    for member in _inside(archive):
        sides = [str(member.get(side, "")) for side in ("source1", "source2")]
        yield sides[1] if sides[0] == _NOTHING else sides[0]
