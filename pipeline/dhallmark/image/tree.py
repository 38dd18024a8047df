"""A file tree as values: what goes into a layer, without a file system in between.

A file system would bring its own owners, times and order; a tree has exactly what packages say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dhallmark.errors import FormatError


@dataclass(frozen=True, slots=True)
class Slice:
    """Bytes inside a file: a tree of hundreds of megabytes stays on disk."""

    path: Path
    offset: int
    size: int


Content = Slice | bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Anything that has a path. Paths are relative to the root, with `/`."""

    path: str
    uid: int = 0
    gid: int = 0
    mtime: int
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory(Entry):
    mode: int = 0o755


@dataclass(frozen=True, slots=True, kw_only=True)
class File(Entry):
    content: Content
    mode: int = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class Symlink(Entry):
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HardLink(Entry):
    target: str
    """Path of a file in the same tree."""


def clean_path(text: str) -> str:
    """`usr/bin/env` for `./usr/bin/env`; empty for the root. Raises FormatError where a path leaves the root."""
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise FormatError(f"a path that leaves the root: {text[:200]!r}")
    return "/".join(parts)


def size_of(content: Content) -> int:
    return len(content) if isinstance(content, bytes) else content.size


def read(content: Content) -> bytes:
    """The bytes of `content`."""
    if isinstance(content, bytes):
        return content
    with content.path.open("rb") as file:
        file.seek(content.offset)
        return file.read(content.size)


class Tree:
    """Entries by path. Adding the same directory twice is fine; any other clash is an error."""

    def __init__(self, *, epoch: int) -> None:
        self._entries: dict[str, Entry] = {}
        self._epoch = epoch
        """No entry is later than this."""

    def add(self, entry: Entry) -> None:
        """Add one entry. Raises FormatError where another stands there."""
        entry = replace(entry, mtime=min(entry.mtime, self._epoch))
        before = self._entries.get(entry.path)
        if before is not None:
            if isinstance(before, Directory) and isinstance(entry, Directory):
                return
            raise FormatError(f"two packages have the file {entry.path}")
        self._entries[entry.path] = entry

    def add_all(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self.add(entry)

    def file(self, path: str, content: Content, *, mode: int = 0o644) -> None:
        """Add a file of the image's own, dated as late as any."""
        self.add(File(path=path, content=content, mode=mode, mtime=self._epoch))

    def symlink(self, path: str, target: str) -> None:
        """Add a link of the image's own."""
        self.add(Symlink(path=path, target=target, mtime=self._epoch))

    def read(self, path: str) -> bytes:
        """The bytes of the file at `path`. Raises FormatError where there is none."""
        entry = self._entries.get(path)
        if not isinstance(entry, File):
            raise FormatError(f"the image has no file {path}")
        return read(entry.content)

    def under(self, folder: str) -> Iterator[Entry]:
        """The entries below `folder`, sorted by path."""
        return (entry for path, entry in sorted(self._entries.items()) if path.startswith(folder + "/"))

    def entries(self) -> list[Entry]:
        """All entries sorted by path, parents made up where missing; the first of linked files holds the content."""
        complete = dict(self._entries)
        for path in self._entries:
            parts = path.split("/")
            for depth in range(1, len(parts)):
                parent = "/".join(parts[:depth])
                complete.setdefault(parent, Directory(path=parent, mtime=self._epoch))
        return [entry for _, entry in sorted(_first_holds_content(complete).items())]


def _first_holds_content(entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """Give the content to the first path: in a tar archive a hard link comes after its file, and ours are sorted."""
    groups: dict[str, list[str]] = {}
    for path, entry in entries.items():
        if isinstance(entry, HardLink):
            if not isinstance(entries.get(entry.target), File):
                raise FormatError(f"{path}: a hard link to {entry.target}, which is no file of the image")
            groups.setdefault(entry.target, [entry.target]).append(path)
    result = dict(entries)
    for target, paths in groups.items():
        file = entries[target]
        first, *others = sorted(paths)
        result[first] = replace(file, path=first)
        for path in others:
            result[path] = HardLink(path=path, target=first, uid=file.uid, gid=file.gid, mtime=file.mtime)
    return result
