"""Files that are either whole or absent: write under a temporary name, flush, rename.

And files that others wrote, read without waiting for a pipe or filling the memory.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dhallmark.digest import Digest
from dhallmark.errors import InputError, Location

_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
"""Opening a named pipe that nobody writes to waits forever without the last."""
_PIECE = 1024 * 1024
_LEAST_PIECE = 4096


class UnreadableFileError(InputError):
    """A file cannot be read, or is not one."""


def read_regular(path: Path | str, *, max_bytes: int) -> bytes:
    """The bytes of a regular file of at most `max_bytes`; links are followed. Raises UnreadableFileError."""
    return b"".join(_pieces(path, max_bytes=max_bytes))


def digest_regular(
    path: Path | str, *, max_bytes: int, keep: int = 0, stopped: Callable[[], bool] = lambda: False
) -> tuple[Digest, bytes | None]:
    """The digest of a regular file of at most `max_bytes`, read in pieces; and its bytes, if they are at most `keep`.

    `stopped` is asked before each piece: where it says so, there is no digest, and UnreadableFileError is raised. So it
    is for what cannot be read.
    """
    found = hashlib.sha256()
    kept: list[bytes] | None = []
    size = 0
    for piece in _pieces(path, max_bytes=max_bytes):
        if stopped():
            raise UnreadableFileError("reading was stopped", where=Location(file=str(path)))
        found.update(piece)
        size += len(piece)
        if size > keep:
            kept = None
        elif kept is not None:
            kept.append(piece)
    return Digest.from_hex(found.hexdigest()), None if kept is None else b"".join(kept)


def _pieces(path: Path | str, *, max_bytes: int) -> Iterator[bytes]:
    """The bytes of a regular file. By plain calls of the system: thousands of small files are read one by one."""
    try:
        descriptor = os.open(path, _OPEN)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise UnreadableFileError("not a regular file", where=Location(file=str(path)))
            if status.st_size > max_bytes:
                message = f"{status.st_size} bytes; at most {max_bytes} are read"
                raise UnreadableFileError(message, where=Location(file=str(path)))
            left = max_bytes
            piece_size = max(_LEAST_PIECE, min(status.st_size + 1, _PIECE))
            while piece := os.read(descriptor, piece_size):
                # A file may grow meanwhile, and one that says nothing of its size may be endless.
                left -= len(piece)
                if left < 0:
                    raise UnreadableFileError(f"more than {max_bytes} bytes", where=Location(file=str(path)))
                yield piece
                if len(piece) == status.st_size < piece_size:
                    break  # More was asked for and this is all: no need to ask again.
        finally:
            os.close(descriptor)
    except OSError as error:
        raise UnreadableFileError(error.strerror or "cannot be read", where=Location(file=str(path))) from error
    except ValueError as error:  # a path with a null character
        raise UnreadableFileError(f"cannot be read: {error}", where=Location(file=str(path))) from error


def write_atomic(path: Path, content: bytes | str | Iterable[bytes], *, mode: int = 0o644) -> None:
    """Write `content` to `path` so that a reader sees the old file or the new one, never a part.

    Pieces are written as they come. The mode is set whatever the umask is. Text is UTF-8. Raises OSError, and what
    making a piece raises; the old file then stands unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        content = content.encode()
    pieces = [content] if isinstance(content, bytes) else content
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_if_changed(path: Path, content: bytes | str, *, mode: int = 0o644) -> bool:
    """Like `write_atomic`, but leave a file that already holds `content` alone. True where it wrote."""
    data = content.encode() if isinstance(content, str) else content
    try:
        if path.read_bytes() == data:
            return False
    except FileNotFoundError:
        pass
    write_atomic(path, data, mode=mode)
    return True


def write_new(path: Path, content: bytes | str, *, mode: int = 0o644) -> None:
    """Write a file that nobody reads yet, inside a directory that `directory_atomic` puts in place as a whole.

    The mode is set whatever the umask is. Text is UTF-8. Raises OSError, FileExistsError among them.
    """
    try:
        file = path.open("xb")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("xb")
    with file:
        os.fchmod(file.fileno(), mode)
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def directory_atomic(path: Path) -> Iterator[Path]:
    """Yield an empty directory beside `path`; on success it takes the place of `path`, on failure it is gone.

    Where `path` exists it is moved aside first and removed last, so a killed process leaves the old tree or the
    new one under `path`, or the old one beside it under a name that starts with a dot.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.new-", dir=path.parent))
    temporary.chmod(0o755)
    try:
        yield temporary
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    if path.exists():
        aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.old-", dir=path.parent))
        # On an overlay file system a directory of a lower layer cannot be renamed (EXDEV); it is copied then.
        shutil.move(path, aside / path.name)
        temporary.rename(path)
        shutil.rmtree(aside)
    else:
        temporary.rename(path)
