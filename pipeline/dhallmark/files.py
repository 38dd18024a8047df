"""Files that are either whole or absent: write under a temporary name, flush, rename."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_atomic(path: Path, content: bytes | str, *, mode: int = 0o644) -> None:
    """Write `content` to `path` so that a reader sees the old file or the new one, never a part.

    The mode is set whatever the umask is. Text is UTF-8. Raises OSError; the old file then stands unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
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
