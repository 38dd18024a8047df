"""Normal forms out of Dhall's binary encoding, with limits, whatever the bytes are.

Source: the Dhall standard, "Binary encoding" (`binary.md`). An expression is a CBOR array whose first item is a
number that names its kind, or a builtin's name as text, or a bare bool, float or variable. Only what the standard uses
is read: definite lengths, text keys, no duplicate key, and of all CBOR tags bignums (2, 3) and decimal fractions (4).
Tags for shared references could make a short text stand for an endless one.
"""

from __future__ import annotations

import gc
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import cbor2

from dhallmark.errors import RenderError

MAX_BYTES = 256 << 20
"""Largest encoding that is read: all units of a release in one."""
MAX_DEPTH = 300
"""Deepest nesting. A Kubernetes object needs about 40."""

_ALLOWED_TAGS = frozenset({2, 3, 4})
# cbor2 gives these tags a meaning of its own; a decoder given here takes the place of it. All others reach tag_hook.
_KNOWN_TAGS = (0, 1, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799)


def _refuse_tag(_decoder: object, *_: object) -> NoReturn:
    raise cbor2.CBORDecodeError("a CBOR tag that Dhall does not use")


_REFUSED = dict.fromkeys(_KNOWN_TAGS, _refuse_tag)


def _decoder(stream: io.BytesIO) -> cbor2.CBORDecoder:
    return cbor2.CBORDecoder(
        stream,
        tag_hook=_refuse_tag,
        semantic_decoders=_REFUSED,
        max_depth=MAX_DEPTH,
        allow_indefinite=False,
        allow_duplicate_keys=False,
        strict_hashable_types=True,
    )


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the cycle collector from walking, over and over, millions of containers that hold no cycle."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def decode(content: bytes, *, what: str) -> Any:  # noqa: ANN401
    """The raw expression that `content` encodes: lists, dicts, text and numbers as the standard lays them out.

    `what` names it in errors. Raises RenderError, never anything else.
    """
    _check_size(content, what)
    stream = io.BytesIO(content)
    try:
        with _no_collection():
            value = _decoder(stream).decode()
    except (cbor2.CBORError, ValueError, RecursionError, OverflowError, ArithmeticError, MemoryError) as error:
        raise RenderError(f"{what}: not an encoding that Dhall writes: {error}") from error
    if stream.tell() != len(content):
        raise RenderError(f"{what}: {len(content) - stream.tell()} bytes follow the expression")
    return value


def field_names(prefix: str, count: int) -> list[str]:
    """The names of the fields that `split_record` finds again. `prefix` must be one that no source can hold."""
    return [f"{prefix}{index:06}" for index in range(count)]


def record_head(names: Sequence[str]) -> bytes:
    """How the encoded record literal of the fields `names` begins. No other expression holds their prefix."""
    # [8, {…}]: an array of two, the number 8, then the header of a map of that many pairs (RFC 8949, section 3.1).
    return b"\x82\x08" + _map_header(len(names)) + b"".join(cbor2.dumps(name) for name in names[:1])


def split_record(content: bytes, names: Sequence[str], *, prefix: str, what: str) -> list[bytes]:
    """The fields `names` (`field_names`) of an encoded record literal, each as the bytes of its own encoding.

    Their prefix stands nowhere else in `content`, so the record can be cut without decoding megabytes.
    The SHA-256 of a field's bytes is the semantic hash of that field, as `dhall hash` gives it: the encoding of a
    closed normal form does not depend on where it stands. Raises RenderError.
    """
    _check_size(content, what)
    keys = [cbor2.dumps(name) for name in names]
    # A key begins with the header of its text, before the prefix.
    lead = keys[0].index(prefix.encode()) if keys else 0
    starts = [match.start() - lead for match in re.finditer(re.escape(prefix.encode()), content)]
    ends = [*starts[1:], len(content)]
    whole = len(starts) == len(keys) > 0 and content.startswith(record_head(names))
    if not whole or not all(content.startswith(key, start) for key, start in zip(keys, starts, strict=True)):
        raise RenderError(f"{what}: not the record that Dhall was asked for")
    fields = [content[start + len(key) : end] for key, start, end in zip(keys, starts, ends, strict=True)]
    if not all(fields):
        raise RenderError(f"{what}: a field without a value")
    return fields


def _map_header(length: int) -> bytes:
    if length < 24:  # noqa: PLR2004 - the length itself
        return bytes([0xA0 | length])
    size = 1 if length < 1 << 8 else 2 if length < 1 << 16 else 4
    return bytes([{1: 0xB8, 2: 0xB9, 4: 0xBA}[size]]) + length.to_bytes(size, "big")


def _check_size(content: bytes, what: str) -> None:
    if len(content) > MAX_BYTES:
        raise RenderError(
            f"{what}: a normal form of {len(content)} bytes; {MAX_BYTES} are allowed",
            hint="look for a fold or a list that multiplies, or make a release of fewer units by --shard",
        )
