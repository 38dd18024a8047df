"""Layers: a folder as a tar archive whose bytes depend on nothing but the folder's content.

Entries are sorted; times are cut off at the epoch of the distribution's release; owners are numbers; names of
users, device nodes and sockets are left out.
"""

import hashlib
import os
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

WHITEOUT = ".wh."
"""Prefix of a file that hides its namesake in the layers below (OCI image specification, layer.md)."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What makes two versions of a path equal."""

    mode: int
    owner: tuple[int, int]
    content: str
    """SHA-256 of a file, target of a link, empty for a folder."""


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def walk(root: Path) -> Iterator[tuple[str, Path, os.stat_result]]:
    """Yield relative name, path and status of everything below `root` that belongs in a layer, sorted by name.

    Mount points that hold other file systems on a running machine (dev, proc, sys) stay empty folders.
    """

    def below(folder: Path, prefix: str) -> Iterator[tuple[str, Path, os.stat_result]]:
        for path in sorted(folder.iterdir()):
            name = path.name
            status = path.lstat()
            kind = stat.S_IFMT(status.st_mode)
            if kind not in {stat.S_IFDIR, stat.S_IFREG, stat.S_IFLNK}:
                continue
            yield prefix + name, path, status
            if kind == stat.S_IFDIR and prefix + name not in {"dev", "proc", "sys"}:
                yield from below(path, f"{prefix}{name}/")

    yield from below(root, "")


def index(root: Path) -> dict[str, Entry]:
    """Describe a folder, to tell later what changed in it."""
    return {name: _entry(path, status) for name, path, status in walk(root)}


def _entry(path: Path, status: os.stat_result) -> Entry:
    if stat.S_ISLNK(status.st_mode):
        content = str(path.readlink())
    else:
        content = _digest(path) if stat.S_ISREG(status.st_mode) else ""
    return Entry(mode=status.st_mode, owner=(status.st_uid, status.st_gid), content=content)


def write_layer(root: Path, target: Path, *, epoch: int, below: dict[str, Entry] | None = None) -> None:
    """Write the folder `root` as a layer; with `below`, only what differs from that index, and whiteouts.

    A time after `epoch` (seconds) becomes `epoch`, so that it does not matter when the files were unpacked.
    """
    base = below or {}
    present: set[str] = set()
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, path, status in walk(root):
            present.add(name)
            if name in base and base[name] == _entry(path, status):
                continue
            _add(archive, name, path, status, epoch=epoch)
        gone = sorted(set(base) - present)
        hidden: set[str] = set()
        for name in gone:
            parent, _, leaf = name.rpartition("/")
            if parent in hidden:
                hidden.add(name)
                continue
            hidden.add(name)
            info = tarfile.TarInfo(f"{parent}/{WHITEOUT}{leaf}" if parent else f"{WHITEOUT}{leaf}")
            info.mtime = epoch
            info.mode = 0o600
            archive.addfile(info)


def _add(archive: tarfile.TarFile, name: str, path: Path, status: os.stat_result, *, epoch: int) -> None:
    info = tarfile.TarInfo(name)
    info.mode = stat.S_IMODE(status.st_mode)
    info.uid, info.gid = status.st_uid, status.st_gid
    info.mtime = min(int(status.st_mtime), epoch)
    if stat.S_ISDIR(status.st_mode):
        # A folder's time says when a file in it was last made: nothing of its own.
        info.type, info.mtime = tarfile.DIRTYPE, epoch
        archive.addfile(info)
    elif stat.S_ISLNK(status.st_mode):
        info.type, info.linkname, info.mtime = tarfile.SYMTYPE, str(path.readlink()), epoch
        archive.addfile(info)
    else:
        info.size = status.st_size
        with path.open("rb") as stream:
            archive.addfile(info, stream)
