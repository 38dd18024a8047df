"""What a statement says of a step: links and provenance, in good and in odd shapes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from dhallmark.digest import Digest
from dhallmark.reasons import Reason
from dhallmark.statement import COSIGN_SIGN_V1, LINK_V0_3, SLSA_PROVENANCE_V1, Statement, Subject
from dhallmark.verify.layouts import evidence
from dhallmark.verify.layouts.evidence import read_record
from dhallmark.verify.layouts.model import Layout
from dhallmark.verify.refusal import Refusal

if TYPE_CHECKING:
    from tests.unit.verify.layouts.conftest import World

OUT = Digest.of(b"out")
GOOD = {"name": "in", "digest": {"sha256": "1" * 64}}


@pytest.fixture
def layout(world: World) -> Layout:
    world.layout["steps"][0]["build_types"] = [world.build_type]
    return Layout.parse(json.dumps(world.layout).encode())


def statement(kind: str, predicate: dict[str, Any]) -> Statement:
    return Statement.build(predicate_type=kind, subjects=[Subject("out", OUT)], predicate=predicate)


def link(**fields: object) -> Statement:
    return statement(LINK_V0_3, {"name": "render", "materials": [GOOD], **fields})


def provenance(world: World, **fields: object) -> Statement:
    definition = {"buildType": world.build_type, "resolvedDependencies": [GOOD], **fields}
    return statement(SLSA_PROVENANCE_V1, {"buildDefinition": definition})


def test_link_and_provenance_say_the_same(world: World, layout: Layout) -> None:
    for one in (link(), provenance(world)):
        record = read_record(one, layout)
        assert record is not None
        assert record.name == "render"
        assert record.materials == {"in": {"sha256": "1" * 64}}
        assert record.products == {"out": {"sha256": OUT.hex}}


def test_what_is_about_no_step_says_nothing(world: World, layout: Layout) -> None:
    assert read_record(statement(COSIGN_SIGN_V1, {"name": "render"}), layout) is None
    assert read_record(link(name="other"), layout) is None
    assert read_record(provenance(world, buildType="https://ci.test/other"), layout) is None


def test_git_objects_and_uris_name_dependencies(world: World, layout: Layout) -> None:
    commit = {"uri": "git+https://ci.test/acme@refs/heads/main", "digest": {"gitCommit": "a" * 40, "sha1": "b" * 40}}
    tree = {"name": "source-tree", "uri": "git+https://ci.test/acme", "digest": {"gitTree": "c" * 64}}
    both = {"name": "x", "digest": {"gitCommit": "a" * 40, "sha256": "d" * 64}}
    record = read_record(provenance(world, resolvedDependencies=[commit, tree, both]), layout)
    assert record is not None
    assert record.materials == {
        "git+https://ci.test/acme@refs/heads/main": {"gitCommit": "a" * 40},
        "source-tree": {"gitTree": "c" * 64},
        "x": {"sha256": "d" * 64},
    }


MATERIALS: dict[str, object] = {
    "no list": {},
    "no object": ["in"],
    "no name": [{"digest": GOOD["digest"]}],
    "a name that is a number": [{"name": 1, "digest": GOOD["digest"]}],
    "no digest": [{"name": "in"}],
    "an empty digest": [{"name": "in", "digest": {}}],
    "another algorithm": [{"name": "in", "digest": {"sha512": "1" * 128}}],
    "a weak algorithm": [{"name": "in", "digest": {"sha1": "1" * 40}}],
    "a digest in upper case": [{"name": "in", "digest": {"sha256": "A" * 64}}],
    "a digest that is a number": [{"name": "in", "digest": {"sha256": 1}}],
    "a digest that is cut off": [{"name": "in", "digest": {"sha256": "1" * 63}}],
    "a name with two digests": [GOOD, {"name": "in", "digest": {"sha256": "2" * 64}}],
}


@pytest.mark.parametrize("name", MATERIALS)
def test_refuses_materials_that_cannot_be_told_apart(name: str, world: World, layout: Layout) -> None:
    for one in (link(materials=MATERIALS[name]), provenance(world, resolvedDependencies=MATERIALS[name])):
        with pytest.raises(Refusal) as refused:
            read_record(one, layout)
        assert refused.value.reason is Reason.STATEMENT_PREDICATE


@pytest.mark.parametrize(
    "odd",
    [
        link(name=""),
        link(name=None),
        link(command="make"),
        link(command=[1]),
        statement(SLSA_PROVENANCE_V1, {}),
        statement(SLSA_PROVENANCE_V1, {"buildDefinition": []}),
        statement(SLSA_PROVENANCE_V1, {"buildDefinition": {"buildType": 1}}),
    ],
)
def test_refuses_other_shapes(odd: Statement, layout: Layout) -> None:
    with pytest.raises(Refusal) as refused:
        read_record(odd, layout)
    assert refused.value.reason is Reason.STATEMENT_PREDICATE


def test_the_same_material_twice_is_one(layout: Layout) -> None:
    record = read_record(link(materials=[GOOD, GOOD]), layout)
    assert record is not None
    assert len(record.materials) == 1


def test_refuses_a_flood_of_materials(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "MAX_ARTIFACTS", 3)
    materials = [{"name": f"in{number}", "digest": GOOD["digest"]} for number in range(4)]
    with pytest.raises(Refusal, match="more than 3 materials"):
        read_record(link(materials=materials), layout)
