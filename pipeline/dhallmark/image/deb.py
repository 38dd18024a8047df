"""Reading `.deb` archives: the control fields and the file tree.

Source: deb(5): an `ar` archive of `debian-binary`, `control.tar.*` and `data.tar.*`.
"""

from __future__ import annotations

import gzip
import io
import lzma
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from dhallmark.errors import FormatError
from dhallmark.image.tree import Directory, Entry, File, HardLink, Slice, Symlink, clean_path

_MAGIC = b"!<arch>\n"
_HEADER = 60
_MAX_CONTROL = 8 * 1024 * 1024


def read_control(deb: Path) -> dict[str, bytes]:
    """The files of the control archive, such as `control` and `md5sums`. Raises FormatError."""
    with deb.open("rb") as file, _member(file, "control.tar", deb) as content:
        data = content.read(_MAX_CONTROL + 1)
    if len(data) > _MAX_CONTROL:
        raise FormatError(f"{deb.name}: the control archive is larger than {_MAX_CONTROL} bytes")
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            if member.isfile() and (reader := archive.extractfile(member)) is not None:
                found[clean_path(member.name)] = reader.read()
    return found


def read_entries(deb: Path, *, scratch: Path) -> Iterator[Entry]:
    """The file tree of a package. Its decompressed data goes to `scratch`, which the entries point into.

    Raises FormatError for anything but directories, files and links, and for paths that leave the root.
    """
    with deb.open("rb") as file, _member(file, "data.tar", deb) as content, scratch.open("wb") as out:
        shutil.copyfileobj(content, out)
    with tarfile.open(scratch) as archive:
        for member in archive:
            path = clean_path(member.name)
            if not path:
                continue
            entry = _entry(member, path, scratch)
            if entry is None:
                raise FormatError(f"{deb.name}: {path} is a device or a pipe")
            yield entry


def _entry(member: tarfile.TarInfo, path: str, scratch: Path) -> Entry | None:
    owner, group, mtime, mode = member.uid, member.gid, int(member.mtime), member.mode & 0o7777
    if member.isdir():
        return Directory(path=path, uid=owner, gid=group, mtime=mtime, mode=mode)
    if member.isfile():
        content = Slice(scratch, member.offset_data, member.size)
        return File(path=path, uid=owner, gid=group, mtime=mtime, mode=mode, content=content)
    if member.issym():
        return Symlink(path=path, uid=owner, gid=group, mtime=mtime, target=member.linkname)
    if member.islnk():
        return HardLink(path=path, uid=owner, gid=group, mtime=mtime, target=clean_path(member.linkname))
    return None


def _member(file: IO[bytes], name: str, deb: Path) -> IO[bytes]:
    """The decompressed member whose name starts with `name`."""
    if file.read(len(_MAGIC)) != _MAGIC:
        raise FormatError(f"{deb.name}: not a Debian package")
    while len(header := file.read(_HEADER)) == _HEADER:
        found, size = header[:16].decode("ascii", "replace").rstrip(" /"), int(header[48:58])
        if found.startswith(name):
            content = io.BytesIO(file.read(size))
            if found.endswith(".xz"):
                return lzma.open(content)
            if found.endswith(".gz"):
                return gzip.open(content)  # type: ignore[return-value]  # A binary reader, whatever the stub says.
            if found == name:
                return content
            raise FormatError(f"{deb.name}: {found} has a compression that is not read here", hint="xz, gz or none")
        file.seek(size + size % 2, io.SEEK_CUR)
    raise FormatError(f"{deb.name}: no {name}")
