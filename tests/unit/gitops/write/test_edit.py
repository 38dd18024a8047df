"""YAML changed where it stands: what was asked for, and no other byte."""

from __future__ import annotations

import difflib
from textwrap import dedent
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.errors import InputError
from dhallmark.gitops.write.edit import ABSENT, Change, append, edit, sync

VERIFY = {"provider": "cosign", "matchOIDCIdentity": [{"issuer": r"^a\.b$", "subject": "^s$"}]}


def source(spec: str) -> str:
    return f"# ours\nkind: X   # the kind\nspec:\n{spec}# tail\n---\nkind: Y\nspec: {{a: 1}}\n"


def changed(text: str, path: tuple[str | int, ...], value: Any, *, kind: str = "X") -> str:  # noqa: ANN401
    return edit(text, select=lambda one: one.get("kind") == kind, changes=[Change(path, value)], file="a.yaml")


def lines_that_differ(before: str, after: str) -> list[str]:
    return [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[0] in "+-"]


CASES = [
    ("a scalar, with the comment behind it", "  ref:\n    digest: old  # why\n", ("spec", "ref", "digest"), "new",
     ["-     digest: old  # why", "+     digest: new  # why"]),
    ("a quoted scalar", "  ref: {digest: 'old', tag: \"x\"}\n", ("spec", "ref", "digest"), "new",
     ["-   ref: {digest: 'old', tag: \"x\"}", '+   ref: {digest: new, tag: "x"}']),
    ("a key that is not there", "  url: u\n  # behind\n", ("spec", "verify"), VERIFY,
     ["+   verify:", "+     provider: cosign", "+     matchOIDCIdentity:", r"+       - issuer: '^a\.b$'",
      "+         subject: '^s$'"]),
    ("a key in one line", "  ref: {tag: x}\n", ("spec", "ref", "digest"), "d",
     ["-   ref: {tag: x}", "+   ref: {tag: x, digest: d}"]),
    ("an empty value", "  ref:\n  url: u\n", ("spec", "ref", "digest"), "d",
     ["+     digest: d"]),
    ("an empty mapping", "  ref: {}\n", ("spec", "ref", "digest"), "d", ["-   ref: {}", "+   ref: {digest: d}"]),
    ("a key away", "  ref:\n    tag: x  # moves\n    digest: d\n", ("spec", "ref", "tag"), ABSENT,
     ["-     tag: x  # moves"]),
    ("the last key away", "  ref:\n    tag: x\n", ("spec", "ref", "tag"), ABSENT, ["-     tag: x", "+     {}"]),
    ("a key in one line away", "  ref: {tag: x, digest: d}\n", ("spec", "ref", "tag"), ABSENT,
     ["-   ref: {tag: x, digest: d}", "+   ref: {digest: d}"]),
    ("a whole mapping away", "  verify:\n    provider: cosign\n\n    # in it\n  url: u\n", ("spec", "verify"), ABSENT,
     ["-   verify:", "-     provider: cosign"]),
    ("an item more", "  patches:\n  - a: 1  # one\n\n", ("spec", "patches", 1), {"b": "x\ny\n"},
     ["+   - b: |", "+       x", "+       y"]),
    ("an item more in one line", "  patches: [1]\n", ("spec", "patches", 1), 2,
     ["-   patches: [1]", "+   patches: [1, 2]"]),
    ("a text of several lines", "  p: |\n    a\n    b\n  q: 1\n", ("spec", "p"), "c\nd\n",
     ["-     a", "+     c", "-     b", "+     d"]),
    ("the first key of an item away", "  l:\n  - a: 1\n    b: 2\n", ("spec", "l", 0, "a"), ABSENT,
     ["-   - a: 1", "-     b: 2", "+   - b: 2"]),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "path", "value", "differ"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_only_the_lines_of_the_change_differ(
    spec: str,
    path: tuple[str | int, ...],
    value: Any,  # noqa: ANN401
    differ: list[str],
) -> None:
    before = source(spec)
    assert lines_that_differ(before, changed(before, path, value)) == differ


def test_the_first_release_of_a_source_that_followed_a_tag_keeps_every_comment() -> None:
    before = dedent("""\
        # Deploys everything.
        apiVersion: source.toolkit.fluxcd.io/v1
        kind: OCIRepository
        metadata: {name: a, namespace: b}   # short
        spec:
            # often
            interval: 1m
            ref:
                tag: latest   # moves
            # who
            verify:
              provider: cosign  # not notation
              matchOIDCIdentity:
              - issuer: loose # why
                subject: loose

            url: oci://x/y
        """)
    wanted = {"ref": {"digest": "d"}, "verify": {**VERIFY, "trustedRootSecretRef": {"name": "r"}}}
    now = yaml.safe_load(before)["spec"]
    changes = [change for key, value in wanted.items() for change in sync(("spec", key), now[key], value)]
    after = edit(before, select=lambda one: one["kind"] == "OCIRepository", changes=changes, file="a")
    assert yaml.safe_load(after)["spec"] == {"interval": "1m", "url": "oci://x/y", **wanted}
    for comment in ("# Deploys everything.", "# short", "# often", "# who", "# not notation", "# why"):
        assert comment in after
    assert list(yaml.safe_load(after)["spec"]) == list(now)
    assert edit(after, select=lambda one: one["kind"] == "OCIRepository", changes=changes, file="a") == after


def test_line_ends_and_a_missing_last_one_are_kept() -> None:
    before = "kind: X\r\nspec:\r\n  a: 1"
    assert changed(before, ("spec", "b"), 2) == "kind: X\r\nspec:\r\n  a: 1\r\n  b: 2"
    assert changed("kind: X\nspec: {a: 1}", ("spec", "a"), 2) == "kind: X\nspec: {a: 2}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: X\nspec: &a {b: 1}\nother: *a\n", "anchors or aliases"),
        ("base: &a {b: 1}\nkind: X\nspec: {<<: *a}\n", "anchors or aliases"),
        ("kind: X\nspec: [1]\n", "no place"),
        ("kind: Z\n", "0 documents"),
        ("kind: X\n---\nkind: X\n", "2 documents"),
        ("kind: X\nspec: {{ .Values }\n", "not YAML|cannot be read"),
        ("kind: X\nspec: !secret x\n", "cannot be read"),
    ],
)
def test_what_cannot_be_changed_in_place_is_refused_with_its_file(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        changed(text, ("spec", "b"), 2)
    assert "a.yaml" in str(caught.value) or said == "no place"


def test_a_document_is_added_behind_the_others() -> None:
    assert append("kind: X", {"kind": "Y"}) == "kind: X\n---\nkind: Y\n"
    assert append("", {"kind": "Y"}) == "kind: Y\n"


_KEYS = st.sampled_from(["spec", "ref", "verify", "a", "b-c", "d.e"])
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.sampled_from(["", "x", "y: z", "# no", "^a\\.b$", "two\nlines\n", " lead", "'q'", '"', "- x", "~", "1.0", "ä"]),
)
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3), max_leaves=12
)
_DOCUMENTS = st.dictionaries(_KEYS, _VALUES, min_size=1, max_size=4)


