"""Statements of a small release, made of records alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dhallmark.config.model import Config
from dhallmark.digest import Digest
from dhallmark.errors import FormatError
from dhallmark.package.model import HELM_CONTENT, MATERIALS_CONTENT, Artifact, Artifacts, Blob, File, Kind
from dhallmark.render.closure import Closure, Import, UnitRecord
from dhallmark.statement import COSIGN_SIGN_V1, LINK_V0_3, SLSA_PROVENANCE_V1
from dhallmark.steps.functionary import FUNCTIONARY_KEY, LAYOUT, LAYOUT_KEY
from dhallmark.steps.link import STEPS, Link
from dhallmark.steps.provenance import Builder
from dhallmark.steps.schema import validate_statement
from dhallmark.steps.source import SourceState
from dhallmark.steps.statements import final_reference, link_statement, make_statements, release_sources

_URL = "http://packages.example/labels.dhall"
_CONFIG = Config.model_validate(
    {
        "schemaVersion": 1,
        "project": "platform",
        "version": "1.2.3",
        "source": {"repository": "https://git.example/acme/platform"},
        "layers": ["base"],
        "environments": {"dev": {"values": "env/dev.dhall"}, "prod": {"values": "env/prod.dhall"}},
        "applications": {
            "api": {"entry": "api.dhall", "layer": "base", "chart": {"values": "api.yaml"}},
            "web": {"entry": "web.dhall", "layer": "base", "environments": ["dev"]},
        },
        "publish": {"registry": "registry.example", "repository": "live", "staging": "staging"},
        "policy": "policy.yaml",
    }
)


def digest(text: str) -> Digest:
    return Digest.of(text.encode())


def _local(path: str, *imports: str) -> Import:
    return Import(
        id=path, kind="local", path=path, sha256=digest(path), semantic_hash=digest(f"normal {path}"), frozen=False,
        imports=imports,
    )  # fmt: skip


def _unit(environment: str, application: str) -> UnitRecord:
    entries = (f"{application}.dhall", f"env/{environment}.dhall")
    return UnitRecord(
        environment=environment,
        application=application,
        entries=entries,
        semantic_hash=digest(f"{environment}/{application}"),
    )


_CLOSURE = Closure(
    dhall="1.42.1",
    imports=(
        _local("api.dhall", "lib.dhall"),
        _local("env/dev.dhall"),
        _local("env/prod.dhall"),
        Import(
            id=_URL,
            kind="remote",
            url=_URL,
            sha256=digest("labels"),
            semantic_hash=digest("labels"),
            frozen=True,
        ),
        _local("lib.dhall", _URL),
        _local("web.dhall"),
    ),
    units=(_unit("dev", "api"), _unit("dev", "web"), _unit("prod", "api")),
)


def _artifact(kind: Kind, environment: str, name: str) -> Artifact:
    files = () if kind == "flux" else (f"environments/{environment}/{name}/Chart.yaml",)
    return Artifact(
        kind=kind,
        environment=environment,
        application=name if kind == "chart" else None,
        name=name,
        version="1.2.3",
        repository=f"{environment}/{name}",
        digest=digest(f"manifest {environment}/{name}"),
        archive=Blob(
            path=f"package/{environment}/{name}-1.2.3.tgz",
            sha256=digest(f"archive {environment}/{name}").hex,
            size=1,
            media_type=HELM_CONTENT,
        ),
        files=tuple(File(name=file, sha256=digest(file).hex) for file in files),
    )


_ARTIFACTS = Artifacts(
    project="platform",
    version="1.2.3",
    source_date_epoch=1700000000,
    artifacts=(
        _artifact("chart", "dev", "api"),
        _artifact("flux", "dev", "flux-platform"),
        _artifact("umbrella", "dev", "platform"),
        _artifact("chart", "dev", "web"),
        _artifact("chart", "prod", "api"),
    ),
    materials=Blob(
        path="package/materials.tar.gz", sha256=digest("materials").hex, size=1, media_type=MATERIALS_CONTENT
    ),
)
_SOURCES = (
    "api.dhall",
    "api.yaml",
    "dhallmark.yaml",
    "env/dev.dhall",
    "env/prod.dhall",
    "lib.dhall",
    "policy.yaml",
    "web.dhall",
)
_SOURCE = SourceState(
    repository=None, revision="a" * 40, tree="b" * 40, folder="platforms/one", dirty=True, commit_time=1700000000
)


def _link(name: str) -> Link:
    return Link(
        name=name,
        command=("dhallmark", name),
        materials={source: {"sha256": digest(source).hex} for source in _SOURCES},
        products={f"build/{name}/x": {"sha256": digest(name).hex}},
        byproducts={"return-value": 0},
    )


@pytest.fixture
def statements(tmp_path: Path) -> dict[str, dict[str, Any]]:
    for name in (LAYOUT, LAYOUT_KEY, FUNCTIONARY_KEY):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    made = make_statements(
        build=tmp_path,
        config=_CONFIG,
        config_file="dhallmark.yaml",
        artifacts=_ARTIFACTS,
        closure=_CLOSURE,
        links=[_link(step) for step in STEPS],
        source=_SOURCE,
        builder=Builder(id="https://ci.example/w"),
        tools={"dhallmark": "0.1.0", "dhall": "1.42.1"},
    )
    for statement in made.values():
        validate_statement(statement.payload)
    return {
        name: {
            "type": statement.predicate_type,
            "subjects": {subject.name: subject.digest for subject in statement.subjects},
            "predicate": statement.predicate,
        }
        for name, statement in made.items()
    }


def test_there_are_two_statements_for_each_artifact_and_one_for_each_step(
    statements: dict[str, dict[str, Any]],
) -> None:
    expected = {f"statements/links/{step}.json": LINK_V0_3 for step in STEPS}
    for artifact in _ARTIFACTS.artifacts:
        expected[f"statements/{artifact.slug}/sign.json"] = COSIGN_SIGN_V1
        expected[f"statements/{artifact.slug}/provenance.json"] = SLSA_PROVENANCE_V1
    assert {name: found["type"] for name, found in statements.items()} == expected


def test_the_signature_statement_is_about_the_manifest_under_its_final_name(
    statements: dict[str, dict[str, Any]],
) -> None:
    found = statements["statements/dev/web/sign.json"]
    assert found["subjects"] == {"registry.example/live/dev/web": digest("manifest dev/web")}
    assert found["predicate"] == {}
    assert final_reference(_CONFIG, _ARTIFACTS.artifacts[3]) == "registry.example/live/dev/web"


def names(statements: dict[str, dict[str, Any]], slug: str) -> set[str]:
    definition = statements[f"statements/{slug}/provenance.json"]["predicate"]["buildDefinition"]
    return {item["name"] for item in definition["resolvedDependencies"]} - {"source", "source-tree", "materials"}


@pytest.mark.parametrize(
    ("slug", "expected"),
    [
        ("dev/web", {"dhallmark.yaml", "env/dev.dhall", "web.dhall"}),
        ("dev/api", {"dhallmark.yaml", "api.yaml", "api.dhall", "env/dev.dhall", "lib.dhall", _URL}),
        ("prod/api", {"dhallmark.yaml", "api.yaml", "api.dhall", "env/prod.dhall", "lib.dhall", _URL}),
        (
            "dev/platform",
            {"dhallmark.yaml", "api.yaml", "api.dhall", "env/dev.dhall", "lib.dhall", "web.dhall", _URL},
        ),
        (
            "dev/flux-platform",
            {"dhallmark.yaml", "api.yaml", "api.dhall", "env/dev.dhall", "lib.dhall", "web.dhall", _URL},
        ),
    ],
)
def test_provenance_names_the_materials_of_the_artifact_and_no_others(
    statements: dict[str, dict[str, Any]], slug: str, expected: set[str]
) -> None:
    assert names(statements, slug) == expected


def test_a_material_has_its_digest_and_a_dhall_import_its_semantic_hash(
    statements: dict[str, dict[str, Any]],
) -> None:
    definition = statements["statements/prod/api/provenance.json"]["predicate"]["buildDefinition"]
    dependencies = {item["name"]: item for item in definition["resolvedDependencies"]}
    assert dependencies["source"] == {
        "name": "source",
        "uri": "git+https://git.example/acme/platform",
        "digest": {"gitCommit": "a" * 40},
    }
    assert dependencies["source-tree"] == {
        "name": "source-tree",
        "uri": "git+https://git.example/acme/platform#platforms/one",
        "digest": {"gitTree": "b" * 40},
    }
    assert dependencies["lib.dhall"] == {
        "name": "lib.dhall",
        "digest": {"sha256": digest("lib.dhall").hex},
        "annotations": {"semanticHash": digest("normal lib.dhall")},
    }
    assert dependencies["api.yaml"] == {"name": "api.yaml", "digest": {"sha256": digest("api.yaml").hex}}
    assert dependencies[_URL] == {
        "name": _URL,
        "uri": _URL,
        "digest": {"sha256": digest("labels").hex},
        "annotations": {"semanticHash": digest("labels")},
    }


def test_parameters_say_what_was_asked_for_and_that_the_tree_was_dirty(statements: dict[str, dict[str, Any]]) -> None:
    definition = statements["statements/dev/platform/provenance.json"]["predicate"]["buildDefinition"]
    assert definition["externalParameters"] == {
        "repository": "https://git.example/acme/platform",
        "folder": "platforms/one",
        "config": "dhallmark.yaml",
        "project": "platform",
        "version": "1.2.3",
        "environment": "dev",
        "artifact": "umbrella",
    }
    assert definition["internalParameters"] == {
        "dirty": True,
        "sourceDateEpoch": 1700000000,
        "tools": {"dhallmark": "0.1.0", "dhall": "1.42.1"},
    }


def test_provenance_vouches_for_the_layout_and_its_keys(statements: dict[str, dict[str, Any]]) -> None:
    details = statements["statements/dev/web/provenance.json"]["predicate"]["runDetails"]
    assert details == {
        "builder": {"id": "https://ci.example/w", "version": {"dhallmark": "0.1.0"}},
        "byproducts": [
            {"name": name, "digest": {"sha256": digest(name).hex}} for name in (LAYOUT, LAYOUT_KEY, FUNCTIONARY_KEY)
        ],
    }


def test_a_link_statement_is_the_link_with_its_products_as_subjects(statements: dict[str, dict[str, Any]]) -> None:
    found = statements["statements/links/render.json"]
    assert found["subjects"] == {"build/render/x": digest("render")}
    assert found["predicate"]["materials"] == [
        {"name": source, "digest": {"sha256": digest(source).hex}} for source in _SOURCES
    ]
    assert (found["predicate"]["name"], found["predicate"]["command"]) == ("render", ["dhallmark", "render"])


def test_a_link_without_products_is_no_statement() -> None:
    with pytest.raises(FormatError):
        link_statement(Link(name="render", command=(), materials={}, products={}))


def test_the_sources_of_a_release_are_configuration_and_local_imports() -> None:
    assert release_sources(_CONFIG, config_file="dhallmark.yaml", closure=_CLOSURE) == _SOURCES
