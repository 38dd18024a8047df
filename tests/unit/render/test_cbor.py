import hashlib
from contextlib import suppress
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.errors import RenderError
from dhallmark.render import cbor

EXPRESSIONS: st.SearchStrategy[Any] = st.recursive(
    st.booleans() | st.floats(allow_nan=False) | st.text() | st.integers() | st.binary() | st.none(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(EXPRESSIONS)
def test_what_cbor_encodes_is_read_back(value: object) -> None:
    assert cbor.decode(cbor2.dumps(value), what="x") == value


@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_a_render_error(content: bytes) -> None:
    with suppress(RenderError):
        cbor.decode(content, what="x")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty", b""),
        ("cut", cbor2.dumps([1, 2, 3])[:-1]),
        ("trailing", cbor2.dumps([1]) + b"\x00"),
        ("deep", b"\x81" * 100_000 + b"\x00"),
        ("long array", bytes.fromhex("9bffffffffffffffff")),
        ("long text", bytes.fromhex("7bffffffffffffffff")),
        ("indefinite array", bytes.fromhex("9f01ff")),
        ("indefinite text", bytes.fromhex("7f6161ff")),
        ("duplicate key", bytes.fromhex("a2616101616102")),
        ("array as key", bytes.fromhex("a1800 1".replace(" ", ""))),
        ("integer as key", bytes.fromhex("a10101")),
        ("not UTF-8", bytes.fromhex("61ff")),
        ("cyclic", bytes.fromhex("d81c81d81d00")),
        ("undefined", bytes.fromhex("f7f7")),
    ],
)
def test_hostile_bytes_are_refused(name: str, content: bytes) -> None:
    with pytest.raises(RenderError):
        cbor.decode(content, what=name)


ITEMS = [0, 1, "a", b"a", [], [0, 1], [-2, 27315], {}, ["a", 1], 1.5]


@pytest.mark.parametrize("tag", [*range(300), 1004, 43000, 55799, 2**32])
def test_no_tag_but_those_of_numbers_has_a_meaning(tag: int) -> None:
    for item in ITEMS:
        content = cbor2.dumps(cbor2.CBORTag(tag, item))
        if tag in (2, 3, 4):
            continue
        with pytest.raises(RenderError):
            cbor.decode(content, what="x")


def test_bignums_are_read() -> None:
    assert cbor.decode(cbor2.dumps([15, 10**40]), what="x") == [15, 10**40]


def test_a_text_that_is_too_long_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cbor, "MAX_BYTES", 10)
    with pytest.raises(RenderError, match="11 bytes"):
        cbor.decode(b"\x00" * 11, what="x")


@pytest.mark.parametrize("count", [1, 5, 23, 24, 30, 300])
def test_a_record_is_cut_into_the_encodings_of_its_fields(count: int) -> None:
    names = [f"name_{index:03}" for index in range(count)]
    values = {name: [18, name.upper()] for name in names}
    found = cbor.split_record(cbor2.dumps([8, values]), names, what="x")
    assert found == {name: cbor2.dumps(value) for name, value in values.items()}


NAMES = ["name_0", "name_1"]
GOOD = cbor2.dumps([8, {"name_0": [15, 1], "name_1": [15, 2]}])


@pytest.mark.parametrize(
    ("case", "content"),
    [
        ("empty", b""),
        ("type", cbor2.dumps([7, {"name_0": 1, "name_1": 2}])),
        ("missing", cbor2.dumps([8, {"name_0": 1, "other": 2}])),
        ("more", cbor2.dumps([8, {"name_0": 1, "name_1": 2, "other": 3}])),
        ("order", cbor2.dumps([8, {"name_1": 1, "name_0": 2}])),
        ("name inside", cbor2.dumps([8, {"name_0": [18, "name_1"], "name_1": 2}])),
    ],
)
def test_another_record_is_refused(case: str, content: bytes) -> None:
    with pytest.raises(RenderError):
        cbor.split_record(content, NAMES, what=case)


def test_the_cut_bytes_are_what_the_semantic_hash_is_of() -> None:
    field = cbor.split_record(GOOD, NAMES, what="x")["name_1"]
    assert hashlib.sha256(field).digest() == hashlib.sha256(bytes.fromhex("820f02")).digest()
