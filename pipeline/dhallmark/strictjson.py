"""JSON as RFC 8259 leaves no room for two readings: one meaning a text, or an error.

Parsers disagree about duplicate keys, NaN, byte order marks, lone surrogates and huge numbers; an attacker uses
the disagreement to show one document to the verifier and another to the consumer (control S13).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn, Protocol

from dhallmark.errors import FormatError

MAX_DEPTH = 64
MAX_BYTES = 64 * 1024 * 1024
_MAX_INTEGER_DIGITS = 40
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
"""An escaped half of a character; the text itself is UTF-8, which has none."""


def parse(content: bytes, *, what: str = "JSON", max_bytes: int = MAX_BYTES) -> Any:  # noqa: ANN401
    """Parse `content`, which must be UTF-8 without a byte order mark. Raises FormatError, never anything else."""
    if len(content) > max_bytes:
        raise FormatError(f"{what}: {len(content)} bytes is more than the {max_bytes} allowed")
    if content.startswith(b"\xef\xbb\xbf"):
        raise FormatError(f"{what}: starts with a byte order mark")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(f"{what}: not UTF-8 at byte {error.start}") from error
    try:
        value = _DECODER.decode(text)
    except RecursionError as error:
        raise FormatError(f"{what}: nested deeper than {MAX_DEPTH}") from error
    except ValueError as error:
        raise FormatError(f"{what}: {error}") from error
    if text.count("{") + text.count("[") > MAX_DEPTH:
        _check_depth(value, what=what)
    if _SURROGATE.search(content):
        _refuse_surrogates(value, what=what)
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _integer(digits: str) -> int:
    if len(digits) > _MAX_INTEGER_DIGITS:
        raise ValueError(f"an integer of {len(digits)} digits")
    return int(digits)


def _real(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {digits[:40]} is out of range")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"the key {key[:100]!r} stands twice in one object")
            seen.add(key)
    return found


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_int=_integer, parse_float=_real
)


def _check_depth(value: object, *, what: str) -> None:
    """Refuse nesting, level by level. The parser has refused what is too deep for its own recursion."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for holder in level
            if type(holder) is dict or type(holder) is list
            for child in (holder.values() if type(holder) is dict else holder)
        ]
        if not level:
            return
    if any(isinstance(child, dict | list) for child in level):
        raise FormatError(f"{what}: nested deeper than {MAX_DEPTH}")


def _refuse_surrogates(value: object, *, what: str) -> None:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise FormatError(f"{what}: a lone surrogate in a string") from error
    elif isinstance(value, dict):
        for key, item in value.items():
            _refuse_surrogates(key, what=what)
            _refuse_surrogates(item, what=what)
    elif isinstance(value, list):
        for item in value:
            _refuse_surrogates(item, what=what)


def dump(value: object) -> bytes:
    """`value` as stable JSON: sorted keys, two spaces, a final newline, UTF-8. For files that people read."""
    text = json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"


class Lines(Protocol):
    """A list whose items are encoded already, too many to be held at once."""

    def lines(self) -> Iterable[bytes]:
        """Each item as compact JSON, without a line feed."""
        ...


def dump_pieces(body: Mapping[str, object]) -> Iterator[bytes]:
    """`body` as `dump` writes it, in pieces. A value that has `lines` becomes a list with one item a line."""
    lead = b"{\n"
    for key in sorted(body):
        yield lead + b"  " + json.dumps(key, ensure_ascii=False).encode() + b": "
        value = body[key]
        if hasattr(value, "lines"):
            yield from _dump_lines(value)
        else:
            # Line feeds inside of strings are escaped, so that each of these begins a line of the text.
            yield dump(value).rstrip(b"\n").replace(b"\n", b"\n  ")
        lead = b",\n"
    yield b"\n}\n" if body else b"{}\n"


def _dump_lines(value: Lines) -> Iterator[bytes]:
    lead = b"["
    for line in value.lines():
        yield lead + b"\n    " + line
        lead = b","
    yield b"[]" if lead == b"[" else b"\n  ]"


def dump_compact(value: object) -> bytes:
    """`value` as stable JSON without white space. For bytes that are signed or hashed."""
    return _COMPACT.encode(value).encode()


_COMPACT = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
