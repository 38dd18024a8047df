"""Signed timestamps: when a signature existed, by the word of a timestamp authority.

Source: RFC 3161; sigstore's client specification, "Time of signing".
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from rfc3161_client import TimeStampResponse, VerifierBuilder, decode_timestamp_response

from dhallmark.reasons import Reason
from dhallmark.verify.refusal import Refusal, border
from dhallmark.verify.trust import Authority, TrustRoot

MAX_TIMESTAMPS = 32
"""More are refused before any is looked at: each costs a signature check."""


def verify_timestamps(responses: Sequence[bytes], signature: bytes, trust: TrustRoot) -> tuple[datetime, ...]:
    """The times at which trusted authorities saw `signature`; at least one, unless `responses` is empty.

    A timestamp of an authority that is not trusted counts for nothing, and harms nothing beside one that is.
    """
    if len(responses) > MAX_TIMESTAMPS:
        raise Refusal(
            Reason.TIMESTAMP_INVALID, "too many timestamps", expected=str(MAX_TIMESTAMPS), found=str(len(responses))
        )
    if len(set(responses)) != len(responses):
        raise Refusal(Reason.TIMESTAMP_INVALID, "a timestamp stands twice in the bundle")
    times: list[datetime] = []
    said = ""
    for content in responses:
        with border(Reason.TIMESTAMP_INVALID, "timestamp"):
            response = decode_timestamp_response(content)
        try:
            times.append(_verify(response, signature, trust))
        except Refusal as refusal:
            said = refusal.detail
    if responses and not times:
        raise Refusal(Reason.TIMESTAMP_INVALID, said)
    return tuple(times)


def _verify(response: TimeStampResponse, signature: bytes, trust: TrustRoot) -> datetime:
    said = "the trust root has no timestamp authority"
    for authority in trust.timestamp_authorities:
        try:
            with border(Reason.TIMESTAMP_INVALID, "timestamp"):
                return _verify_by(response, signature, authority)
        except Refusal as refusal:
            said = refusal.detail
    raise Refusal(Reason.TIMESTAMP_INVALID, said)


def _verify_by(response: TimeStampResponse, signature: bytes, authority: Authority) -> datetime:
    builder = VerifierBuilder().tsa_certificate(authority.chain[0]).add_root_certificate(authority.chain[-1])
    for certificate in authority.chain[1:-1]:
        builder = builder.add_intermediate_certificate(certificate)
    builder.build().verify_message(response, signature)
    moment = response.tst_info.gen_time
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if not authority.period.contains(moment):
        raise Refusal(
            Reason.TIMESTAMP_INVALID,
            "signed when the timestamp authority was not valid",
            expected=str(authority.period),
            found=moment.isoformat(),
        )
    return moment
