"""Normal forms out of Dhall's binary encoding, with limits, whatever the bytes are.

Source: the Dhall standard, "Binary encoding" (`binary.md`). An expression is a CBOR array whose first item is a
number that names its kind, or a builtin's name as text, or a bare bool, float or variable. Only what the standard uses
is read: definite lengths, text keys, no duplicate key, and of all CBOR tags bignums (2, 3) and decimal fractions (4).
Tags for shared references could make a short text stand for an endless one.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
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


_REFUSED = {tag: _refuse_tag for tag in _KNOWN_TAGS}


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


def decode(content: bytes, *, what: str) -> Any:  # noqa: ANN401
    """The raw expression that `content` encodes: lists, dicts, text and numbers as the standard lays them out.

    `what` names it in errors. Raises RenderError, never anything else.
    """
    _check_size(content, what)
    stream = io.BytesIO(content)
    try:
        value = _decoder(stream).decode()
    except (cbor2.CBORError, ValueError, RecursionError, OverflowError, ArithmeticError, MemoryError) as error:
        raise RenderError(f"{what}: not an encoding that Dhall writes: {error}") from error
    if stream.tell() != len(content):
        raise RenderError(f"{what}: {len(content) - stream.tell()} bytes follow the expression")
    return value


def fields(content: bytes, *, what: str) -> Iterator[tuple[str, bytes]]:
    """The fields of an encoded record literal, each with the bytes of its own encoding.

    The SHA-256 of a field's bytes is the semantic hash of that field, as `dhall hash` gives it: the encoding of a
    closed normal form does not depend on where it stands. Raises RenderError.
    """
    _check_size(content, what)
    stream = io.BytesIO(content)
    # [8, {…}]: array of two, the number 8, then a map header, whose length follows in its low bits or in 1 to 4 bytes.
    if stream.read(2) != b"\x82\x08":
        raise RenderError(f"{what}: not a record literal")
    decoder = _decoder(stream)
    for _ in range(_map_length(stream, what)):
        try:
            name = decoder.decode()
            start = stream.tell()
            decoder.decode()
        except (cbor2.CBORError, ValueError, RecursionError, OverflowError, ArithmeticError, MemoryError) as error:
            raise RenderError(f"{what}: not an encoding that Dhall writes: {error}") from error
        if not isinstance(name, str):
            raise RenderError(f"{what}: a field whose name is no text")
        yield name, content[start : stream.tell()]
    if stream.tell() != len(content):
        raise RenderError(f"{what}: {len(content) - stream.tell()} bytes follow the record")


def _map_length(stream: io.BytesIO, what: str) -> int:
    head = stream.read(1)
    if not head or head[0] >> 5 != 5:  # noqa: PLR2004 - major type 5: a map (RFC 8949, section 3.1)
        raise RenderError(f"{what}: a record literal without fields")
    low = head[0] & 0x1F
    if low < 24:  # noqa: PLR2004 - the length itself
        return low
    size = {24: 1, 25: 2, 26: 4}.get(low)
    if size is None:
        raise RenderError(f"{what}: a record literal of an impossible size")
    return int.from_bytes(stream.read(size), "big")


def _check_size(content: bytes, what: str) -> None:
    if len(content) > MAX_BYTES:
        raise RenderError(
            f"{what}: a normal form of {len(content)} bytes; {MAX_BYTES} are allowed",
            hint="look for a fold or a list that multiplies, or make a release of fewer units by --shard",
        )
