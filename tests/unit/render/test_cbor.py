import gc
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


PREFIX = "nd41d8cd98f00b204e9800998ecf8427e_"


def record(count: int) -> tuple[list[str], bytes]:
    names = cbor.field_names(PREFIX, count)
    return names, cbor2.dumps([8, {name: [18, f"text {index}"] for index, name in enumerate(names)}])


@pytest.mark.parametrize("count", [1, 5, 23, 24, 30, 255, 256, 300, 66_000])
def test_a_record_is_cut_into_the_encodings_of_its_fields(count: int) -> None:
    names, content = record(count)
    found = cbor.split_record(content, names, prefix=PREFIX, what="x")
    assert found == [cbor2.dumps([18, f"text {index}"]) for index in range(count)]


A, B = cbor.field_names(PREFIX, 2)


@pytest.mark.parametrize(
    ("case", "content"),
    [
        ("empty", b""),
        ("no record", cbor2.dumps([7, {A: 1, B: 2}])),
        ("missing", cbor2.dumps([8, {A: 1, "other": 2}])),
        ("more", cbor2.dumps([8, {A: 1, B: 2, "other": 3}])),
        ("first", cbor2.dumps([8, {"other": 3, A: 1}])),
        ("order", cbor2.dumps([8, {B: 1, A: 2}])),
        ("name inside", cbor2.dumps([8, {A: [18, B], B: 2}])),
        ("name as a value", cbor2.dumps([8, {A: B, "x": 2}])),
    ],
)
def test_another_record_is_refused(case: str, content: bytes) -> None:
    with pytest.raises(RenderError):
        cbor.split_record(content, [A, B], prefix=PREFIX, what=case)


def test_an_empty_record_has_no_fields_to_cut() -> None:
    with pytest.raises(RenderError):
        cbor.split_record(b"\x82\x08\xa0", [], prefix=PREFIX, what="x")


def test_the_cut_bytes_are_what_the_semantic_hash_is_of() -> None:
    # `dhall hash <<< 2` in Dhall 1.42.1: the SHA-256 of the CBOR array [15, 2].
    field = cbor.split_record(cbor2.dumps([8, {A: [15, 1], B: [15, 2]}]), [A, B], prefix=PREFIX, what="x")[1]
    assert hashlib.sha256(field).hexdigest() == "4caf97e8c445d4d4b5c5b992973e098ed4ae88a355915f5a59db640a589bc9cb"


@pytest.mark.parametrize("enabled", [True, False])
def test_the_cycle_collector_is_left_as_it_was(*, enabled: bool) -> None:
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        cbor.decode(cbor2.dumps([1]), what="x")
        assert gc.isenabled() is enabled
        with pytest.raises(RenderError):
            cbor.decode(b"", what="x")
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()
