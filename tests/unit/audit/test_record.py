"""What a provenance says of a build, and what it lacks."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.audit.record import BuildRecord
from dhallmark.digest import Digest

SHA = "a" * 64


def predicate() -> dict[str, Any]:
    """All that dhallmark writes."""
    return {
        "buildDefinition": {
            "buildType": "https://dhallmark.dev/build/v1",
            "externalParameters": {
                "repository": "https://github.com/acme/platform", "config": "dhallmark.yaml", "project": "platform",
                "version": "1.0.0", "environment": "prod", "artifact": "chart", "application": "web",
                "folder": "deploy",
            },
            "internalParameters": {
                "dirty": False, "sourceDateEpoch": 1700000000, "tools": {"dhallmark": "0.1.0", "dhall": "1.42.1"},
            },
            "resolvedDependencies": [
                {"name": "source", "uri": "git+https://github.com/acme/platform", "digest": {"gitCommit": "c" * 40}},
                {"name": "source-tree", "uri": "git+x#deploy", "digest": {"gitTree": "d" * 40}},
                {"name": "apps/web.dhall", "digest": {"sha256": SHA}, "annotations": {"semanticHash": f"sha256:{SHA}"}},
                {"name": "https://x.example/p.dhall", "uri": "https://x.example/p.dhall", "digest": {"sha256": SHA}},
                {"name": "materials", "digest": {"sha256": "b" * 64}},
            ],
        },
        "runDetails": {
            "builder": {
                "id": "https://ci.example/release",
                "builderDependencies": [
                    {"name": "ci", "uri": "oci://registry.example/ci", "digest": {"sha256": "e" * 64}},
                ],
            },
        },
    }  # fmt: skip


def test_what_dhallmark_writes_lacks_nothing() -> None:
    record = BuildRecord.read(predicate())
    assert record.lacks == record.needs == ()
    said = record.summary
    assert (said.revision, said.tree, said.folder) == ("c" * 40, "d" * 40, "deploy")
    assert (said.environment, said.artifact, said.application) == ("prod", "chart", "web")
    assert said.source_date_epoch == 1700000000
    assert said.image == f"registry.example/ci@sha256:{'e' * 64}"
    assert record.bundle == Digest(f"sha256:{'b' * 64}")
    assert set(record.materials) == {"apps/web.dhall", "https://x.example/p.dhall"}
    assert [one.remote for one in record.materials.values()] == [False, True]


GAPS: list[tuple[tuple[object, ...], str, bool]] = [
    (("buildDefinition", "externalParameters", "config"), "externalParameters.config", True),
    (("buildDefinition", "externalParameters", "artifact"), "externalParameters.artifact", True),
    (("buildDefinition", "internalParameters", "sourceDateEpoch"), "internalParameters.sourceDateEpoch", True),
    (("buildDefinition", "internalParameters", "tools"), "version of dhall", False),
    (("buildDefinition", "resolvedDependencies", 0), "source commit (gitCommit)", False),
    (("buildDefinition", "resolvedDependencies", 1), "source tree (gitTree)", False),
    (("buildDefinition", "resolvedDependencies", 4), "materials bundle, by digest", True),
    (("runDetails", "builder", "builderDependencies"), "image that the build ran in, by digest", False),
    (("buildDefinition", "buildType"), "build type https://dhallmark.dev/build/v1", True),
]


@pytest.mark.parametrize(("path", "named", "needed"), GAPS)
def test_what_is_not_said_is_named(path: tuple[Any, ...], named: str, *, needed: bool) -> None:
    body = predicate()
    place: Any = body
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    record = BuildRecord.read(body)
    assert named in record.lacks
    assert (named in record.needs) is needed


def test_the_words_of_another_build_type_mean_something_else() -> None:
    body = predicate()
    body["buildDefinition"]["buildType"] = "https://actions.github.io/buildtypes/workflow/v1"
    said = BuildRecord.read(body).summary
    assert (said.environment, said.materials, said.tools) == ("", "", {})
    assert said.revision == "c" * 40


@given(st.recursive(st.none() | st.integers() | st.text(), lambda one: st.lists(one) | st.dictionaries(st.text(), one)))
def test_anything_at_all_is_read(value: object) -> None:
    body = predicate()
    for part in (("buildDefinition",), ("buildDefinition", "resolvedDependencies"), ("runDetails", "builder")):
        place: Any = predicate()
        body = place
        for key in part[:-1]:
            place = place[key]
        place[part[-1]] = value
        BuildRecord.read(body)
    BuildRecord.read({"buildDefinition": {"resolvedDependencies": [value, {"digest": value, "name": "materials"}]}})


def test_no_provenance_is_a_gap() -> None:
    assert BuildRecord.none().needs == ("provenance",)