@given(before=_DOCUMENTS, after=_DOCUMENTS, flow=st.sampled_from([None, True, False]), indent=st.integers(2, 5))
def test_any_object_becomes_any_other_and_its_neighbours_stay(
    *, before: dict[str, Any], after: dict[str, Any], flow: bool | None, indent: int
) -> None:
    middle = yaml.safe_dump({"kind": "X", "spec": before}, default_flow_style=flow, indent=indent, sort_keys=False)
    head, tail = "# head\nkind: W\n", "# tail\nkind: Y\nspec: {a: [1,  2]} # odd\n"
    text = f"{head}---\n{middle}---\n{tail}"
    changes = sync(("spec",), before, after)
    result = edit(text, select=lambda one: one.get("kind") == "X", changes=changes, file="a.yaml")
    assert [one.get("spec") for one in yaml.safe_load_all(result)] == [None, after, {"a": [1, 2]}]
    assert result.startswith(f"{head}---\n")
    assert result.endswith(f"---\n{tail}")


@given(st.text(max_size=200), st.text(alphabet="kindX: \n-{}[]&*!|>'\"#ab", max_size=60))
def test_any_text_gives_a_text_or_a_told_error(one: str, other: str) -> None:
    for text in (one, f"kind: X\n{other}"):
        try:
            assert isinstance(changed(text, ("spec", "b"), {"c": ["d"]}), str)
        except InputError:
            continue
