"""What a bundle claims to hold, before anything of it is verified: for explaining and sorting, never for deciding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from dhallmark import strictjson
from dhallmark.digest import Digest
from dhallmark.errors import FormatError
from dhallmark.verify.parse import MAX_BUNDLE_BYTES
from dhallmark.verify.protojson import decode_base64

_MAX_SUBJECTS: Final = 10_000
_SHA256_BYTES: Final = 32


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
    return type_of(claimed_statement(bundle))


def claims_layout(bundle: bytes) -> bool:
    """Whether a bundle claims to hold an in-toto layout."""
    return is_layout(claimed_statement(bundle))


def type_of(claimed: Mapping[str, Any]) -> str | None:
    """The predicate type of what a bundle claims to state. None where there is none."""
    found = claimed.get("predicateType")
    return found if isinstance(found, str) else None


def is_layout(claimed: Mapping[str, Any]) -> bool:
    """Whether what a bundle claims to state is an in-toto layout."""
    return claimed.get("_type") == "layout"


def claimed_digests(bundle: bytes) -> Iterator[Digest]:
    """The SHA-256 digests that a bundle claims to be about: its subjects', or that of the file whose bytes it signs."""
    subjects = claimed_statement(bundle).get("subject")
    for item in subjects[:_MAX_SUBJECTS] if isinstance(subjects, list) else []:
        digests = item.get("digest") if isinstance(item, dict) else None
        sha256 = digests.get("sha256") if isinstance(digests, dict) else None
        if isinstance(sha256, str):
            try:
                yield Digest.from_hex(sha256)
            except FormatError:
                continue
    yield from _claimed_message(bundle)


def _claimed_message(bundle: bytes) -> Iterator[Digest]:
    try:
        body: Any = strictjson.parse(bundle, max_bytes=MAX_BUNDLE_BYTES)
        digest = decode_base64(str(body["messageSignature"]["messageDigest"]["digest"]))
    except (FormatError, ValueError, KeyError, TypeError):
        return
    if len(digest) == _SHA256_BYTES:
        yield Digest.from_hex(digest.hex())
