"""The cache folder: keyed results, built once, visible only when complete.

A result lives in `<root>/store/<name>/<key>`. It is built under a temporary name beside its place and renamed
when it is complete, so that a killed run leaves nothing that looks finished. One lock file a name lets a second
run wait for the first, and take its result.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from toolchain.errors import ToolchainError

KEY_LENGTH = 16
"""Hex digits of SHA-256 that name a result: enough to be unique in one cache, short enough for socket paths."""


def key_of(*, label: str, texts: Iterable[str] = (), files: Iterable[tuple[str, Path]] = ()) -> str:
    """Hash a label, texts and files (name and content) to a key.

    Every item is preceded by its length, so that no two lists of inputs collide by concatenation.
    """
    digest = hashlib.sha256()

    def add(data: bytes) -> None:
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)

    add(label.encode())
    for text in texts:
        add(text.encode())
    for name, path in sorted(files):
        add(name.encode())
        add(path.read_bytes())
    return digest.hexdigest()[:KEY_LENGTH]


def files_below(folder: Path) -> list[tuple[str, Path]]:
    """List the regular files below `folder` with their relative POSIX names, sorted."""
    return sorted((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.is_file())


@dataclass(frozen=True, kw_only=True)
class Cache:
    """The folder that holds everything which the tool chain makes."""

    root: Path

    @classmethod
    def from_environment(cls, environ: dict[str, str]) -> "Cache":
        """Use `DHALLMARK_CACHE`, else `XDG_CACHE_HOME` or `~/.cache` with `dhallmark` below it."""
        if chosen := environ.get("DHALLMARK_CACHE"):
            return cls(root=Path(chosen).absolute())
        home = Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cls(root=home.absolute() / "dhallmark")

    @property
    def run(self) -> Path:
        """Folder of running daemons: process ids, sockets, logs."""
        return self.root / "run"

    @property
    def state(self) -> Path:
        """Folder of what daemons keep between runs."""
        return self.root / "state"

    def place(self, *, name: str, key: str) -> Path:
        """Return the folder of a result, whether or not it exists."""
        return self.root / "store" / name / key

    @contextmanager
    def lock(self, name: str, *, waiting: Callable[[], None] | None = None) -> Iterator[None]:
        """Hold the exclusive lock `name`; call `waiting` once if another process has it."""
        folder = self.root / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{name}.lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if waiting is not None:
                    waiting()
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def ensure(
        self,
        *,
        name: str,
        key: str,
        build: Callable[[Path], None],
        waiting: Callable[[], None] | None = None,
    ) -> Path:
        """Return the result's folder, calling `build` with an empty folder to fill when it is missing.

        Leftovers of killed builds of the same name are removed under the lock: nobody else can be writing them.
        """
        place = self.place(name=name, key=key)
        if place.is_dir():
            return place
        with self.lock(name, waiting=waiting):
            if place.is_dir():
                return place
            place.parent.mkdir(parents=True, exist_ok=True)
            for leftover in place.parent.glob(".partial-*"):
                remove_tree(leftover)
            partial = Path(tempfile.mkdtemp(prefix=f".partial-{key}-", dir=place.parent))
            partial.chmod(0o755)
            try:
                build(partial)
                partial.rename(place)
            except BaseException:
                remove_tree(partial)
                raise
        return place

    def remove_other_keys(self, *, name: str, keep: str) -> list[Path]:
        """Delete the results of `name` whose key is not `keep`, and leftovers; return what was deleted."""
        with self.lock(name):
            parent = self.root / "store" / name
            stale = [path for path in parent.iterdir() if path.name != keep] if parent.is_dir() else []
            for path in stale:
                remove_tree(path)
        return stale


def remove_tree(path: Path) -> None:
    """Delete a folder, read-only subfolders included; refuse one that has something mounted in it."""
    inside = f"{path}/"
    for line in Path("/proc/self/mounts").read_text().splitlines():
        target = line.split()[1]
        if target == str(path) or target.startswith(inside):
            raise ToolchainError(f"{path} still has {target} mounted in it: stop what uses it first")
    for folder, _, _ in os.walk(path):
        Path(folder).chmod(0o700)
    shutil.rmtree(path)


def write_atomically(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write a text file so that readers see the old content or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w") as stream:
            stream.write(text)
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
