"""DER as the library reads it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography.hazmat import asn1
from cryptography.x509 import ObjectIdentifier
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.controls.forging import der


@given(st.integers(min_value=-(2**200), max_value=2**200))
def test_integers_are_the_shortest_that_can_be(value: int) -> None:
    encoded = der.integer(value)
    body = encoded[2:]
    assert int.from_bytes(body, "big", signed=True) == value
    assert len(body) == 1 or not (body[0] == 0 and body[1] < 0x80) or value == 0


@pytest.mark.parametrize("size", [0, 127, 128, 255, 256, 70_000])
def test_lengths_are_read_back(size: int) -> None:
    assert asn1.decode_der(bytes, der.octets(b"x" * size)) == b"x" * size
    assert asn1.decode_der(str, der.text("y" * size)) == "y" * size


@pytest.mark.parametrize("text", ["1.2.840.113549.1.7.2", "2.16.840.1.101.3.4.2.1", "1.3.6.1.4.1.57264.2", "0.9"])
def test_object_identifiers_are_read_back(text: str) -> None:
    assert asn1.decode_der(ObjectIdentifier, der.oid(ObjectIdentifier(text))).dotted_string == text


def test_a_set_is_sorted_and_a_time_is_in_whole_seconds() -> None:
    assert der.set_of(b"\x02\x01\x02", b"\x02\x01\x01") == b"\x31\x06\x02\x01\x01\x02\x01\x02"
    assert der.generalized_time(datetime(2026, 11, 22, 1, 2, 3, tzinfo=UTC)) == b"\x18\x0f20261122010203Z"
    assert der.sequence(der.null(), der.tagged(3)) == b"\x30\x04\x05\x00\xa3\x00"
