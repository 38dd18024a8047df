"""Reading layouts: what is refused, and that in-toto reads what is accepted."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from in_toto.models.layout import Layout as ReferenceLayout

from dhallmark.reasons import Reason
from dhallmark.verify.layouts.model import MAX_ITEMS, MAX_LAYOUT_BYTES, Layout
from dhallmark.verify.refusal import Refusal

if TYPE_CHECKING:
    from tests.unit.verify.layouts.conftest import World

Json = dict[str, Any]


def parse(body: object) -> Layout:
    return Layout.parse(json.dumps(body).encode())


def parsed(content: bytes) -> Layout | Reason:
    """The layout, or why it is none."""
    try:
        return Layout.parse(content)
    except Refusal as refusal:
        return refusal.reason


def test_reads_a_layout(world: World) -> None:
    layout = parse(world.layout)
    assert (layout.version, layout.expires.isoformat()) == (3, "2099-01-01T00:00:00+00:00")
    assert [step.name for step in layout.steps] == ["render", "package"]
    assert str(layout.steps[1].materials[0]) == "MATCH out/* WITH PRODUCTS FROM render"
    assert layout.inspections[0].run == ("dhallmark", "inspect", "layer")
    assert layout.keys == ()


def test_in_toto_reads_it_too(world: World) -> None:
    reference = ReferenceLayout.read(copy.deepcopy(world.layout))
    reference.validate()
    assert [step.name for step in reference.steps] == ["render", "package"]


def first(**fields: object) -> Callable[[Json], object]:
    return lambda layout: layout["steps"][0].update(fields)


def inspection(**fields: object) -> Callable[[Json], object]:
    return lambda layout: layout["inspect"][0].update(fields)


def whole(**fields: object) -> Callable[[Json], object]:
    return lambda layout: layout.update(fields)


KEY = {"ab" * 32: {"keyval": {"public": "not a key"}}}
MALFORMED: dict[str, Callable[[Json], object]] = {
    "a statement": whole(_type="https://in-toto.io/Statement/v1"),
    "an unknown field": whole(rootcas={}),
    "an unknown condition of a step": first(cert_constraints=[]),
    "an unknown condition of an inspection": inspection(threshold=1),
    "a negative version": whole(version=-1),
    "a version that is a boolean": whole(version=True),
    "a readme that is a number": whole(readme=1),
    "no expiry": lambda layout: layout.pop("expires"),
    "an expiry in another time zone": whole(expires="2099-01-01T00:00:00+01:00"),
    "an expiry that is no date": whole(expires="2099-02-30T00:00:00Z"),
    "no step": whole(steps=[], inspect=[]),
    "steps that are no list": whole(steps={}),
    "a step that is no object": whole(steps=["render"]),
    "too many steps": lambda layout: layout.update(
        steps=[{**layout["steps"][1], "name": f"s{number}", "expected_materials": []} for number in range(MAX_ITEMS)]
    ),
    "a step of another type": first(_type="inspection"),
    "a step without a name": first(name=""),
    "a step whose name is a path": first(name="../render"),
    "two steps of one name": first(name="package"),
    "two steps whose names differ in case": first(name="Package"),
    "an inspection with a step's name": inspection(name="render"),
    "keys that are a list": whole(keys=[]),
    "a key that is none": whole(keys=KEY),
    "a key without an id": whole(keys={"x": {"keyval": {"public": ""}}}),
    "a key without a public half": whole(keys={"ab" * 32: {}}),
    "a step by a key that is not there": first(pubkeys=["ab" * 32]),
    "an identity that is no name": first(identities=["../x"]),
    "nobody may do a step": first(identities=[]),
    "a threshold of nobody": first(threshold=0),
    "a threshold that is a boolean": first(threshold=True),
    "a threshold that cannot be reached": first(threshold=2),
    "a threshold that cannot be reached by one identity named twice": first(identities=["builder"] * 2, threshold=2),
    "one build type for two steps": lambda layout: [step.update(build_types=["t"]) for step in layout["steps"]],
    "rules that are no list": first(expected_materials="ALLOW *"),
    "a rule that is a string": first(expected_materials=["ALLOW *"]),
    "a rule that in-toto does not know": first(expected_materials=[["PERMIT", "*"]]),
    "a rule with a word too many": first(expected_materials=[["ALLOW", "*", "*"]]),
    "an empty rule": first(expected_materials=[[]]),
    "an empty pattern": first(expected_materials=[["ALLOW", ""]]),
    "a pattern that is too long": first(expected_materials=[["ALLOW", "*" * 2000]]),
    "a match with a step that is not there": first(
        expected_materials=[["MATCH", "*", "WITH", "PRODUCTS", "FROM", "rendr"]]
    ),
    "a match of a step with an inspection": first(
        expected_materials=[["MATCH", "*", "WITH", "PRODUCTS", "FROM", "layer"]]
    ),
    "a command that is a string": inspection(run="dhallmark inspect layer"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_refuses(name: str, world: World) -> None:
    MALFORMED[name](world.layout)
    with pytest.raises(Refusal) as refused:
        parse(world.layout)
    assert refused.value.reason is Reason.LAYOUT_MALFORMED


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b'{"_type":"layout","_type":"layout"}',
        b"\xff",
        b"[" * 100_000,
        b" " * (MAX_LAYOUT_BYTES + 1),
    ],
    ids=["nothing", "list", "null", "duplicate", "no UTF-8", "deep", "large"],
)
def test_refuses_other_bytes(content: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        Layout.parse(content)
    assert refused.value.reason is Reason.LAYOUT_MALFORMED


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(["*", "render", "MATCH", "layer"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(data=st.data())
def test_any_change_of_a_field_gives_a_layout_or_a_refusal(
    data: st.DataObject, make_layout: Callable[[], Json]
) -> None:
    body = make_layout()
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:  # noqa: ANN401
        for key in node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
            places.append((node, key))
            walk(node[key])

    walk(body)
    node, key = data.draw(st.sampled_from(range(len(places))).map(places.__getitem__))
    node[key] = data.draw(json_values)
    found = parsed(json.dumps(body).encode())
    if isinstance(found, Layout):
        assert all(step.threshold <= len(step.identities) + len(step.keys) for step in found.steps)
    else:
        assert found is Reason.LAYOUT_MALFORMED


@given(st.binary(max_size=200))
def test_any_bytes_give_a_layout_or_a_refusal(content: bytes) -> None:
    assert parsed(content) is Reason.LAYOUT_MALFORMED
