"""Archives whose bytes follow from their contents alone.

A `.tar.gz` usually depends on the clock, the user, the order of a folder and, less visibly, on the version of zlib:
zlib, zlib-ng and the libraries of other languages compress the same input to different bytes. So the deflate stream
here consists of stored blocks (RFC 1951, 3.2.4), which leave an encoder no choice. See docs/adr for what that costs.
"""

from __future__ import annotations

import hashlib
import os
import struct
import tarfile
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Final

from dhallmark.errors import FormatError
from dhallmark.package.paths import check_names

_STORED_BLOCK: Final = 65535
"""Longest stored block: its length is a 16-bit field."""
_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""RFC 1952: deflate, no name, no comment, no time, no level, system unknown."""
_CHUNK: Final = 1 << 20
_RECORD: Final = tarfile.RECORDSIZE
FILE_MODE: Final = 0o644
MAX_TIME: Final = 8**11 - 1
"""Latest time that fits a ustar header (year 2242)."""

Content = bytes | Path
"""A member's bytes, or the file that holds them."""


def write_archive(destination: Path, members: Mapping[str, Content], *, mtime: int) -> tuple[str, int]:
    """Write `members` (by name, with `/`) as a gzip-compressed tar to `destination`, atomically.

    Members are regular files, sorted by the bytes of their names, of mode 0644, owner 0:0 without names, all with
    the time `mtime` (seconds since 1970). Headers are ustar; a name that does not fit gets a pax header.
    Returns the archive's SHA-256 in hex and its size in bytes. Raises FormatError for names that are unsafe or
    collide, for an archive without members and for a time that does not fit; OSError where a file cannot be read.
    """
    if not members:
        raise FormatError(f"{destination.name}: nothing to put into the archive")
    if not 0 <= mtime <= MAX_TIME:
        raise FormatError(f"{destination.name}: the time {mtime} does not fit into a tar header")
    check_names(members, what=destination.name)
    destination.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{destination.name}.", dir=destination.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            stream = _StoredGzip(file)
            length = 0
            for member in sorted(members, key=os.fsencode):
                length += _write_member(stream, member, members[member], mtime=mtime)
            end = 2 * tarfile.BLOCKSIZE
            stream.write(bytes(end + -(length + end) % _RECORD))
            sha256, size = stream.finish()
            file.flush()
            os.fchmod(file.fileno(), FILE_MODE)
            os.fsync(file.fileno())
        temporary.replace(destination)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return sha256, size


def _write_member(stream: _StoredGzip, name: str, content: Content, *, mtime: int) -> int:
    """Write one member with its padding; returns how many bytes of tar it took."""
    info = tarfile.TarInfo(name)
    info.size = len(content) if isinstance(content, bytes) else content.stat().st_size
    info.mode = FILE_MODE
    info.mtime = mtime
    header = info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")
    stream.write(header)
    written = 0
    if isinstance(content, bytes):
        stream.write(content)
        written = len(content)
    else:
        with content.open("rb") as file:
            while chunk := file.read(_CHUNK):
                stream.write(chunk)
                written += len(chunk)
    if written != info.size:
        raise FormatError(f"{name}: changed while it was being packaged", hint="run the step again")
    padding = -written % tarfile.BLOCKSIZE
    stream.write(bytes(padding))
    return len(header) + written + padding


class _StoredGzip:
    """A gzip stream of stored blocks, each as long as it can be, that also hashes what it writes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._pending = bytearray()
        self._crc = 0
        self._length = 0
        self._hash = hashlib.sha256()
        self._size = 0
        self._emit(_HEADER)

    def write(self, data: bytes) -> None:
        self._crc = zlib.crc32(data, self._crc)
        self._length += len(data)
        self._pending += data
        # The last block carries a flag, so one full block is always held back.
        while len(self._pending) > _STORED_BLOCK:
            self._block(self._pending[:_STORED_BLOCK], final=False)
            del self._pending[:_STORED_BLOCK]

    def finish(self) -> tuple[str, int]:
        """Write what is left and the trailer; returns the stream's SHA-256 in hex and its size."""
        self._block(self._pending, final=True)
        self._emit(struct.pack("<II", self._crc, self._length & 0xFFFFFFFF))
        return self._hash.hexdigest(), self._size

    def _block(self, data: bytes | bytearray, *, final: bool) -> None:
        self._emit(struct.pack("<BHH", int(final), len(data), len(data) ^ 0xFFFF) + data)

    def _emit(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)
        self._size += len(data)
