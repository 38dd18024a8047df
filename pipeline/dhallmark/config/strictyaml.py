"""YAML as people expect it of a configuration file: one document, one meaning, a position for every key.

Scalars are read by the core schema of YAML 1.2 (section 10.3): `no`, `on` and `12:30` are strings. What lets two
readers see different things, or one line mean many, is refused: duplicate keys, anchors and aliases, tags, merge keys,
directives, several documents, keys that are no strings (control G8).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

import yaml

from dhallmark.errors import ConfigError, Location

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32
_MAX_INTEGER_DIGITS = 40

Path = tuple[str | int, ...]
"""Where a value stands: keys of mappings and indices of lists, from the outside in."""

_NULL = re.compile(r"~|null|Null|NULL|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INTEGER = re.compile(r"[-+]?[0-9]+")
_OCTAL_OR_HEX = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_REAL = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the text; both 1-based."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Document:
    """What a text says, and where it says it."""

    value: object
    """dict, list, str, int, float, bool or None."""
    positions: Mapping[Path, Position]
    """Of the key, for a value in a mapping; of the item, in a list; of the first line, for `()`."""

    def nearest(self, path: Path) -> Path:
        """The longest beginning of `path` that stands in the text."""
        while path not in self.positions:
            path = path[:-1]
        return path

    def location(self, path: Path, *, file: str) -> Location:
        """Where `path` stands, or what is nearest to it; the field is told as it was asked for."""
        position = self.positions[self.nearest(path)]
        return Location(file=file, line=position.line, column=position.column, field=dotted(path) or None)


def dotted(path: Path) -> str:
    """A path as people write it, such as `statements[0].identities`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def parse(content: bytes, *, file: str) -> Document:
    """Read `content`. Raises ConfigError with line and column, and nothing else."""
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{len(content)} bytes is more than the {MAX_BYTES} allowed", where=Location(file=file))
    if content.startswith(b"\xef\xbb\xbf"):
        raise ConfigError("starts with a byte order mark", where=Location(file=file), hint="save it as plain UTF-8")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError("not UTF-8", where=Location(file=file, line=line)) from error
    return _Reader(text, file).document()


class _Reader:
    """Builds a document from the parser's events; never from its nodes, which would resolve aliases."""

    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self._file = file
        self._positions: dict[Path, Position] = {(): Position(1, 1)}
        self._events: Iterator[yaml.Event] = iter(())

    def document(self) -> Document:
        value: object = None
        try:
            self._events = yaml.parse(self._text, Loader=yaml.SafeLoader)
            documents = 0
            for event in self._events:
                if isinstance(event, yaml.DocumentStartEvent):
                    documents += 1
                    if documents > 1:
                        self._refuse(event, "a second document", "keep one document in the file")
                    if event.tags or event.version:
                        self._refuse(event, "a directive", "leave the line that starts with % out")
                    value = self._value(next(self._events), ())
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            where = Location(
                file=self._file, line=mark.line + 1 if mark else None, column=mark.column + 1 if mark else None
            )
            raise ConfigError(f"not YAML: {error.problem or error.context}", where=where) from error
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            # The scanner lets chr() fail on an escape such as "\U7FFFFFFF".
            raise ConfigError("not YAML: a character that is not allowed", where=Location(file=self._file)) from error
        return Document(value, self._positions)

    def _value(self, event: yaml.Event, path: Path) -> object:
        if len(path) > MAX_DEPTH:
            self._refuse(event, f"nested deeper than {MAX_DEPTH}", "this is no file of dhallmark's")
        if isinstance(event, yaml.AliasEvent):
            self._refuse(event, f"an alias (*{event.anchor})", "write the value out")
        assert isinstance(event, yaml.NodeEvent)  # noqa: S101 - the grammar has no other event here
        if event.anchor is not None:
            self._refuse(event, f"an anchor (&{event.anchor})", "write the value out where it is needed")
        tag = getattr(event, "tag", None)
        if tag is not None:
            self._refuse(event, f"a tag ({tag})", "leave the tag out; put the value in quotes to make it a string")
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path)
        assert isinstance(event, yaml.ScalarEvent)  # noqa: S101 - likewise
        return self._scalar(event)

    def _mapping(self, path: Path) -> dict[str, object]:
        found: dict[str, object] = {}
        for event in self._events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            if isinstance(event, yaml.ScalarEvent) and event.style is None and event.value == "<<":
                self._refuse(event, "a merge key (<<)", "write the values out")
            key = self._value(event, (*path, ""))
            if not isinstance(key, str):
                self._refuse(event, "a key that is no string", "put the key in quotes")
            here = (*path, key)
            if key in found:
                first = self._positions[here]
                self._refuse(event, f"a second {key[:100]!r} in one mapping", f"the first is at line {first.line}")
            self._positions[here] = self._position(event)
            found[key] = self._value(next(self._events), here)
        return found

    def _sequence(self, path: Path) -> list[object]:
        found: list[object] = []
        for event in self._events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            here = (*path, len(found))
            self._positions[here] = self._position(event)
            found.append(self._value(event, here))
        return found

    def _scalar(self, event: yaml.ScalarEvent) -> object:
        text: str = event.value
        if any("\ud800" <= character <= "\udfff" for character in text):
            self._refuse(event, "a lone surrogate in a string", "write the character itself")
        return text if event.style is not None else self._plain(event, text)

    def _plain(self, event: yaml.ScalarEvent, text: str) -> object:
        if _NULL.fullmatch(text):
            return None
        if _TRUE.fullmatch(text) or _FALSE.fullmatch(text):
            return text.lower() == "true"
        if _INTEGER.fullmatch(text) or _OCTAL_OR_HEX.fullmatch(text):
            if len(text) > _MAX_INTEGER_DIGITS:
                self._refuse(event, f"a number of {len(text)} digits", "put it in quotes if it is a string")
            return int(text) if _INTEGER.fullmatch(text) else int(text, 0)
        if _REAL.fullmatch(text):
            value = float(text)
            if not math.isfinite(value):
                self._refuse(event, "a number out of range", "put it in quotes if it is a string")
            return value
        return text

    @staticmethod
    def _position(event: yaml.Event) -> Position:
        mark = event.start_mark
        assert mark is not None  # noqa: S101 - only events that a program makes by hand have none
        return Position(mark.line + 1, mark.column + 1)

    def _refuse(self, event: yaml.Event, what: str, hint: str) -> NoReturn:
        position = self._position(event)
        where = Location(file=self._file, line=position.line, column=position.column)
        raise ConfigError(f"{what} is not allowed here", where=where, hint=hint)
