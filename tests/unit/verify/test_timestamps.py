"""Signed timestamps: each thing that can be wrong with one, and how many count."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st
from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response

from dhallmark.errors import FormatError
from dhallmark.reasons import Reason
from dhallmark.verify.refusal import Refusal
from dhallmark.verify.timestamps import verify_timestamps
from dhallmark.verify.trust import TrustRoot
from dhallmark.verify.tsp import Token

if TYPE_CHECKING:
    from tests.unit.verify.conftest import Instance

SIGNATURE = b"a signature"
NOW = datetime.now(UTC).replace(microsecond=0)


def times(responses: Sequence[bytes], trust: TrustRoot, *, least: int = 0) -> tuple[datetime, ...]:
    return tuple(stamp.time for stamp in verify_timestamps(responses, SIGNATURE, trust, least=least))


@pytest.mark.parametrize("form", [{}, {"attributes": False}, {"pieces": True}, {"attributes": False, "pieces": True}])
def test_a_timestamp_gives_its_time(instance: Instance, form: dict[str, bool]) -> None:
    assert times([instance.stamp(SIGNATURE, at=NOW, **form)], instance.trust()) == (NOW,)  # type: ignore[arg-type]


def _swap(attributes: bytes) -> bytes:
    return attributes.replace(b"\x09\x10\x01\x04", b"\x09\x10\x01\x05")


def _flip(attributes: bytes) -> bytes:
    return attributes[:-1] + bytes([attributes[-1] ^ 1])


_TYPE_VALUE = bytes.fromhex("060b2a864886f70d0109100104")
"""The type of a timestamp's content, as DER."""


def _other(values: str) -> Callable[[bytes], bytes]:
    """Adds an attribute that counts for nothing, with `values` in hex."""
    content = bytes.fromhex("06092a864886f70d010905" + values)
    return lambda attributes: attributes + bytes([0x30, len(content)]) + content


def _unset(attributes: bytes) -> bytes:
    """The values of the type's attribute are a sequence, no set."""
    return attributes.replace(b"\x31\x0d" + _TYPE_VALUE, b"\x30\x0d" + _TYPE_VALUE)


def _double(attributes: bytes) -> bytes:
    """The type's attribute has its value twice."""
    head = bytes.fromhex("06092a864886f70d010903")
    once, twice = (head + bytes([0x31, len(v)]) + v for v in (_TYPE_VALUE, _TYPE_VALUE * 2))
    assert once in attributes
    return attributes.replace(bytes([0x30, len(once)]) + once, bytes([0x30, len(twice)]) + twice)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda i: i.stamp(b"another signature"), "another signature"),
        (lambda i: i.stamp(SIGNATURE, status=1), "granted no timestamp"),
        (lambda i: i.stamp(SIGNATURE, status=2), "granted no timestamp"),
        (lambda i: i.stamp(SIGNATURE, change=_swap), "another type of content"),
        (lambda i: i.stamp(SIGNATURE, change=_unset), "timestamp: "),
        (lambda i: i.stamp(SIGNATURE, change=_other("30020500")), "timestamp: "),
        (lambda i: i.stamp(SIGNATURE, change=_other("3102ffff")), "timestamp: "),
        (lambda i: i.stamp(SIGNATURE, change=_other("3106020102020101")), "timestamp: "),
        (lambda i: i.stamp(SIGNATURE, change=_double), "another type of content"),
        (lambda i: i.stamp(SIGNATURE, change=_flip), "not signed by"),
        (lambda i: i.stamp(SIGNATURE, change=lambda a: a + a), "stands twice"),
        (lambda i: i.stamp(SIGNATURE, change=lambda _: b""), "another type of content"),
        (lambda i: i.stamp(SIGNATURE)[:-1], "timestamp: "),
        (lambda i: i.stamp(SIGNATURE) + b"\0", "timestamp: "),
        (lambda i: _flip(i.stamp(SIGNATURE)), "not signed by"),
        (lambda i: i.stamp(SIGNATURE, at=NOW - timedelta(days=400)), "not valid"),
        (lambda _: b"", "timestamp: "),
    ],
)
def test_another_timestamp_is_refused(instance: Instance, make: Callable[[Instance], bytes], said: str) -> None:
    with pytest.raises(Refusal, match=said) as refused:
        times([make(instance)], instance.trust())
    assert refused.value.reason is Reason.TIMESTAMP_INVALID


def test_signed_attributes_are_no_timestamp_of_their_own(instance: Instance) -> None:
    """A signature over attributes, offered as one over a content without attributes, has a content of another type."""
    token = instance.stamp(SIGNATURE)
    attributes = bytes(Token.parse(token).signer.attributes.data)  # type: ignore[union-attr]
    with pytest.raises((FormatError, ValueError)):
        Token.parse(token.replace(Token.parse(token).info, attributes))


