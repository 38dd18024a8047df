"""Any bytes are read or refused, in bounded time and space; positions are those of the file."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.gitops.lint.yamlfile import (
    MAX_BYTES,
    Mapping,
    Scalar,
    Sequence,
    UnreadableError,
    is_null,
    is_true,
    read,
    without_actions,
)


def one(text: str) -> Mapping:
    (document,) = read(text.encode())
    assert isinstance(document, Mapping)
    return document


def test_values_are_found_by_path_with_their_lines() -> None:
    document = one("a:\n  b:\n  - c: 'x'\n    d: true\n  e: ~\n")
    (item,) = document.items_of("a", "b")
    assert isinstance(item, Mapping)
    assert (item.text("c"), item.line_of("c"), is_true(item.get("d"))) == ("x", 3, True)
    assert (document.text("a", "e"), document.line_of("a", "e"), document.line_of("a", "zz", "y")) == ("", 5, 1)
    assert document.get("a", "b", "c") is None


@pytest.mark.parametrize(
    ("text", "null"), [("null", True), ("~", True), ("''", False), ("'null'", False), ("x", False)]
)
def test_only_a_plain_null_is_null(text: str, null: bool) -> None:  # noqa: FBT001  (a column of the table)
    value = one(f"a: {text}").get("a")
    assert isinstance(value, Scalar)
    assert is_null(value) is null


def test_documents_are_apart_and_empty_ones_are_left_out() -> None:
    assert len(read(b"---\na: 1\n---\n# nothing\n---\nb: 2\n...\n")) == 2


def test_a_duplicate_key_is_kept_with_its_line_and_the_last_counts() -> None:
    document = one("a: 1\nb: 2\na: 3\n")
    assert document.duplicates == [("a", 3)]
    assert document.text("a") == "3"


def test_anchors_and_merges_are_followed() -> None:
    document = one("base: &b {x: 1, y: 2}\nuse: {<<: *b, y: 3}\nlist: {<<: [*b, {z: 4}]}\n")
    assert (document.text("use", "x"), document.text("use", "y"), document.text("list", "z")) == ("1", "3", "4")


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [*a]",
        "a: &a {<<: *a, b: 1}",
        "a: &a {<<: [*a, *a, *a]}",
        "\n".join(["a0: &a0 {<<: {x: 1}}", *(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}" for i in range(1, 60))]),
    ],
)
def test_rings_and_bombs_cost_nothing(text: str) -> None:
    began = time.process_time()
    document = one(text)
    for key in list(document.items):
        document.get(key, "nowhere")
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        (b"a: [1\nb: 2\n", 2, "not YAML"),
        (b"ok: 1\nbad: \xff\n", 2, "not UTF-8"),
        (b"a: *nobody\n", 1, "alias"),
        (b"[" * 5000, 1, "deeper"),
        (b"x: 1\ny: " + b"{a: " * 5000, 2, "deeper"),
        (b"a" * (MAX_BYTES + 1), 1, "bytes"),
        (b"a: \x00\n", 1, "not"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(content: bytes, line: int, says: str) -> None:
    with pytest.raises(UnreadableError) as refused:
        read(content)
    assert refused.value.line == line
    assert says in refused.value.message


def test_templates_are_read_where_they_stand() -> None:
    text = (
        "{{- if .Values.on }}\nkind: A\n{{- range $x := .Values.all }}\n"
        'name: "{{ $x }}-y"\nn: {{ .N |\n  quote }}\n{{- end }}\n{{ end }}\n'
    )
    document = one(text)
    assert (document.text("kind"), document.line_of("name")) == ("A", 4)
    assert document.text("name") == "templated-y"
    assert without_actions(text).count("\n") == text.count("\n")


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace")))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        documents = read(content)
    except UnreadableError:
        return
    assert all(isinstance(document, Mapping | Sequence | Scalar) for document in documents)
