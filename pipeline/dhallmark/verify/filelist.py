"""Lists of bundles and their artifacts, one pair a line: what `--files-from` reads.

A line is the path of a bundle, a tab, and the path of its artifact or the artifact's digest (`sha256:` and 64 hex
digits; a file of such a name is written `./sha256:…`). Paths are relative to the working directory. Lines of one
artifact that follow each other are its bundles together; empty lines are skipped. A list is UTF-8 with line feeds.
There are no comments and no quotes: every other text is a path, or an error with its line.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Final

from dhallmark.digest import Digest
from dhallmark.errors import FormatError, Location
from dhallmark.verify.files import MAX_BUNDLES, FileTarget

MAX_LIST_BYTES: Final = 64 * 1024 * 1024
_SMALL: Final = 4 * 1024 * 1024
"""Bytes up to which a list is read once and its targets are held."""
MAX_PATH_BYTES: Final = 4096
"""PATH_MAX of Linux."""
_DIGEST: Final = "sha256:"


def parse_list(content: bytes, *, file: str) -> tuple[int, Iterator[FileTarget]]:
    """How many targets a list has, and each, in its order. Raises FormatError with `file` and the line.

    The whole list is looked at first: a mistake in its last line must not show after an hour of verdicts.
    """
    if len(content) > MAX_LIST_BYTES:
        raise FormatError(
            f"{len(content)} bytes; at most {MAX_LIST_BYTES} are read",
            where=Location(file=file),
            hint="split the list",
        )
    if len(content) <= _SMALL:
        found = list(_targets(content, file=file))
        return len(found), iter(found)
    count = sum(1 for _ in _targets(content, file=file))
    return count, _targets(content, file=file)


def _targets(content: bytes, *, file: str) -> Iterator[FileTarget]:
    for artifact, lines in groupby(_pairs(content, file=file), key=itemgetter(2)):
        bundles: list[str] = []
        for number, bundle, _ in lines:
            bundles.append(bundle)
            if len(bundles) > MAX_BUNDLES:
                raise _error(file, number, f"more than {MAX_BUNDLES} bundles of one artifact")
        yield FileTarget(subject=artifact, artifact=artifact, bundles=tuple(bundles))


def _pairs(content: bytes, *, file: str) -> Iterator[tuple[int, str, str | Digest]]:
    """Line number, bundle and artifact of each line that is not empty."""
    start = 0
    number = 0
    while start < len(content):
        number += 1
        end = content.find(b"\n", start)
        line = content[start : end if end >= 0 else len(content)]
        start += len(line) + 1
        if line:
            yield (number, *_pair(line, file=file, number=number))


def _pair(line: bytes, *, file: str, number: int) -> tuple[str, str | Digest]:
    try:
        fields = line.decode().split("\t")
    except UnicodeDecodeError as error:
        raise _error(file, number, f"not UTF-8 at byte {error.start} of the line") from error
    if len(fields) != 2 or not all(fields):  # noqa: PLR2004
        raise _error(file, number, "not a bundle, one tab and an artifact")
    for field in fields:
        if not field.isprintable():
            # A name that breaks lines or steers a terminal would forge what a log says.
            raise _error(file, number, f"{field[:100]!a} has characters that cannot be printed")
        if len(field.encode()) > MAX_PATH_BYTES:
            raise _error(file, number, f"a path of more than {MAX_PATH_BYTES} bytes")
    bundle, artifact = fields
    if not artifact.startswith(_DIGEST):
        return bundle, artifact
    try:
        return bundle, Digest(artifact)
    except FormatError as error:
        raise _error(file, number, error.message) from error


def _error(file: str, number: int, message: str) -> FormatError:
    hint = "each line is the path of a bundle, a tab, and the path or the sha256: digest of its artifact"
    return FormatError(message, where=Location(file=file, line=number), hint=hint)
