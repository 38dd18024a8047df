"""Rules of dhall-json. The rows that dhall-to-json 1.7.6 can read (no Bytes, no dates) were compared with it."""

from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.errors import RenderError
from dhallmark.render.values import list_items, to_json

UNION = [11, {"A": "Natural", "B": None}]
NESTING = [11, {"Inline": None, "Nested": "Text"}]
JSON_RECORD = [7, dict.fromkeys(["array", "bool", "double", "integer", "null", "object", "string"], "Text")]


def text(value: str) -> list[object]:
    return [18, value]


def entry(key: str, value: object) -> list[object]:
    return [8, {"mapKey": text(key), "mapValue": value}]


def prelude(value: object) -> list[object]:
    return [1, "Type", [1, JSON_RECORD, value]]


def constructor(name: str, value: object) -> list[object]:
    return [0, [9, 0, name], value]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (True, True),
        ([15, 7], 7),
        ([15, 10**30], 10**30),
        ([16, -3], -3),
        (1.5, 1.5),
        (-0.0, 0), (2.0, 2), (1e22, 1e22),
        (text("a"), "a"),
        ([33, b"\x00\xff"], "00ff"),
        ([30, 2024, 2, 9], "2024-02-09"),
        ([31, 7, 5, Decimal(3)], "07:05:03"),
        ([31, 7, 5, Decimal("3.250")], "07:05:03.250"),
        ([32, True, 2, 0], "+02:00"),
        ([32, False, 11, 30], "-11:30"),
        ([5, None, [15, 1]], 1),
        ([0, "None", "Natural"], None),
        ([4, None, [15, 1], [0, "None", "Natural"]], [1, None]),
        ([4, "Natural"], []),
        ([28, [0, "List", "Natural"]], []),
        ([8, {"b": [15, 1], "a": [0, "None", "Text"]}], {"b": 1}),
        ([8, {"a": [8, {"b": [0, "None", "Text"]}]}], {"a": {}}),
        ([9, UNION, "B"], "B"),
        ([0, [9, UNION, "A"], [15, 3]], 3),
        ([4, None, entry("x", text("1")), entry("y", text("2"))], {"x": "1", "y": "2"}),
        ([4, None, entry("x", text("1")), entry("x", text("2"))], {"x": "2"}),
        ([4, None, entry("x", [0, "None", "Text"])], {}),
        ([4, [7, {"mapKey": "Text", "mapValue": "Natural"}]], {}),
        ([4, None, [8, {"mapKey": [15, 1], "mapValue": [15, 2]}]], [{"mapKey": 1, "mapValue": 2}]),
        ([8, {"contents": [0, [9, UNION, "A"], [8, {"x": [15, 1]}]], "field": text("kind"),
              "nesting": [9, NESTING, "Inline"]}], {"kind": "A", "x": 1}),
        ([8, {"contents": [0, [9, UNION, "A"], [15, 1]], "field": text("kind"),
              "nesting": [0, [9, NESTING, "Nested"], text("value")]}], {"kind": "A", "value": 1}),
        ([8, {"contents": [9, UNION, "B"], "field": text("kind"), "nesting": [9, NESTING, "Inline"]}], {"kind": "B"}),
        ([8, {"contents": text("c"), "field": text("f"), "nesting": text("n")}],
         {"contents": "c", "field": "f", "nesting": "n"}),
        (prelude([9, 0, "null"]), None),
        (prelude(constructor("bool", value=True)), True),
        (prelude(constructor("double", 1.0)), 1),
        (prelude(constructor("integer", [16, 5])), 5),
        (prelude(constructor("string", text("s"))), "s"),
        (prelude(constructor("array", [4, None, constructor("bool", value=False), [9, 0, "null"]])), [False, None]),
        (prelude(constructor("object", [4, None, entry("k", constructor("string", text("v")))])), {"k": "v"}),
        (prelude(constructor("object", [4, [7, {}]])), {}),
        ([8, {"x": prelude([9, 0, "null"])}], {}),
    ],
)  # fmt: skip
def test_a_value_has_the_json_of_dhall_json(expression: object, expected: object) -> None:
    found = to_json(expression)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("expression", "path"),
    [
        ([8, {"x": "Natural"}], "x"),
        ([8, {"x": [8, {"y": [1, "Natural", 0]}]}], "x.y"),
        ([4, None, [15, 1], [7, {}]], r"\[1\]"),
        ([8, {"x": [18, "a", 0, "b"]}], "x"),
        ([8, {"x": float("nan")}], "x"),
        ([8, {"x": float("-inf")}], "x"),
        ([8, {"x": [15, -1]}], "x"),
        ([8, {"x": [15, True]}], "x"),
        ([8, {"x": [9, UNION, "A!"]}], "x"),
        ([8, {"x": [0, [9, UNION, "C"], [15, 1]]}], "x"),
        ([8, {"x": prelude(constructor("number", text("1")))}], "x"),
        ([8, {"x": [1, "Type", [1, [7, {}], [9, 0, "null"]]]}], "x"),
        ([8, {"x": {}}], "x"),
        ([8, {"x": []}], "x"),
        ([8, {"contents": [0, [9, UNION, "A"], [15, 1]], "field": text("kind"), "nesting": [9, NESTING, "Inline"]}],
         "the value"),
    ],
)  # fmt: skip
def test_what_has_no_json_is_an_error_that_names_the_field(expression: object, path: str) -> None:
    with pytest.raises(RenderError, match=f"^{path}: "):
        to_json(expression)


JUNK: st.SearchStrategy[Any] = st.recursive(
    st.booleans() | st.floats() | st.text(max_size=5) | st.integers(0, 40) | st.none() | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(
            st.sampled_from(["mapKey", "mapValue", "contents", "field", "nesting", "x"]) | st.integers(), inner
        )
    ),
    max_leaves=30,
)


@given(JUNK)
def test_any_expression_gives_json_or_a_render_error(expression: object) -> None:
    with suppress(RenderError):
        to_json(expression)


def test_an_endless_value_is_refused() -> None:
    loop: list[Any] = [5, None]
    loop.append(loop)
    with pytest.raises(RenderError, match="too deeply"):
        to_json(loop)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ([4, None, 1, 2], [1, 2]),
        ([4, "Natural"], []),
        ([28, "T"], []),
        ([8, {}], None),
        (True, None),
        ([4, None], None),
    ],
)
def test_items_of_a_list(expression: object, expected: object) -> None:
    assert list_items(expression) == expected
