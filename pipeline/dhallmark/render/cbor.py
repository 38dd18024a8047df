"""Normal forms out of Dhall's binary encoding, with limits, whatever the bytes are.

Source: the Dhall standard, "Binary encoding" (`binary.md`). An expression is a CBOR array whose first item is a
number that names its kind, or a builtin's name as text, or a bare bool, float or variable. Only what the standard uses
is read: definite lengths, text keys, no duplicate key, and of all CBOR tags bignums (2, 3) and decimal fractions (4).
Tags for shared references could make a short text stand for an endless one.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import pairwise
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


def split_record(content: bytes, names: Sequence[str], *, what: str) -> dict[str, bytes]:
    """The fields `names` of an encoded record literal, each with the bytes of its own encoding.

    The names are in the order of the encoding (by code point), and each must stand once in all of `content`: the caller
    makes them up so that no source can hold them. That cuts megabytes without decoding them.
    The SHA-256 of a field's bytes is the semantic hash of that field, as `dhall hash` gives it: the encoding of a
    closed normal form does not depend on where it stands. Raises RenderError.
    """
    _check_size(content, what)
    # [8, {…}]: an array of two, the number 8, then the header of a map of that many pairs (RFC 8949, section 3.1).
    head = b"\x82\x08" + _map_header(len(names))
    keys = [cbor2.dumps(name) for name in names]
    starts = [content.find(key) for key in keys]
    ends = [*starts[1:], len(content)]
    ordered = (
        bool(starts) and starts[0] == len(head) and all(start < end for start, end in pairwise([*starts, ends[-1]]))
    )
    if not content.startswith(head) or not ordered or any(content.count(key) != 1 for key in keys):
        raise RenderError(f"{what}: not the record that Dhall was asked for")
    return {
        name: content[start + len(key) : end] for name, key, start, end in zip(names, keys, starts, ends, strict=True)
    }


def _map_header(length: int) -> bytes:
    empty = cbor2.dumps(dict.fromkeys(range(length)))
    return empty[: len(empty) - sum(len(cbor2.dumps(index)) + 1 for index in range(length))]


def _check_size(content: bytes, what: str) -> None:
    if len(content) > MAX_BYTES:
        raise RenderError(
            f"{what}: a normal form of {len(content)} bytes; {MAX_BYTES} are allowed",
            hint="look for a fold or a list that multiplies, or make a release of fewer units by --shard",
        )
