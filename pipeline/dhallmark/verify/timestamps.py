"""Signed timestamps: when a signature existed, by the word of a timestamp authority.

Source: RFC 3161; sigstore's client specification, "Time of signing".
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature

from dhallmark.reasons import Reason
from dhallmark.verify.authority import Authority
from dhallmark.verify.refusal import Refusal, border
from dhallmark.verify.trust import TrustRoot
from dhallmark.verify.tsp import Token

MAX_TIMESTAMPS = 32
"""More are refused before any is looked at: each costs a signature check."""


class Stamp(NamedTuple):
    """A verified timestamp."""

    time: datetime
    authority: bytes
    """Whose it is: the fingerprint of the authority's certificate."""


def verify_timestamps(
    responses: Sequence[bytes], signature: bytes, trust: TrustRoot, *, least: int = 0
) -> tuple[Stamp, ...]:
    """The times at which trusted authorities saw `signature`; at least one, unless `responses` is empty.

    A timestamp of an authority that is not trusted counts for nothing, and harms nothing beside one that is. Two
    timestamps of one authority count once towards `least`.
    """
    if len(responses) > MAX_TIMESTAMPS:
        raise Refusal(
            Reason.TIMESTAMP_INVALID, "too many timestamps", expected=str(MAX_TIMESTAMPS), found=str(len(responses))
        )
    if len(responses) > 1 and len(set(responses)) != len(responses):
        raise Refusal(Reason.TIMESTAMP_INVALID, "a timestamp stands twice in the bundle")
    stamps: list[Stamp] = []
    said: Refusal | None = None
    for content in responses:
        with border(Reason.TIMESTAMP_INVALID, "timestamp"):
            token = Token.parse(content)
        try:
            stamps.append(_verify(token, signature, trust))
        except Refusal as refusal:
            said = refusal
    if said is not None and not stamps:
        raise said
    count = len({stamp.authority for stamp in stamps})
    if count < least:
        raise Refusal(
            Reason.TIMESTAMP_MISSING,
            "too few authorities signed a timestamp",
            expected=str(least),
            found=str(count),
        )
    return tuple(stamps)


def _verify(token: Token, signature: bytes, trust: TrustRoot) -> Stamp:
    if not token.is_of(signature):
        raise Refusal(Reason.TIMESTAMP_INVALID, "the timestamp is of another signature than the bundle's")
    said: Refusal | None = None
    for authority in trust.timestamp_authorities:
        try:
            with border(Reason.TIMESTAMP_INVALID, "timestamp"):
                return _verify_by(token, authority)
        except Refusal as refusal:
            # That it was not valid says more than that another one did not sign.
            said = said if said is not None and said.evidence else refusal
    raise said or Refusal(Reason.TIMESTAMP_INVALID, "the trust root has no timestamp authority")


def _verify_by(token: Token, authority: Authority) -> Stamp:
    if authority.flaw is not None:
        raise Refusal(Reason.TIMESTAMP_INVALID, authority.flaw)
    try:
        token.verify(authority.key)
    except InvalidSignature as error:
        raise Refusal(
            Reason.TIMESTAMP_INVALID, "the timestamp is not signed by an authority of the trust root"
        ) from error
    if authority.outside((token.time,)):
        raise Refusal(
            Reason.TIMESTAMP_INVALID,
            "signed when the timestamp authority was not valid",
            expected=f"{authority.period}, and {authority.validity}",
            found=token.time.isoformat(),
        )
    return Stamp(token.time, authority.fingerprint)
