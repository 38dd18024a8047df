"""Names of materials and products: listed by the project's own rules, hashed by in-toto.

A name is a path relative to the project, or `build/…` for a file of the build directory wherever that stands. Two
names never mean one file on any file system: symbolic links, `..`, and names that differ only in case or in Unicode
normalisation are refused (control P20). in-toto skips what it cannot read and what its default patterns exclude
(`*.link*`, `*~`); what it recorded is compared with the listing, so nothing is left out silently (P13).

`dir:<path>` is in-toto's name for a folder as one artifact, whose digest covers the names and contents of all its
files. sigstore-go, and with it cosign and Flux, refuses a statement with more than 1,024 subjects: a release of a
hundred charts has more files than that.
"""

from __future__ import annotations

import locale
import os
import stat
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from in_toto.runlib import record_artifacts_as_dict

from dhallmark.errors import InputError, Location

BUILD = "build"
"""The name of the build directory in every link."""
NO_EXCLUDES = ["!*"]
"""A pattern that excludes nothing: an empty list would bring in-toto's default patterns back."""

FOLDER = "dir:"
"""What the name of a folder that is one artifact starts with (in-toto's DirectoryResolver)."""
_SCHEMES = (FOLDER, "file:", "ostree:")

Hashes = Mapping[str, Mapping[str, str]]
"""Name to `{"sha256": <hex>}`."""


@dataclass(frozen=True, slots=True)
class View:
    """Where the names are on disk, as in-toto is to see them: two fixed folders with links to project and build."""

    project: Path
    build: Path

    def path(self, name: str) -> Path:
        """The path of the file or folder `name`. Raises InputError for a name that is not plain."""
        parts = _parts(name)
        if parts[0] == BUILD:
            return self.build.joinpath(*parts)
        return self.project.joinpath(*parts)

    def uri(self, name: str) -> str:
        """What in-toto gets for the file or folder `name`."""
        plain = name.removeprefix(FOLDER)
        return ("" if name == plain else FOLDER) + str(self.path(plain))

    @property
    def prefixes(self) -> list[str]:
        """What in-toto strips from paths to get names. Neither is the start of the other."""
        return [f"{self.project}/", f"{self.build}/"]


@contextmanager
def open_view(root: Path, build: Path) -> Iterator[View]:
    """A view of the project in `root` and its build directory, which may stand anywhere."""
    with tempfile.TemporaryDirectory(prefix="dhallmark-view-") as folder:
        view = View(Path(folder) / "project", Path(folder) / "outside")
        view.project.symlink_to(root.resolve(), target_is_directory=True)
        view.build.mkdir()
        (view.build / BUILD).symlink_to(build.resolve(), target_is_directory=True)
        yield view


def list_names(view: View, names: Iterable[str]) -> tuple[str, ...]:
    """What in-toto must record for `names`: every file in them, and each `dir:` folder as one; sorted.

    Raises InputError for what must not be recorded.
    """
    found: set[str] = set()
    files: set[str] = set()
    for name in names:
        plain = name.removeprefix(FOLDER)
        _refuse_linked(view, plain)
        path = view.path(plain)
        stem = "/".join(_parts(plain))
        if path.is_dir():
            below = set(_walk(path, stem))
            files |= below
            found |= {FOLDER + stem} if name != plain else below
        elif path.is_file() and name == plain:
            files.add(stem)
            found.add(stem)
        else:
            raise InputError("there is no such file or folder", where=Location(file=name))
    for file in files:
        _check_characters(file)
    refuse_collisions(files)
    return tuple(sorted(found))


def require_covered(view: View, folder: str, names: Iterable[str]) -> None:
    """Raise InputError unless each file in `folder` is one of `names`, or stands in one of their `dir:` folders."""
    recorded = set(names)
    for file in list_names(view, [folder]):
        parts = file.split("/")
        covers = {FOLDER + "/".join(parts[:end]) for end in range(1, len(parts))}
        if file not in recorded and not covers & recorded:
            raise InputError(
                "the file is no part of what the step makes",
                where=Location(file=file),
                hint="let nothing else write to the build directory",
            )


def hash_names(view: View, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """The SHA-256 digests of the files and folders `names`, by in-toto. Raises InputError if any is not recorded."""
    expected = list_names(view, names)
    with keep_locale():
        recorded: dict[str, dict[str, str]] = record_artifacts_as_dict(
            [view.uri(name) for name in names],
            exclude_patterns=NO_EXCLUDES,
            follow_symlink_dirs=True,
            lstrip_paths=view.prefixes,
        )
    require_all(expected, recorded)
    return recorded


@contextmanager
def keep_locale() -> Iterator[None]:
    """Put the process's locale back: in-toto sets it to C in order to sort the files of a folder."""
    before = locale.setlocale(locale.LC_ALL)
    try:
        yield
    finally:
        locale.setlocale(locale.LC_ALL, before)


def require_all(expected: Iterable[str], recorded: Hashes) -> None:
    """Raise InputError unless exactly the `expected` names were recorded."""
    odd = sorted(set(expected) ^ set(recorded))
    if odd:
        raise InputError(
            "the file came, went or could not be read while the step was recorded",
            where=Location(file=odd[0]),
            hint="let nothing else write to the project and the build directory during a release",
        )


def refuse_collisions(names: Iterable[str]) -> None:
    """Raise InputError where two names, or two folders in them, are one on some file system."""
    seen: dict[str, str] = {}
    for name in names:
        parts = name.split("/")
        for end in range(1, len(parts) + 1):
            path = "/".join(parts[:end])
            folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
            other = seen.setdefault(folded, path)
            if other != path:
                raise InputError(
                    f"{other!a} and {path!a} are one file where case or Unicode forms do not count",
                    where=Location(file=path),
                    hint="rename one of them",
                )


def _parts(name: str) -> tuple[str, ...]:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise InputError("must be a relative path without '..'", where=Location(file=name))
    _check_characters(name)
    return path.parts


def _check_characters(name: str) -> None:
    # in-toto turns a backslash into a slash: the name would then be another file's.
    if "\\" in name or any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        raise InputError(
            "the name holds a backslash, a control character or no UTF-8", where=Location(file=ascii(name))
        )


def _refuse_linked(view: View, name: str) -> None:
    parts = _parts(name)
    start = 1 if parts[0] == BUILD else 0
    for end in range(start + 1, len(parts) + 1):
        shorter = "/".join(parts[:end])
        if view.path(shorter).is_symlink():
            raise _linked(shorter)


def _linked(name: str) -> InputError:
    return InputError(
        "a symbolic link cannot be recorded: its name would stand for a file elsewhere",
        where=Location(file=name),
        hint="put the file itself there",
    )


def _walk(folder: Path, name: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            below = f"{name}/{entry.name}"
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISLNK(mode):
                raise _linked(below)
            if stat.S_ISDIR(mode):
                yield from _walk(Path(entry.path), below)
            elif stat.S_ISREG(mode):
                yield below
            else:
                raise InputError("neither a file nor a folder", where=Location(file=below))
