"""What may be signed: statements, and layouts, which the same kind of envelope holds.

sigstore-python signs nothing but statements, though the envelope's type, application/vnd.in-toto+json, says no more
than that the payload's `_type` tells what it is.
"""

from __future__ import annotations

from sigstore import dsse

from dhallmark import strictjson
from dhallmark.errors import FormatError

_LAYOUT = "layout"


def holds_layout(payload: bytes) -> bool:
    """Whether `payload` claims to be an in-toto layout."""
    try:
        body = strictjson.parse(payload, what="payload")
    except FormatError:
        return False
    return isinstance(body, dict) and body.get("_type") == _LAYOUT


def signable(payload: bytes) -> dsse.Statement:
    """`payload` as sigstore-python signs it, byte for byte. Raises sigstore's Error for anything else."""
    return _Layout(payload) if holds_layout(payload) else dsse.Statement(payload)


class _Layout(dsse.Statement):
    """A payload that is signed as a statement is, and not read as one."""

    def __init__(self, contents: bytes) -> None:  # as for any payload; the base class would refuse it
        self._contents = contents
