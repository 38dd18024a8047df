import io
import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from dhallmark.render.manifest import escape_template, to_yaml
from dhallmark.render.values import Json

# What YAML can hold at all: no surrogates. Numbers as Dhall has them.
TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]))
TRICKY = st.sampled_from(
    ["", "~", "null", "NULL", "true", "Yes", "on", "y", "N", "0o17", "017", "0x1F", "1e3", "1_000", "+1", ".5", ".inf",
     ".NaN", "1:30", "2024-01-01", "2024-01-01T00:00:00Z", "=", "<<", "!tag", "&a", "*a", "- a", "? a", "a: b", "a #b",
     "a:", ":a", "@a", "`a`", "%a", "|", ">", "[a]", "{a}", "a,b", "'", '"', "\\", " a", "a ", "\ta", "a\t", "a\nb",
     "a\nb\n", "a\nb\n\n", "\na", " a\nb", "a\n b\nc", "a\n \nb", "a \nb", "---", "...", "--- a", "a\n---\nb", "a\r\nb",
     "a\x85b", "a\u2028b", "\ufeffa", "é", "日本", "\x7f", "\x00", "😀", "nan", "inf", "{{ x }}", "a\t\nb", "\n",
     "\n\n"]
)  # fmt: skip
STRINGS = TEXT | TRICKY
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | STRINGS
JSON: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(STRINGS, inner, max_size=4), max_leaves=15
)


def same(a: object, b: object) -> bool:
    """Equal, and of the same types all through: 1 is not 1.0, and neither is True."""
    return json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)


@given(JSON)
def test_yaml_1_1_reads_the_same_value_back(value: Json) -> None:
    assert same(yaml.safe_load(to_yaml(value)), value)


@given(JSON)
def test_yaml_1_2_reads_the_same_value_back(value: Json) -> None:
    assert same(YAML(typ="safe", pure=True).load(io.StringIO(to_yaml(value))), value)


@given(STRINGS)
def test_a_templated_text_is_the_same_value(value: str) -> None:
    assert yaml.safe_load(to_yaml({"k": value}, templated=True)) == {"k": value}


@given(JSON)
def test_no_anchor_alias_tag_or_document_mark_is_written(value: Json) -> None:
    tokens = list(yaml.scan(to_yaml([value, value])))
    assert not any(isinstance(token, yaml.AnchorToken | yaml.AliasToken | yaml.TagToken) for token in tokens)
    assert not any(isinstance(token, yaml.DocumentStartToken | yaml.DocumentEndToken) for token in tokens)


def test_the_text_is_this() -> None:
    value: Json = {
        "spec": {"b": [1, [2, 3], {"z": 1.0, "a": None}], "a": {}, "c": [], "d": "x\ny\n", "e": ["p\nq"], "f": "on"},
        "metadata": {"name": "thing"},
        "kind": "K",
        "apiVersion": "v1",
        "data": {"big": 1e22, "small": 1e-07, "text": "a: b"},
    }
    assert to_yaml(value) == (
        "apiVersion: v1\n"
        "kind: K\n"
        "metadata:\n"
        "  name: thing\n"
        "data:\n"
        "  big: 1.0e+22\n"
        "  small: 1.0e-07\n"
        '  text: "a: b"\n'
        "spec:\n"
        "  a: {}\n"
        "  b:\n"
        "    - 1\n"
        "    - - 2\n"
        "      - 3\n"
        "    - a: null\n"
        "      z: 1.0\n"
        "  c: []\n"
        "  d: |\n"
        "    x\n"
        "    y\n"
        "  e:\n"
        "    - |-\n"
        "      p\n"
        "      q\n"
        '  f: "on"\n'
    )


def test_a_templated_text_keeps_its_double_quotes() -> None:
    assert to_yaml({"a": '{{ .Values.x | default "y" }}'}, templated=True) == "a: '{{ .Values.x | default \"y\" }}'\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: b", "a: b"),
        ("{{ x }}", '{{ "{{" }} x }}'),
        ("{{{{", '{{ "{{" }}{{ "{{" }}'),
        ("{{{", '{{ "{{" }}{'),
        ("{ {", "{ {"),
    ],
)
def test_template_marks_are_escaped(text: str, expected: str) -> None:
    assert escape_template(text) == expected
