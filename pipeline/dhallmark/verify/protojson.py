"""Reading protobuf messages from JSON, strictly: every field by name, type and path, in one pass.

Source: the ProtoJSON format of protobuf. An absent field and `null` both mean the field's default; an unknown field is
an error. `bytes` are base64 of either alphabet, padded or not, with no other character in it (control S9).
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from dhallmark.errors import FormatError

Message = Mapping[str, Any]

_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]*|[A-Za-z0-9_-]*)={0,2}")
_INTEGER = re.compile(r"0|[1-9][0-9]{0,18}")
_INT64_MAX = 2**63 - 1
_TIMESTAMP = re.compile(
    r"(?P<seconds>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})"
    r"(?P<fraction>\.[0-9]{1,9})?"
    r"(?P<zone>Z|[+-][0-9]{2}:[0-9]{2})"
)
_MICROSECONDS = 7  # a point and six digits: what Python's clock knows


def message(value: object, path: str, fields: frozenset[str]) -> Message:
    """`value` as a message that has no other than `fields`. Raises FormatError, as all functions here do."""
    if not isinstance(value, dict):
        raise FormatError(f"{path}: not an object")
    if not value.keys() <= fields:
        unknown = next(iter(value.keys() - fields))
        raise FormatError(f"{path}: the field {unknown[:100]!r} is not known")
    return value


def child(parent: Message, name: str, path: str, fields: frozenset[str]) -> Message | None:
    """A message within a message; None where it is not there."""
    value = parent.get(name)
    if value is None or (isinstance(value, dict) and value.keys() <= fields):
        return value
    return message(value, f"{path}.{name}", fields)  # which says what is wrong; elsewhere no path has to be made


def required(parent: Message, name: str, path: str, fields: frozenset[str]) -> Message:
    """As `child`, for a message that must be there."""
    found = child(parent, name, path, fields)
    if found is None:
        raise FormatError(f"{path}.{name}: is missing")
    return found


def children(parent: Message, name: str, path: str, *, limit: int) -> Sequence[Any]:
    """A repeated field, of at most `limit` items; empty where it is not there. None of the items is null."""
    value = parent.get(name)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise FormatError(f"{path}.{name}: not a list")
    if len(value) > limit:
        raise FormatError(f"{path}.{name}: {len(value)} is more than the {limit} allowed")
    return value


def string(parent: Message, name: str, path: str) -> str:
    """A string; empty where it is not there."""
    value = parent.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise FormatError(f"{path}.{name}: not a string")
    return value


def octets(parent: Message, name: str, path: str) -> bytes:
    """Bytes; empty where they are not there."""
    value = parent.get(name)
    if value is None:
        return b""
    try:
        return a2b_base64(value, strict_mode=True)
    except (ValueError, TypeError):
        return octets_of(value, f"{path}.{name}")


def octets_of(value: object, path: str) -> bytes:
    """Bytes from their base64."""
    if not isinstance(value, str):
        raise FormatError(f"{path}: not a string")
    try:
        return decode_base64(value)
    except ValueError as error:
        raise FormatError(f"{path}: {error}") from error


def integer(parent: Message, name: str, path: str) -> int:
    """An int64 that is not negative, as a string or a number; 0 where it is not there."""
    value = parent.get(name)
    if value is None:
        return 0
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value)
    if type(value) is not int or not 0 <= value <= _INT64_MAX:
        raise FormatError(f"{path}.{name}: not an integer from 0 to 2^63-1: {str(value)[:40]}")
    return value


def timestamp(parent: Message, name: str, path: str) -> datetime | None:
    """A point in time with its time zone (RFC 3339), cut to microseconds; None where it is not there."""
    value = parent.get(name)
    if value is None:
        return None
    found = _TIMESTAMP.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise FormatError(f"{path}.{name}: not a point in time with its time zone: {str(value)[:40]!r}")
    fraction = (found["fraction"] or ".0")[:_MICROSECONDS].ljust(_MICROSECONDS, "0")
    try:
        return datetime.fromisoformat(found["seconds"] + fraction + found["zone"])
    except ValueError as error:
        raise FormatError(f"{path}.{name}: {error}") from error


def decode_base64(text: str) -> bytes:
    """Base64 of either alphabet, padded or not, with no other character in it. Raises ValueError.

    Bits that stand for nothing are ignored, as protobuf does.
    """
    try:
        # Strict: no other character, and padding stands at the end alone. What is not padded has to be tried again.
        return a2b_base64(text, strict_mode=True)
    except ValueError:
        if not _BASE64.fullmatch(text) or (text.endswith("=") and len(text) % 4):
            raise ValueError("not base64") from None
    bare = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return a2b_base64(bare + "=" * (-len(bare) % 4), strict_mode=True)
    except ValueError:
        raise ValueError("not base64") from None
