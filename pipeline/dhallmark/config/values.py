"""Values that users write in YAML and that are more than text: moments, spans of time, digests."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, WithJsonSchema

from dhallmark.digest import Digest
from dhallmark.errors import FormatError

_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)")
_SPAN = re.compile(r"([1-9]\d{0,4})([dhm])")
_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}


def _moment(value: object) -> object:
    # pydantic would also take numbers, and guess whether they are seconds or milliseconds.
    if isinstance(value, datetime) or (isinstance(value, str) and _MOMENT.fullmatch(value)):
        return value
    raise ValueError("must be a moment with its time zone, such as 2026-11-22T00:00:00Z")


def _span(value: object) -> object:
    if isinstance(value, timedelta):
        return value
    match = _SPAN.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("must be a span of time in days, hours or minutes, such as 90d, 12h or 30m")
    return int(match[1]) * _UNITS[match[2]]


def _digest(text: str) -> str:
    try:
        return Digest(text)
    except FormatError as error:
        raise ValueError(f"{error.message}; {error.hint}") from error


Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]
"""A moment by RFC 3339, with seconds and a time zone."""
Span = Annotated[
    timedelta, BeforeValidator(_span), WithJsonSchema({"type": "string", "pattern": r"^[1-9][0-9]{0,4}[dhm]$"})
]
"""A span of time: a number and `d`, `h` or `m`."""
DigestText = Annotated[str, Field(json_schema_extra={"pattern": r"^sha256:[0-9a-f]{64}$"}), AfterValidator(_digest)]
"""`sha256:` and 64 lower-case hex digits."""