def test_an_authority_that_is_not_trusted_counts_for_nothing(instance: Instance, stranger: Instance) -> None:
    theirs, ours = stranger.stamp(SIGNATURE, at=NOW), instance.stamp(SIGNATURE, at=NOW)
    assert times([theirs, ours], instance.trust()) == (NOW,)
    with pytest.raises(Refusal, match="not signed by an authority"):
        times([theirs], instance.trust())
    with pytest.raises(Refusal, match="has no timestamp authority"):
        times([ours], instance.trust(lambda root: root.update(timestampAuthorities=[])))


def test_timestamps_of_one_authority_count_once(instance: Instance, stranger: Instance) -> None:
    two = [instance.stamp(SIGNATURE, at=NOW - timedelta(seconds=n)) for n in range(2)]
    assert len(times(two, instance.trust(), least=1)) == 2
    with pytest.raises(Refusal) as refused:
        times(two, instance.trust(), least=2)
    assert refused.value.reason is Reason.TIMESTAMP_MISSING
    with pytest.raises(Refusal) as refused:
        times([], instance.trust(), least=1)
    assert refused.value.reason is Reason.TIMESTAMP_MISSING

    def believe(root: dict[str, Any]) -> None:
        root["timestampAuthorities"] += stranger.trusted_root()["timestampAuthorities"]

    assert len(times([two[0], stranger.stamp(SIGNATURE)], instance.trust(believe), least=2)) == 2


@pytest.mark.parametrize(
    ("start", "end", "good"),
    [
        (NOW, NOW, True),
        (NOW - timedelta(days=1), NOW - timedelta(seconds=1), False),
        (NOW + timedelta(seconds=1), None, False),
    ],
)
def test_an_authoritys_time_has_both_its_ends(
    instance: Instance, start: datetime, end: datetime | None, *, good: bool
) -> None:
    period = {"start": start.isoformat(), "end": end and end.isoformat()}
    trust = instance.trust(lambda root: root["timestampAuthorities"][0].update(validFor=period))
    token = instance.stamp(SIGNATURE, at=NOW)
    if good:
        assert times([token], trust) == (NOW,)
    else:
        with pytest.raises(Refusal, match="was not valid"):
            times([token], trust)


def test_the_time_of_one_authority_is_not_lent_to_another(instance: Instance, stranger: Instance) -> None:
    def retire(root: dict[str, Any]) -> None:
        root["timestampAuthorities"][0]["validFor"]["end"] = (NOW - timedelta(days=1)).isoformat()
        root["timestampAuthorities"] += stranger.trusted_root()["timestampAuthorities"]

    with pytest.raises(Refusal, match="was not valid"):
        times([instance.stamp(SIGNATURE, at=NOW)], instance.trust(retire))


def test_a_certificate_for_something_else_signs_no_timestamps(instance: Instance) -> None:
    """The code-signing chain in the place of the authority's: the key would verify, its purpose does not."""
    trust = instance.trust(
        lambda root: root["timestampAuthorities"][0].update(certChain=root["certificateAuthorities"][0]["certChain"])
    )
    assert trust.timestamp_authorities[0].flaw == "the timestamp authority's certificate is not for timestamps alone"
    with pytest.raises(Refusal, match="not for timestamps alone"):
        times([instance.stamp(SIGNATURE)], trust)


@pytest.mark.parametrize("form", [{}, {"change": _flip}])
def test_the_library_agrees(instance: Instance, form: dict[str, Any]) -> None:
    """rfc3161-client is the oracle, where it reads a form at all."""
    token = instance.stamp(SIGNATURE, at=NOW, **form)
    chain = instance.timestamp.certificates
    verifier = VerifierBuilder().tsa_certificate(chain[0]).add_root_certificate(chain[-1]).build()
    try:
        verifier.verify_message(decode_timestamp_response(token), SIGNATURE)
        library = True
    except VerificationError:
        library = False
    try:
        times([token], instance.trust())
        ours = True
    except Refusal:
        ours = False
    assert library is ours is (not form)


def test_no_flipped_bit_gives_another_time(instance: Instance) -> None:
    token, trust = instance.stamp(SIGNATURE, at=NOW), instance.trust()
    for position in range(len(token) * 8):
        changed = bytearray(token)
        changed[position // 8] ^= 1 << position % 8
        with contextlib.suppress(Refusal):
            assert times([bytes(changed)], trust) == (NOW,), position


@given(st.binary(max_size=300))
def test_any_bytes_are_a_refusal(content: bytes) -> None:
    trust = TrustRoot(logs={}, ct_logs={}, certificate_authorities=(), timestamp_authorities=())
    with pytest.raises(Refusal):
        times([content], trust)


def test_the_trust_roots_certificates_are_what_the_instance_made(instance: Instance) -> None:
    root = json.loads(json.dumps(instance.trusted_root()))
    assert len(root["timestampAuthorities"][0]["certChain"]["certificates"]) == 2
    chain = instance.trust().timestamp_authorities[0].chain
    assert [c.public_bytes(Encoding.DER) for c in chain] == [
        c.public_bytes(Encoding.DER) for c in instance.timestamp.certificates
    ]
