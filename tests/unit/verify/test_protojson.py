"""ProtoJSON: each type of a field, what is absent, and what is refused."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.errors import FormatError
from dhallmark.verify import protojson


def test_what_is_absent_or_null_is_the_default() -> None:
    parents: list[dict[str, object]] = [{}, {"x": None}]
    for parent in parents:
        assert protojson.string(parent, "x", "p") == ""
        assert protojson.octets(parent, "x", "p") == b""
        assert protojson.integer(parent, "x", "p") == 0
        assert protojson.timestamp(parent, "x", "p") is None
        assert protojson.children(parent, "x", "p", limit=1) == ()
        assert protojson.child(parent, "x", "p", frozenset()) is None


@pytest.mark.parametrize(("value", "number"), [("0", 0), ("12", 12), (12, 12), ("9223372036854775807", 2**63 - 1)])
def test_integers_are_strings_or_numbers(value: object, number: int) -> None:
    assert protojson.integer({"x": value}, "x", "p") == number


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05.5Z", datetime(2026, 1, 2, 3, 4, 5, 500_000, tzinfo=UTC)),
        ("2026-01-02T03:04:05.123456789Z", datetime(2026, 1, 2, 3, 4, 5, 123_456, tzinfo=UTC)),
        ("2026-01-02T05:04:05+02:00", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
    ],
)
def test_points_in_time_are_of_a_zone(text: str, moment: datetime) -> None:
    assert protojson.timestamp({"x": text}, "x", "p") == moment


WRONG: dict[Callable[..., object], tuple[object, ...]] = {
    protojson.integer: ("-1", -1, "01", "1.0", 1.0, True, "", " 1", str(2**63), 2**63, [], "\u0661"),
    protojson.string: (1, [], {}, True),
    protojson.octets: (1, [], "A", "AAAAA", "A===", "====", "AA=", "AA==A", "+_AA", "AA AA", "AA\n"),
    protojson.timestamp: (
        0,
        "x",
        "2026-01-02",
        "2026-01-02T03:04:05",
        "2026-13-02T03:04:05Z",
        "2026-01-02 03:04:05Z",
    ),
}


@pytest.mark.parametrize(("read", "value"), [(read, value) for read, values in WRONG.items() for value in values])
def test_another_value_is_an_error_that_names_the_field(read: Callable[..., object], value: object) -> None:
    with pytest.raises(FormatError, match=r"p\.x"):
        read({"x": value}, "x", "p")


def test_messages_have_known_fields_only() -> None:
    fields = frozenset({"a"})
    assert protojson.required({"m": {"a": 1}}, "m", "p", fields) == {"a": 1}
    wrong: list[dict[str, object]] = [{"m": {"b": 1}}, {"m": []}, {"m": 1}, {}, {"m": None}]
    for parent in wrong:
        with pytest.raises(FormatError, match=r"p\.m"):
            protojson.required(parent, "m", "p", fields)


def test_lists_have_a_limit() -> None:
    assert protojson.children({"x": [1, 2]}, "x", "p", limit=2) == [1, 2]
    wrong: list[object] = [[1, 2, 3], {}, "ab", 1]
    for value in wrong:
        with pytest.raises(FormatError, match=r"p\.x"):
            protojson.children({"x": value}, "x", "p", limit=2)


@given(st.binary(max_size=100), st.booleans(), st.booleans())
def test_base64_of_either_alphabet_padded_or_not(content: bytes, url_safe: Any, padded: Any) -> None:  # noqa: ANN401
    encode = base64.urlsafe_b64encode if url_safe else base64.standard_b64encode
    text = encode(content).decode()
    assert protojson.decode_base64(text if padded else text.rstrip("=")) == content
