"""One field of a layout or a statement is changed: a verdict, never an exception; accepted only where it is harmless.

What is harmless is decided here by other means: by what the unchanged layout says, written as plain comparisons, and by
in-toto's own rules for a changed layout.
"""

from __future__ import annotations

import copy
import fnmatch
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from in_toto.exceptions import RuleVerificationError
from in_toto.models.link import Link
from in_toto.verifylib import verify_item_rules

from dhallmark.digest import Digest
from dhallmark.errors import FormatError
from dhallmark.reasons import Reason
from dhallmark.statement import Statement
from dhallmark.verdict import Outcome, Verdict
from dhallmark.verify.layouts.inspections import inspect
from dhallmark.verify.layouts.judge import judge_layout
from dhallmark.verify.layouts.model import Layout
from dhallmark.verify.refusal import Refusal

if TYPE_CHECKING:
    from tests.unit.verify.layouts.conftest import World

Json = dict[str, Any]
OTHER = Digest.of(b"other").hex

interesting = st.one_of(
    st.sampled_from(
        [
            *(
                "render",
                "package",
                "layer",
                "builder",
                "reviewer",
                "anyone",
                "nobody",
                "*",
                "out/*",
                "web*",
                "../x",
                "/x",
            ),
            *("ALLOW", "DISALLOW", "MATCH", "REQUIRE", "CREATE", "web.dhall", "web.tgz", "out/prod/web/Chart.yaml"),
            *(OTHER, "step", "link", "", "a\u0301", "WEB.DHALL"),
        ]
    ),
    st.sampled_from([None, True, False, 0, 1, 2, -1, 10**30, 1.5, [], {}, ["*"], [["ALLOW", "*"]], {"sha256": OTHER}]),
    st.text(max_size=6),
)


def places(node: Any) -> list[tuple[Any, Any]]:  # noqa: ANN401 - JSON of any shape
    keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    return [place for key in keys for place in ((node, key), *places(node[key]))]


def mutate(body: Json, data: st.DataObject) -> None:
    """Change, remove, double or move one thing anywhere in `body`."""
    found = places(body)
    node, key = found[data.draw(st.integers(0, len(found) - 1))]
    how = data.draw(st.sampled_from(["set", "set", "remove", "double", "copy"]))
    if how == "remove":
        del node[key]
    elif how == "double" and isinstance(node, list):
        node.append(copy.deepcopy(node[key]))
    elif how == "copy":
        other, there = found[data.draw(st.integers(0, len(found) - 1))]
        node[key] = copy.deepcopy(other[there])
    else:
        node[key] = data.draw(interesting)


def digests(items: Any) -> dict[str, str]:  # noqa: ANN401
    return {item["name"]: item["digest"]["sha256"] for item in items}


def fulfils(world: World, render: Json, package: Json) -> bool:
    """Whether two statements fulfil the layout of the tests, by plain comparison."""
    if (render["predicate"]["name"], package["predicate"]["name"]) != ("render", "package"):
        return False
    sources, rendered = digests(render["predicate"]["materials"]), digests(render["subject"])
    taken, packed = digests(package["predicate"]["materials"]), digests(package["subject"])
    layer = {f"out/prod/web/{name}": Digest.of(text.encode()).hex for name, text in world.files.items()}
    return (
        "web.dhall" in sources
        and all(fnmatch.fnmatchcase(name, "*.dhall") for name in sources)
        and rendered == taken
        and all(name.startswith("out/") for name in taken)
        and layer.items() <= rendered.items()
        and all(name.startswith("web") for name in packed)
        and {world.product.digest.hex, Digest.of(world.layer).hex} <= set(packed.values())
    )


@pytest.fixture(scope="session")
def good(make_world: Callable[[], World]) -> World:
    """A world that no test changes."""
    return make_world()


@settings(max_examples=400)
@given(data=st.data())
def test_a_changed_statement_is_accepted_only_where_the_change_is_harmless(data: st.DataObject, good: World) -> None:
    bodies = {item.source: json.loads(item.statement.payload) for item in good.evidence()}
    mutate(bodies[data.draw(st.sampled_from(sorted(bodies)))], data)
    evidence = []
    for name, body in bodies.items():
        try:
            statement = Statement.parse(json.dumps(body).encode())
        except FormatError:
            continue  # no bundle with it is accepted: what is no statement never comes here
        evidence.append(good.signed(statement, source=name))
    verdict = good.judge(evidence)
    if verdict.outcome is Outcome.ACCEPTED:
        assert fulfils(good, bodies["render"], bodies["package"])


def by_reference(world: World, body: Json) -> bool:
    """Whether the records fulfil a changed layout, by in-toto's own rules and a plain look at who may sign."""
    inspection = Layout.parse(world.payload).inspections[0]
    records = {
        "render": ({"web.dhall": world.source}, world.rendered),
        "package": (world.rendered, world.packed),
    }
    links = {name: _link(name, *record) for name, record in records.items()}
    for step in body["steps"]:
        if step["name"] not in links or step.get("threshold", 1) > 1:
            return False
        if not {"builder", "anyone"} & set(step.get("identities", [])):
            return False
        if not _holds(step, links):
            return False
    for item in body.get("inspect", []):
        seen = inspect(replace(inspection, name=item["name"]), world.product)
        links[item["name"]] = Link(name=item["name"], materials=dict(seen.materials), products=dict(seen.products))
        if item["run"] != list(inspection.run) or not _holds(item, links):
            return False
    return True


def _link(name: str, materials: Mapping[str, Digest], products: Mapping[str, Digest]) -> Link:
    return Link(
        name=name,
        materials={path: {"sha256": digest.hex} for path, digest in materials.items()},
        products={path: {"sha256": digest.hex} for path, digest in products.items()},
    )


def _holds(item: Json, links: Mapping[str, Link]) -> bool:
    try:
        for side in ("materials", "products"):
            verify_item_rules(item["name"], side, item.get(f"expected_{side}", []), links)
    except RuleVerificationError:
        return False
    return True


@settings(max_examples=400)
@given(data=st.data())
def test_a_changed_layout_is_accepted_only_where_in_toto_agrees(data: st.DataObject, good: World) -> None:
    body = copy.deepcopy(good.layout)
    mutate(body, data)
    verdict = judge(good, body)
    if isinstance(verdict, Verdict):
        if verdict.outcome is Outcome.ACCEPTED:
            assert by_reference(good, body)
    else:
        assert verdict is Reason.LAYOUT_MALFORMED


def judge(world: World, body: Json) -> Verdict | Reason:
    """The verdict of a layout, or why it is none."""
    try:
        layout = Layout.parse(json.dumps(body).encode())
    except Refusal as refusal:
        return refusal.reason
    return judge_layout(layout, world.evidence(), world.product, world.identities)


def test_the_unchanged_ones_are_accepted(good: World) -> None:
    bodies = {item.source: json.loads(item.statement.payload) for item in good.evidence()}
    assert fulfils(good, bodies["render"], bodies["package"])
    assert by_reference(good, good.layout)
    assert good.judge().outcome is Outcome.ACCEPTED
