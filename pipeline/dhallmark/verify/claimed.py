"""What a bundle claims to hold, before anything of it is verified: for explaining and sorting, never for deciding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dhallmark import strictjson
from dhallmark.errors import FormatError
from dhallmark.verify.parse import MAX_BUNDLE_BYTES
from dhallmark.verify.protojson import decode_base64


def claimed_payload(bundle: bytes) -> bytes | None:
    """The bytes in a bundle's envelope, of which nothing is verified. None where it has none."""
    try:
        body: Any = strictjson.parse(bundle, max_bytes=MAX_BUNDLE_BYTES)
        return decode_base64(str(body["dsseEnvelope"]["payload"]))
    except (FormatError, ValueError, KeyError, TypeError):
        return None


def claimed_statement(bundle: bytes) -> Mapping[str, Any]:
    """What a bundle claims to state. Empty where there is nothing to be read."""
    payload = claimed_payload(bundle)
    try:
        claimed = strictjson.parse(payload) if payload is not None else None
    except FormatError:
        return {}
    return claimed if isinstance(claimed, dict) else {}


def claimed_type(bundle: bytes) -> str | None:
    """The predicate type that a bundle claims to hold. None where there is none."""
    claimed = claimed_statement(bundle).get("predicateType")
    return claimed if isinstance(claimed, str) else None


def claims_layout(bundle: bytes) -> bool:
    """Whether a bundle claims to hold an in-toto layout."""
    return claimed_statement(bundle).get("_type") == "layout"
