"""YAML with one meaning: what is read, what is refused, and where it stands."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.config import strictyaml
from dhallmark.errors import ConfigError


def value_of(text: str) -> object:
    return strictyaml.parse(text.encode(), file="f.yaml").value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("# a comment\n", None),
        ("a: no", {"a": "no"}),
        ("a: on", {"a": "on"}),
        ("a: 12:30:45", {"a": "12:30:45"}),
        ("a: 2026-01-01", {"a": "2026-01-01"}),
        ("a: 010", {"a": 10}),
        ("a: 0o10", {"a": 8}),
        ("a: 0x10", {"a": 16}),
        ("a: 1_000", {"a": "1_000"}),
        ("a: 1.10", {"a": 1.1}),
        ("a: '1.10'", {"a": "1.10"}),
        ("a: -1e3", {"a": -1000.0}),
        ("a: .", {"a": "."}),
        ("a: True", {"a": True}),
        ("a: 'true'", {"a": "true"}),
        ("a: ~\nb:\nc: null", {"a": None, "b": None, "c": None}),
        ("- 1\n- [x, {y: z}]", [1, ["x", {"y": "z"}]]),
        ("'<<': 1", {"<<": 1}),
        ("a: |\n  one\n  two\n", {"a": "one\ntwo\n"}),
        ("---\na: 1\n...\n", {"a": 1}),
    ],
)
def test_scalars_follow_the_core_schema(text: str, value: object) -> None:
    assert value_of(text) == value


@pytest.mark.parametrize(
    ("text", "line", "column", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, 1, "a second 'a' in one mapping"),
        ("x:\n  a: 1\n  'a': 3\n", 3, 3, "a second 'a' in one mapping"),
        ("a: &x 1\n", 1, 4, "an anchor (&x)"),
        ("a: [1]\nb: *a\n", 2, 4, "an alias (*a)"),
        ("a: !!str 1\n", 1, 4, "a tag"),
        ("a: !!python/object/apply:os.system [x]\n", 1, 4, "a tag"),
        ("a:\n  <<: {b: 1}\n", 2, 3, "a merge key"),
        ("a: 1\n---\nb: 2\n", 2, 1, "a second document"),
        ("%YAML 1.1\n---\na: 1\n", 1, 1, "a directive"),
        ("1: a\n", 1, 1, "a key that is no string"),
        ("? [a]\n: 1\n", 1, 3, "a key that is no string"),
        ("a: [1\n", 2, 1, "not YAML"),
        ("a: b: c\n", 1, 5, "not YAML"),
        ("a: " + "9" * 41, 1, 4, "a number of 41 digits"),
        ("a: 1e999", 1, 4, "a number out of range"),
        ('a: "\\uD800"', 1, 4, "a lone surrogate"),
        ("[" * 100, 1, 34, "nested deeper"),
    ],
)
def test_what_has_two_meanings_is_refused_with_its_position(text: str, line: int, column: int, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        value_of(text)
    where = caught.value.where
    assert where
    assert (where.file, where.line, where.column) == ("f.yaml", line, column)
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xef\xbb\xbfa: 1", "byte order mark"),
        (b"a: 1\nb: \xff", "not UTF-8"),
        (b"\xff\xfea\x00", "not UTF-8"),
        (b"a: \x00", "not allowed"),
        (b'a: "\\U7FFFFFFF"', "not allowed"),
        (b"#" * (strictyaml.MAX_BYTES + 1), "more than the"),
    ],
)
def test_bytes_that_are_no_text_are_refused(content: bytes, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        strictyaml.parse(content, file="f.yaml")


def test_every_key_and_item_has_its_position() -> None:
    document = strictyaml.parse(b"a:\n  b:\n    - x\n    - c: 1\n", file="f")
    assert document.positions == {
        (): strictyaml.Position(1, 1),
        ("a",): strictyaml.Position(1, 1),
        ("a", "b"): strictyaml.Position(2, 3),
        ("a", "b", 0): strictyaml.Position(3, 7),
        ("a", "b", 1): strictyaml.Position(4, 7),
        ("a", "b", 1, "c"): strictyaml.Position(4, 7),
    }


@given(
    st.one_of(
        st.binary(max_size=200),
        st.text(alphabet="abc:-[]{}?!&*<>|%#'\"\\ \n\t,0u1U~", max_size=80).map(str.encode),
    )
)
def test_any_bytes_give_a_document_or_an_error(content: bytes) -> None:
    try:
        value = strictyaml.parse(content, file="f").value
    except ConfigError as error:
        value = str(error.where)
    assert isinstance(value, dict | list | str | int | float | bool | None)
    assert value != "None"
