"""Which file names may stand in an archive: those that mean one file, and the same one, on every machine.

Names that differ only in case or in Unicode composition are one file on some file systems and two on others; a
verifier and a consumer on different machines would then see different contents (controls P20, H1, P12).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

from dhallmark.errors import FormatError

MAX_NAME_BYTES = 1024
MAX_COMPONENT_BYTES = 255
"""What common file systems hold."""
_FORBIDDEN = frozenset('\\:*?"<>|')
"""Separators, stream markers and wildcards of other systems. None of them occurs in a Kubernetes name."""


def check_name(name: str, *, what: str) -> None:
    """Raise FormatError unless `name` is a relative path with `/` that stays inside and is spelled in one way."""
    problem = _problem(name)
    if problem:
        raise FormatError(f"{what}: unsafe file name {_shown(name)}: {problem}")


def check_names(names: Iterable[str], *, what: str) -> None:
    """Check each name, and that no two of them collide on any file system.

    Refuses the same name twice, names equal but for case or composition, folders spelled in two ways, and a file
    where another name needs a folder. Raises FormatError.
    """
    spelling: dict[str, str] = {}
    files: set[str] = set()
    folders: set[str] = set()
    for name in names:
        check_name(name, what=what)
        path = PurePosixPath(name)
        for part in (*reversed(path.parents[:-1]), path):
            text = str(part)
            first = spelling.setdefault(_folded(text), text)
            if first != text:
                raise FormatError(f"{what}: {_shown(text)} and {_shown(first)} are one file on some systems")
        if name in files:
            raise FormatError(f"{what}: the file name {_shown(name)} stands twice")
        files.add(name)
        folders.update(str(parent) for parent in path.parents[:-1])
    both = files & folders
    if both:
        raise FormatError(f"{what}: {_shown(min(both))} is a file and a folder at once")


def _problem(name: str) -> str:
    parts = name.split("/")
    checks = (
        (not name, "empty"),
        (name.startswith("/"), "absolute"),
        (any(part in {"", ".", ".."} for part in parts), "an empty part, '.' or '..'"),
        (any(not character.isprintable() for character in name), "a character that cannot be printed"),
        (any(character in _FORBIDDEN for character in name), "a character that is special on some systems"),
        (
            any(part.endswith((" ", ".")) or part.startswith(" ") for part in parts),
            "a part with a space or dot at its end",
        ),
        (unicodedata.normalize("NFC", name) != name, "not in Unicode's composed form (NFC)"),
        (_bytes(name) > MAX_NAME_BYTES, f"longer than {MAX_NAME_BYTES} bytes"),
        (any(_bytes(part) > MAX_COMPONENT_BYTES for part in parts), f"a part longer than {MAX_COMPONENT_BYTES} bytes"),
    )
    return next((text for wrong, text in checks if wrong), "")


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _folded(text: str) -> str:
    """The key under which names match without case: Unicode 16, D145 (canonical caseless matching)."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).casefold())


def _shown(name: str) -> str:
    return ascii(name if len(name) <= 200 else name[:200] + "…")  # noqa: PLR2004
