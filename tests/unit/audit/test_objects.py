"""Kubernetes objects: what names them, and the fields in which two of them differ."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.audit.objects import ABSENT, by_identity, field_differences, identity_of, read_documents, shown

WEB = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "prod"}}


@pytest.mark.parametrize(
    ("document", "identity"),
    [
        (WEB, "Deployment.apps prod/web"),
        ({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "prod"}}, "Namespace prod"),
        ({"apiVersion": "v1", "kind": "List"}, ""),
        ({"kind": "Pod", "metadata": {"name": "x"}}, ""),
        ("text", ""),
        (None, ""),
    ],
)
def test_an_object_is_named_by_kind_group_and_place(document: object, identity: str) -> None:
    assert identity_of(document) == identity


def containers(*images: str, names: str = "abc") -> list[dict[str, Any]]:
    return [{"name": name, "image": image} for name, image in zip(names, images, strict=False)]


CASES: list[tuple[Any, Any, list[tuple[str, Any, Any]]]] = [
    ({"a": 1}, {"a": 1}, []),
    ({"a": {"b": 1}}, {"a": {"b": 2}}, [("a.b", 1, 2)]),
    ({"a": 1}, {}, [("a", 1, ABSENT)]),
    ({}, {"a": None}, [("a", ABSENT, None)]),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}, []),
    # Values that Python takes for equal and Kubernetes does not
    ({"a": 1}, {"a": True}, [("a", 1, True)]),
    ({"a": 1}, {"a": "1"}, [("a", 1, "1")]),
    ({"a": 1}, {"a": 1.0}, [("a", 1, 1.0)]),
    ({"app.kubernetes.io/name": "a"}, {"app.kubernetes.io/name": "b"}, [("[app.kubernetes.io/name]", "a", "b")]),
    ([1, 2], [1, 3], [("[1]", 2, 3)]),
    ([1], [1, 2], [("[1]", ABSENT, 2)]),
    # Items with names are matched by them
    (containers("x", "y"), containers("x", "z"), [("[name=b].image", "y", "z")]),
    (
        containers("x", "y"),
        list(reversed(containers("x", "y"))),
        [(" (order)", ["a", "b"], ["b", "a"])],
    ),
    (
        containers("x"),
        containers("x", "y"),
        [("[name=b]", ABSENT, {"name": "b", "image": "y"})],
    ),
]


@pytest.mark.parametrize(("one", "other", "found"), CASES)
def test_the_fields_that_differ_are_named_with_both_values(one: Any, other: Any, found: list[Any]) -> None:  # noqa: ANN401
    assert list(field_differences(one, other)) == found


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda one: st.lists(one) | st.dictionaries(st.text(), one)
)


@given(VALUES)
def test_a_value_does_not_differ_from_itself(value: Any) -> None:  # noqa: ANN401
    assert list(field_differences(value, value)) == []


@pytest.mark.parametrize(
    ("content", "documents"),
    [
        (b"a: 1\n---\nb: 2\n", [{"a": 1}, {"b": 2}]),
        (b"# nothing\n", []),
        (b"a: 2001-01-01\n", [{"a": "2001-01-01"}]),
        # What another parser may read otherwise, or without end, is no plain YAML
        (b"a: &x 1\nb: *x\n", None),
        (b"a: 1\na: 2\n", None),
        (b"{{- if .Values.x }}\na: 1\n{{- end }}\n", None),
        (b"? [a]\n: 1\n", None),
        (b"!!python/object:os.system {}\n", None),
        (b"[" * 10_000, None),
        (b"\xff\xfe\x00", None),
    ],
)
def test_documents_are_read_or_they_are_no_plain_yaml(content: bytes, documents: list[Any] | None) -> None:
    assert read_documents(content) == documents


@given(st.binary(max_size=200))
def test_any_bytes_are_documents_or_none(content: bytes) -> None:
    found = read_documents(content)
    assert found is None or isinstance(found, list)


def test_objects_of_one_name_cannot_be_told_apart() -> None:
    assert by_identity([WEB, WEB]) is None
    assert by_identity([WEB, {"a": 1}]) is None
    assert by_identity([WEB]) == {"Deployment.apps prod/web": WEB}


def test_a_long_value_is_cut_and_says_so() -> None:
    text = shown("x" * 5000)
    assert text is not None
    assert len(text) < 300
    assert "5000 characters" in text
    assert shown(ABSENT) is None
    assert shown({"a": [1]}) == '{"a":[1]}'
    assert shown(float("nan")) == "nan"
    assert shown([float("nan")]) == "[nan]"
