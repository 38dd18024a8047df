"""All sources that a plan's entries lead to, checked before Dhall reads any of them.

Refused here, with file, line and column: an import that leaves the project (by `..`, an absolute path, `~`, or a
symlink), a remote import that is not frozen or carries headers, `env:`, `missing`.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dhallmark.digest import Digest
from dhallmark.errors import Location, RenderError
from dhallmark.render.sources import Mode, SourceImport, scan

MAX_SOURCE = 16 << 20
"""Bytes of the largest file that may be imported."""


@dataclass(frozen=True, slots=True, order=True)
class File:
    """A local file and the way it is imported."""

    path: str
    """Relative to the root, with `/`."""
    mode: Mode = "code"


@dataclass(frozen=True, slots=True)
class Discovery:
    """What the scan found, from all entries on."""

    files: Mapping[File, Digest]
    """Every file that the sources name and that exists, with the digest of its bytes."""
    imports: Mapping[str, tuple[SourceImport, ...]]
    """Path of each source to its imports."""

    def remotes(self) -> list[tuple[str, SourceImport]]:
        """The remote imports that Dhall may fetch, each with the path of the source that holds it."""
        return [
            (path, item)
            for path, items in sorted(self.imports.items())
            for item in items
            if item.kind == "remote" and item.mode != "location"
        ]

    def has_alternatives(self) -> bool:
        """True where some import may fail and Dhall goes on: then not every file that is named takes part."""
        return any(item.has_alternative for items in self.imports.values() for item in items)

    def children(self, path: str) -> list[File]:
        """The existing files that the source at `path` imports."""
        found = (
            File(resolve_path(path, item), item.mode)
            for item in self.imports.get(path, ())
            if item.kind == "local" and item.mode != "location"
        )
        return sorted({file for file in found if file in self.files})


def discover(entries: Iterable[str], *, root: Path) -> Discovery:
    """Scan from `entries` (paths relative to `root`). Raises RenderError."""
    real_root = Path(os.path.realpath(root))
    files: dict[File, Digest] = {}
    imports: dict[str, tuple[SourceImport, ...]] = {}
    pending: list[tuple[File, Location | None, bool]] = [(File(entry), None, False) for entry in sorted(set(entries))]
    while pending:
        file, where, optional = pending.pop()
        if file in files:
            continue
        content = _read(file.path, real_root, where, optional=optional)
        if content is None:
            continue
        files[file] = Digest.of(content)
        if file.mode != "code":
            continue
        found = scan(_text(content, file.path)).imports
        imports[file.path] = found
        for item in found:
            position = Location(file=file.path, line=item.line, column=item.column)
            _check(item, position)
            if item.kind == "local" and item.mode != "location":
                # A file that is not there is Dhall's to report, unless an alternative follows.
                pending.append((File(resolve_path(file.path, item, position), item.mode), position, True))
    return Discovery(files, imports)


def resolve_path(source: str, item: SourceImport, where: Location | None = None) -> str:
    """The path, relative to the root, that a local import in `source` means. Raises RenderError."""
    head = item.target.split("/", 1)[0]
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), item.target))
    if head not in (".", "..") or path == ".." or path.startswith("../"):
        raise RenderError(
            f"the import {item.target} leaves the project",
            where=where,
            hint="move the file into the project: a release is made of nothing outside it",
        )
    return path


def _check(item: SourceImport, where: Location) -> None:
    if item.kind == "environment":
        raise RenderError(
            f"an import from the environment: {item.target}",
            where=where,
            hint="a release may not depend on the environment; pass values by a file",
        )
    if item.kind == "missing":
        raise RenderError(
            "the import `missing`, which never resolves", where=where, hint="take it out, with its alternative"
        )
    if item.kind == "remote" and item.mode != "location":
        if item.headers:
            raise RenderError(
                f"a remote import with request headers: {item.target}",
                where=where,
                hint="headers hold secrets; seed the cache with the package's entry instead",
            )
        if item.digest is None:
            raise RenderError(
                f"a remote import that is not frozen: {item.target}",
                where=where,
                hint=f"run `dhall freeze {where.file}`, so that a sha256: fixes what it yields",
            )


def _read(path: str, root: Path, where: Location | None, *, optional: bool) -> bytes | None:
    """The bytes of a file inside the root; None where it is not there and `optional`."""
    file = root / path
    real = Path(os.path.realpath(file))
    if not real.is_relative_to(root):
        raise RenderError(
            f"{path} is a symlink that leaves the project",
            where=where or Location(file=path),
            hint="put a copy of the file into the project",
        )
    if not real.is_file():
        if optional:
            return None
        raise RenderError(f"no such file: {path}", where=Location(file=path), hint="check the path in dhallmark.yaml")
    try:
        with real.open("rb") as source:
            content = source.read(MAX_SOURCE + 1)
    except OSError as error:
        raise RenderError(f"{path}: {error.strerror}", where=where or Location(file=path)) from error
    if len(content) > MAX_SOURCE:
        raise RenderError(f"{path} is larger than {MAX_SOURCE >> 20} MiB", where=where or Location(file=path))
    return content


def _text(content: bytes, path: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        raise RenderError(
            "not UTF-8", where=Location(file=path, line=line, column=column), hint="Dhall sources are UTF-8"
        ) from error
