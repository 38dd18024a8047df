"""Reading archives that a stranger may have made (control H1).

The reader knows the few tar features that Helm, Flux and dhallmark write, and refuses the rest instead of guessing:
where two readers of one archive disagree, one of them is the verifier. Python's tarfile is not used here, since it
follows features (sparse maps, hard links, GNU and Solaris dialects) that no chart needs, and has looped on hostile
headers before (CVE-2025-8194).

Source: POSIX.1-2017 pax, "ustar Interchange Format" and "pax Header Block"; RFC 1952.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NoReturn

from dhallmark.errors import FormatError
from dhallmark.package.paths import check_name, check_names

_BLOCK: Final = 512
_MAGIC: Final = {b"ustar\x0000", b"ustar  \x00"}
"""POSIX, and GNU where it uses no extension."""
_FILE_TYPES: Final = {b"0", b"\0"}
_FOLDER: Final = b"5"
_PAX: Final = b"x"
_PAX_GLOBAL: Final = b"g"
_REFUSED: Final = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a character device",
    b"4": "a block device",
    b"6": "a named pipe",
}
_PAX_IGNORED: Final = {"mtime", "atime", "ctime", "comment", "uid", "gid", "uname", "gname", "charset"}
"""Keys that say nothing of names and contents."""
_MAX_PAX: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much an archive may hold."""

    compressed: int = 128 * 1024 * 1024
    """Bytes."""
    expanded: int = 100 * 1024 * 1024
    """Bytes, tar headers included; Helm's own limit."""
    members: int = 10_000


DEFAULT_LIMITS: Final = Limits()


def read_archive(content: bytes, *, what: str, limits: Limits = DEFAULT_LIMITS) -> dict[str, bytes]:
    """The regular files of a `.tar.gz`, by name.

    Folders are checked and left out. Raises FormatError, and nothing else, for anything that is not one gzip stream
    holding one tar of regular files with safe, distinct names, or that is larger than `limits`.
    """
    return _Tar(_gunzip(content, what=what, limits=limits), what=what, limits=limits).read()


def _gunzip(content: bytes, *, what: str, limits: Limits) -> bytes:
    if len(content) > limits.compressed:
        raise FormatError(f"{what}: {len(content)} bytes is more than the {limits.compressed} allowed")
    stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        data = stream.decompress(content, limits.expanded + 1)
    except zlib.error as error:
        raise FormatError(f"{what}: not gzip: {error}") from error
    if len(data) > limits.expanded:
        raise FormatError(f"{what}: expands to more than {limits.expanded} bytes")
    if not stream.eof:
        raise FormatError(f"{what}: the gzip stream is cut off")
    if stream.unused_data:
        raise FormatError(f"{what}: something follows the gzip stream")
    return data


class _Tar:
    def __init__(self, data: bytes, *, what: str, limits: Limits) -> None:
        self._data = data
        self._what = what
        self._limits = limits
        self._offset = 0

    def read(self) -> dict[str, bytes]:
        files: dict[str, bytes] = {}
        folders: set[str] = set()
        for kind, name, body in self._members():
            if kind in _FILE_TYPES:
                if name in files:
                    self._refuse(f"the file name {name!a} stands twice")
                files[name] = body
            elif kind == _FOLDER and not body:
                folder = name.removesuffix("/").removeprefix("./")
                if folder not in {"", "."}:
                    check_name(folder, what=self._what)
                    folders.add(folder)
            else:
                self._refuse(f"{name!a} is {_REFUSED.get(kind, 'no regular file')}")
        if folders & files.keys():
            self._refuse(f"{min(folders & files.keys())!a} is a file and a folder at once")
        check_names(files, what=self._what)
        return files

    def _members(self) -> Iterator[tuple[bytes, str, bytes]]:
        """Type flag, name and content of each member; pax headers are taken in."""
        count = 0
        pax: dict[str, str] | None = None
        while (header := self._next_header()) is not None:
            count += 1
            if count > self._limits.members:
                self._refuse(f"more than {self._limits.members} members")
            kind = header[156:157]
            body = self._take(self._number(header[124:136], "size"), "a member")
            if any(self._take(-len(body) % _BLOCK, "padding")):
                self._refuse("padding that is not zero")
            if kind == _PAX:
                if pax is not None:
                    self._refuse("a pax header after a pax header")
                pax = self._pax(body)
            elif kind == _PAX_GLOBAL:
                if "path" in self._pax(body):
                    self._refuse("a global pax header that names files")
            else:
                yield kind, (pax or {}).get("path") or self._name(header), body
                pax = None
        if pax is not None:
            self._refuse("it ends with a pax header")

    def _next_header(self) -> bytes | None:
        """The next header block, or None at the end; after the end only zeros may follow."""
        header = self._take(_BLOCK, "a header")
        if not any(header):
            rest = len(self._data) - self._offset
            if self._data.count(0, self._offset) != rest:
                self._refuse("something follows its end")
            if rest < _BLOCK:
                self._refuse("its end is cut off")
            return None
        if header[257:265] not in _MAGIC:
            self._refuse("not a ustar archive")
        expected = sum(header[:148]) + sum(header[156:]) + 8 * ord(" ")
        if self._number(header[148:156], "checksum") != expected:
            self._refuse("a header with a wrong checksum")
        return header

    def _take(self, count: int, what: str) -> bytes:
        if count > len(self._data) - self._offset:
            self._refuse(f"{what} is cut off")
        taken = self._data[self._offset : self._offset + count]
        self._offset += count
        return taken

    def _number(self, field: bytes, what: str) -> int:
        # Base-256 numbers (first bit set) would only be needed for members of 8 GiB.
        digits = field.strip(b" \0")
        if digits.strip(b"01234567"):
            self._refuse(f"a {what} that is no octal number")
        return int(digits, 8) if digits else 0

    def _name(self, header: bytes) -> str:
        name = self._text(header[0:100])
        prefix = self._text(header[345:500]) if header[257:265] == b"ustar\x0000" else ""
        return f"{prefix}/{name}" if prefix else name

    def _text(self, field: bytes) -> str:
        text, _, rest = field.partition(b"\0")
        if any(rest):
            self._refuse("a name with something after its end")
        return self._decode(text)

    def _pax(self, body: bytes) -> dict[str, str]:
        """The records of a pax header: `<length> <key>=<value>\\n` each."""
        if len(body) > _MAX_PAX:
            self._refuse("a pax header that is too long")
        records: dict[str, str] = {}
        while body:
            digits, space, _ = body.partition(b" ")
            if not space or not digits.isdigit() or len(digits) > len(str(_MAX_PAX)):
                self._refuse("a malformed pax header")
            length = int(digits)
            if length > len(body):
                self._refuse("a malformed pax header")
            record, body = body[len(digits) + 1 : length], body[length:]
            key, equals, value = self._decode(record).removesuffix("\n").partition("=")
            if not equals or not record.endswith(b"\n"):
                self._refuse("a malformed pax header")
            if key in records:
                self._refuse(f"the pax key {key!a} twice")
            if key != "path" and key not in _PAX_IGNORED:
                self._refuse(f"the pax key {key!a}, which may change what the archive holds")
            records[key] = value
        if records.get("path") == "":
            self._refuse("a pax header with an empty path")
        return records

    def _decode(self, data: bytes) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise FormatError(f"{self._what}: a name that is not UTF-8") from error

    def _refuse(self, problem: str) -> NoReturn:
        raise FormatError(f"{self._what}: refused: {problem}")
