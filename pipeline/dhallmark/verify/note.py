"""Checkpoints: what a log signs of its tree, as a signed note.

Source: C2SP signed-note and tlog-checkpoint.
"""

from __future__ import annotations

import re
from collections.abc import Container
from typing import NamedTuple

from dhallmark.errors import FormatError
from dhallmark.verify.protojson import decode_base64

HINT_BYTES = 4
"""What a signature line says of its key: the first bytes of the key's id."""
_MAX_BYTES = 64 * 1024
_MAX_LINES = 64
_LINE = re.compile("\u2014 (?P<name>[^\\s+]+) (?P<signature>[A-Za-z0-9+/]+={0,2})\n")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_ROOT_BYTES = 32
_HEADER_LINES = 3


class Line(NamedTuple):
    """A signature on a note. Who made it is what its maker says."""

    name: str
    hint: bytes
    signature: bytes


class Checkpoint(NamedTuple):
    """A checkpoint whose signatures are not verified yet."""

    text: bytes
    """The bytes that are signed."""
    origin: str
    """Which log it is of."""
    size: int
    root: bytes
    lines: tuple[Line, ...]

    @classmethod
    def parse(cls, envelope: str) -> Checkpoint:
        """Read a signed note that is a checkpoint. Raises FormatError for any other text."""
        if len(envelope) > _MAX_BYTES:
            raise FormatError(f"a checkpoint of {len(envelope)} characters")
        text, separator, signatures = envelope.rpartition("\n\n")
        header = text.split("\n")
        if not separator or not all(header):
            raise FormatError("a checkpoint needs one blank line, before its signatures")
        if len(header) < _HEADER_LINES:
            raise FormatError("a checkpoint begins with its origin, its size and its root hash")
        if not _SIZE.fullmatch(header[1]):
            raise FormatError(f"a checkpoint of the size {header[1][:40]!r}")
        try:
            root = decode_base64(header[2])
        except ValueError as error:
            raise FormatError("the root hash of a checkpoint is not base64") from error
        if len(root) != _ROOT_BYTES:
            raise FormatError(f"the root hash of a checkpoint has {len(root)} bytes")
        return cls(
            text=f"{text}\n".encode(), origin=header[0], size=int(header[1]), root=root, lines=_lines(signatures)
        )

    def signed_by(self, hints: Container[bytes], names: Container[str]) -> Line | None:
        """The first signature under one of `names` whose key's hint is one of `hints`, or else the first with the hint.

        Those of others, such as witnesses, do not count: name and hint together name a key.
        """
        hinted = [line for line in self.lines if line.hint in hints]
        return next((line for line in hinted if line.name in names), hinted[0] if hinted else None)


def _lines(text: str) -> tuple[Line, ...]:
    found: list[Line] = []
    position = 0
    while position < len(text):
        match = _LINE.match(text, position)
        if match is None or len(found) == _MAX_LINES:
            raise FormatError(f"a signature of a checkpoint is malformed, or there are more than {_MAX_LINES}")
        try:
            content = decode_base64(match["signature"])
        except ValueError as error:
            raise FormatError("a signature of a checkpoint is not base64") from error
        if len(content) <= HINT_BYTES:
            raise FormatError("a signature of a checkpoint is too short")
        found.append(Line(match["name"], content[:HINT_BYTES], content[HINT_BYTES:]))
        position = match.end()
    if not found:
        raise FormatError("a checkpoint without a signature")
    return tuple(found)
