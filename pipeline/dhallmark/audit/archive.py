"""Two `.tar.gz` archives, and the ways of packing in which they differ.

Contents are read by `dhallmark.package.reader`, which refuses what two readers could take for two things. Only then
are headers looked at, for what says nothing of contents: each such way has a name, and what has none is a difference.

Source: RFC 1952 (gzip), RFC 1951 (deflate), POSIX.1-2017 pax.
"""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dhallmark.errors import FormatError
from dhallmark.package.reader import DEFAULT_LIMITS, read_archive

_EXTRA, _NAME, _COMMENT, _CRC = 4, 8, 16, 2
"""Flags of a gzip header."""
_FIXED: Final = 10
_STORED: Final = 0
"""Type of a deflate block that is not compressed: the second and third bit of its first byte."""


@dataclass(frozen=True, slots=True)
class Member:
    """What a tar header says beside name and contents."""

    name: str
    kind: str
    mode: int
    owner: tuple[int, int, str, str]
    """User and group: ids, then names."""
    mtime: float
    dialect: str
    """What kind of header it is: ustar, GNU, or with a pax header before it."""


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive, taken apart."""

    header: bytes
    """The gzip header."""
    compressed: bool
    """False for a stream of stored blocks."""
    stream: bytes
    """What follows the header."""
    tar: bytes
    members: tuple[Member, ...]
    """Every entry, folders among them, in order."""
    files: Mapping[str, bytes]
    """The regular files by name, without a leading `./`."""

    @classmethod
    def read(cls, content: bytes, *, what: str) -> Archive:
        """Take an archive apart. Raises FormatError for one that the strict reader refuses."""
        files = read_archive(content, what=what)
        length = _header_length(content, what=what)
        tar = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS).decompress(content, DEFAULT_LIMITS.expanded + 1)
        try:
            with tarfile.open(fileobj=io.BytesIO(tar), mode="r:") as opened:
                members = tuple(_member(item, tar) for item in opened)
        except (tarfile.TarError, ValueError, OSError) as error:
            raise FormatError(f"{what}: its headers cannot be read: {error}") from error
        return cls(
            header=content[:length],
            compressed=content[length] >> 1 & 3 != _STORED,
            stream=content[length:],
            tar=tar,
            members=members,
            files={name.removeprefix("./"): body for name, body in files.items()},
        )

    @property
    def names(self) -> list[str]:
        """The regular files in the order in which they stand."""
        return [member.name.removeprefix("./") for member in self.members if member.kind == "file"]


def _header_length(content: bytes, *, what: str) -> int:
    """Bytes of the gzip header; the reader has unpacked what follows it."""
    flags = content[3]
    end = _FIXED
    if flags & _EXTRA:
        end += 2 + int.from_bytes(content[end : end + 2], "little")
    for flag in (_NAME, _COMMENT):
        if flags & flag:
            end = content.index(b"\0", end) + 1
    if flags & _CRC:
        end += 2
    if end >= len(content):
        raise FormatError(f"{what}: the gzip header is cut off")
    return end


def _member(info: tarfile.TarInfo, tar: bytes) -> Member:
    magic = tar[info.offset + 257 : info.offset + 265]
    dialect = "pax" if info.pax_headers else "gnu" if magic == b"ustar  \0" else "ustar"
    return Member(
        name=info.name,
        kind="folder" if info.isdir() else "file",
        mode=info.mode,
        owner=(info.uid, info.gid, info.uname, info.gname),
        mtime=info.mtime,
        dialect=dialect,
    )


WAYS: Mapping[str, str] = {
    "gzip.header": "the gzip header: time, name, operating system",
    "gzip.compression": "how the tar stream is compressed",
    "tar.order": "the order of the files",
    "tar.folders": "whether folders have entries of their own",
    "tar.mtime": "the times of the files",
    "tar.owner": "user and group of the files",
    "tar.mode": "the mode bits of the files",
    "tar.names": "how a file's name is spelt: ./ before it",
    "tar.dialect": "the kind of the headers",
    "tar.padding": "the blocks at the end",
}
"""Every way in which two archives of the same contents may differ, and what it is."""


def packing_differences(one: Archive, other: Archive) -> tuple[str, ...]:
    """The names (keys of `WAYS`) of all ways in which they are packed differently; contents are not looked at."""
    found = [
        *(["gzip.header"] if one.header != other.header else []),
        # Of different tar streams the compressed bytes differ anyhow.
        *(["gzip.compression"] if _compression_differs(one, other) else []),
    ]
    if one.tar == other.tar:
        return tuple(found)
    common = set(one.files) & set(other.files)
    if [name for name in one.names if name in common] != [name for name in other.names if name in common]:
        found.append("tar.order")
    if _folders(one) != _folders(other):
        found.append("tar.folders")
    by_name = [_by_name(archive) for archive in (one, other)]
    for way, aspect in _ASPECTS.items():
        if any(aspect(by_name[0][name]) != aspect(by_name[1][name]) for name in common):
            found.append(way)
    if not [way for way in found if way.startswith("tar.")] and one.files == other.files:
        found.append("tar.padding")
    return tuple(found)


def _compression_differs(one: Archive, other: Archive) -> bool:
    return one.stream != other.stream if one.tar == other.tar else one.compressed != other.compressed


def _folders(archive: Archive) -> Sequence[Member]:
    return sorted((member for member in archive.members if member.kind == "folder"), key=lambda member: member.name)


def _by_name(archive: Archive) -> Mapping[str, Member]:
    return {member.name.removeprefix("./"): member for member in archive.members if member.kind == "file"}


_ASPECTS: Mapping[str, Callable[[Member], object]] = {
    "tar.mtime": lambda member: member.mtime,
    "tar.owner": lambda member: member.owner,
    "tar.mode": lambda member: member.mode,
    "tar.names": lambda member: member.name,
    "tar.dialect": lambda member: member.dialect,
}
