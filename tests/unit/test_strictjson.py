import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhallmark import strictjson
from dhallmark.errors import FormatError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_what_is_dumped_is_parsed_again(value: object) -> None:
    assert strictjson.parse(strictjson.dump(value)) == value
    assert strictjson.parse(strictjson.dump_compact(value)) == value


@given(st.binary())
def test_any_bytes_give_a_value_or_a_format_error(content: bytes) -> None:
    try:
        value = strictjson.parse(content)
    except FormatError:
        return
    assert value == json.loads(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a":1,"a":2}', "twice"),
        (b'{"a":{"b":1,"\\u0062":2}}', "twice"),
        (b"NaN", "NaN"),
        (b"[-Infinity]", "Infinity"),
        (b"1e999", "out of range"),
        (b"9" * 41, "41 digits"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b"\xff", "not UTF-8"),
        (b'"\\ud800"', "surrogate"),
        (b'{"\\ud800":1}', "surrogate"),
        (b'["\\udfff"]', "surrogate"),
        (b"[" * 100 + b"]" * 100, "deeper than 64"),
        (b"[" * 100_000, "deeper than 64"),
        (b"{} {}", "Extra data"),
        (b"", "Expecting value"),
        (b"{'a':1}", "property name"),
        (b"01", "Extra data"),
    ],
)
def test_a_text_with_two_readings_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        strictjson.parse(content)


def test_brackets_in_strings_are_not_nesting() -> None:
    text = "[{" * 100
    assert strictjson.parse(json.dumps({"a": text + '"\\'}).encode()) == {"a": text + '"\\'}


def test_a_text_over_the_limit_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(FormatError, match="more than the 10 allowed"):
        strictjson.parse(b"[" + b" " * 20, max_bytes=10)


class Encoded:
    """A list that is encoded already."""

    def __init__(self, items: list[object]) -> None:
        self._items = items

    def lines(self) -> list[bytes]:
        return [strictjson.dump_compact(item) for item in self._items]


@given(st.dictionaries(st.text(), st.none() | st.text() | st.lists(st.text() | st.integers(), max_size=2), max_size=4))
def test_pieces_are_what_dump_writes(body: dict[str, object]) -> None:
    assert b"".join(strictjson.dump_pieces(body)) == strictjson.dump(body)


@pytest.mark.parametrize("items", [[], [{"a": "x\ny"}], [{"a": 1}, {"b": [2]}]])
def test_a_list_that_is_encoded_already_stands_one_item_a_line(items: list[object]) -> None:
    text = b"".join(strictjson.dump_pieces({"schema": "x", "items": Encoded(items)}))
    assert strictjson.parse(text) == {"schema": "x", "items": items}
    assert len(text.splitlines()) == len(items) + (5 if items else 4)


@pytest.mark.parametrize(("start", "end"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_nesting_ends_at_its_limit_and_nowhere_else(start: bytes, end: bytes) -> None:
    strictjson.parse(start * strictjson.MAX_DEPTH + b"1" + end * strictjson.MAX_DEPTH)
    for depth in (strictjson.MAX_DEPTH + 1, 100_000):
        with pytest.raises(FormatError, match="deeper than 64"):
            strictjson.parse(start * depth + b"1" + end * depth)
