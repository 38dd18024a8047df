"""What Dhall prints on failure, as a RenderError with file, line and column.

A message has the chain of imports, a sentence after `Error:`, the source line with its number, and `file:line:column`;
then, outwards, the line and position of each import that led there. The innermost position is the one that counts.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterable
from pathlib import Path

from dhallmark.errors import Location, RenderError
from dhallmark.render.sources import SourceImport

_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
_POSITION = re.compile(r"^(?P<file>/.+|\(input\)):(?P<line>\d+):(?P<column>\d+)(?:-\d+)?:?$", re.MULTILINE)
_SENTENCE = re.compile(r"^(?:Error: *(?P<error>.*)|(?P<cycle>Cyclic import: .*))$", re.MULTILINE)
_HINTS = (
    ("Cyclic import", "break the cycle: move what both files need into a third"),
    ("integrity check failed", "the file or package changed: look at the change, then `dhall freeze` the import again"),
    ("Missing file", "check the path; it is relative to the file that holds the import"),
    ("Missing environment variable", "a release may not depend on the environment: pass values by a file"),
    ("Remote host not found", "the import is not in the cache and its host does not answer"),
    ("Invalid input", "the text is no Dhall from here on"),
)
_MAX_DETAIL = 1200


def render_error(
    stderr: str, *, root: Path, unit: str | None = None, remotes: Iterable[tuple[str, SourceImport]] = ()
) -> RenderError:
    """The error that Dhall's `stderr` tells of.

    `unit` is the unit that shows it. `remotes` are the remote imports with the files that hold them: Dhall gives no
    position for one that cannot be fetched.
    """
    text = _ESCAPES.sub("", stderr).replace('Use "dhall --explain" for detailed errors', "").strip()
    sentence = _SENTENCE.search(text)
    message = "Dhall failed"
    detail = text
    where = None
    if sentence:
        message = (sentence["error"] or sentence["cycle"] or message).strip()
        detail = text[sentence.end() :]
    elif found := re.search(r"(?P<file>\S+): hGetContents: .*(?P<why>cannot decode byte sequence.*)", text):
        message, detail = f"not UTF-8: {found['why']}", ""
        where = Location(file=_relative(found["file"], root))
    position = _POSITION.search(text, sentence.end() if sentence else 0)
    if position:
        where = _location(position, root)
        detail = text[sentence.end() if sentence else 0 : position.start()]
    where = where or _of_remote(text, remotes)
    detail = "\n".join(line for line in detail.strip().splitlines() if line.strip())[:_MAX_DETAIL]
    if unit:
        message = f"{unit}: {message}"
    if detail:
        message += "\n" + detail
    return RenderError(message, where=where, hint=_hint(text, where))


def _location(match: re.Match[str], root: Path) -> Location | None:
    if match["file"] == "(input)":
        return None  # The expression that dhallmark itself put together.
    return Location(file=_relative(match["file"], root), line=int(match["line"]), column=int(match["column"]))


def _relative(file: str, root: Path) -> str:
    base = os.path.realpath(root)
    path = Path(os.path.normpath(Path(base, file)))
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else str(path)


def _of_remote(text: str, remotes: Iterable[tuple[str, SourceImport]]) -> Location | None:
    for file, item in remotes:
        if item.target in text:
            return Location(file=file, line=item.line, column=item.column)
    return None


def _hint(text: str, where: Location | None) -> str | None:
    for sign, hint in _HINTS:
        if sign in text:
            return hint
    return f"`dhall --explain type --quiet --file {where.file}` says more" if where else None
