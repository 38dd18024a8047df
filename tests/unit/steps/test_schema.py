"""Statements against the schemas: what fits, and what is refused with its field."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from dhallmark import strictjson
from dhallmark.errors import FormatError
from dhallmark.statement import COSIGN_SIGN_V1, LINK_V0_3, SLSA_PROVENANCE_V1
from dhallmark.steps.schema import BUILD_TYPE, validate_statement

_HEX = "ab" * 32
_FILE = {"name": "a.txt", "digest": {"sha256": _HEX}}


def statement(predicate_type: str, predicate: dict[str, Any]) -> dict[str, Any]:
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [copy.deepcopy(_FILE)],
        "predicateType": predicate_type,
        "predicate": predicate,
    }


def sign() -> dict[str, Any]:
    return statement(COSIGN_SIGN_V1, {})


def link() -> dict[str, Any]:
    return statement(
        LINK_V0_3,
        {
            "name": "render",
            "command": ["dhallmark", "render"],
            "materials": [copy.deepcopy(_FILE)],
            "byproducts": {"return-value": 0},
            "environment": {},
        },
    )


def provenance() -> dict[str, Any]:
    return statement(
        SLSA_PROVENANCE_V1,
        {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "repository": "https://git.example.org/acme/platform",
                    "config": "dhallmark.yaml",
                    "project": "platform",
                    "version": "1.2.3",
                    "environment": "prod",
                    "application": "web",
                    "artifact": "chart",
                },
                "internalParameters": {"dirty": False, "sourceDateEpoch": 1, "tools": {"dhallmark": "0.1.0"}},
                "resolvedDependencies": [
                    {
                        "name": "source",
                        "uri": "git+https://git.example.org/acme/platform",
                        "digest": {"gitCommit": "a" * 40},
                    },
                    {"name": "tree", "digest": {"gitTree": "a" * 64}, "annotations": {"x": 1}},
                    {"name": "materials", "digest": {"sha256": _HEX}, "mediaType": "application/x.y+gzip"},
                ],
            },
            "runDetails": {
                "builder": {
                    "id": "https://ci.example.org/w",
                    "version": {"dhallmark": "0.1.0"},
                    "builderDependencies": [],
                },
                "metadata": {
                    "invocationId": "https://ci.example.org/runs/1",
                    "startedOn": "2026-01-02T03:04:05Z",
                    "finishedOn": "2026-01-02T03:04:05.678Z",
                },
                "byproducts": [{"content": "aGk="}],
            },
        },
    )


def foreign_provenance() -> dict[str, Any]:
    body = provenance()
    body["predicate"]["buildDefinition"] = {"buildType": "https://example.org/x", "externalParameters": {"any": [1]}}
    return body


@pytest.mark.parametrize("make", [sign, link, provenance, foreign_provenance])
def test_a_statement_as_specified_fits(make: Callable[[], dict[str, Any]]) -> None:
    payload = strictjson.dump_compact(make())
    assert validate_statement(payload).payload == payload


def test_a_predicate_without_a_schema_here_is_only_a_statement() -> None:
    assert validate_statement(strictjson.dump(statement("https://example.org/p/v1", {"any": 1}))).predicate == {
        "any": 1
    }


Path = tuple[str | int, ...]
_REMOVED = object()
_DEFINITION: Path = ("predicate", "buildDefinition")
_DETAILS: Path = ("predicate", "runDetails")


@pytest.mark.parametrize(
    ("make", "path", "value"),
    [
        (sign, ("_type",), "https://in-toto.io/Statement/v0.1"),
        (sign, ("_type",), _REMOVED),
        (sign, ("subject",), []),
        (sign, ("subject",), _REMOVED),
        (sign, ("subject", 0, "name"), ""),
        (sign, ("subject", 0, "name"), _REMOVED),
        (sign, ("subject", 0, "digest"), _REMOVED),
        (sign, ("subject", 0, "digest"), {}),
        (sign, ("subject", 0, "digest"), {"sha512": "ab" * 64}),
        (sign, ("subject", 0, "digest"), {"sha256": _HEX, "md5": "ab" * 16}),
        (sign, ("subject", 0, "digest", "sha256"), _HEX.upper()),
        (sign, ("subject", 0, "digest", "sha256"), _HEX + "\n"),
        (sign, ("subject", 0, "digest", "sha256"), "sha256:" + _HEX),
        (sign, ("subject", 0, "extra"), 1),
        (sign, ("predicateType",), "no uri"),
        (sign, ("predicate",), _REMOVED),
        (sign, ("predicate",), {"result": "PASSED"}),
        (sign, ("extra",), 1),
        (link, ("subject",), [_FILE, _FILE]),
        (link, ("predicate", "name"), _REMOVED),
        (link, ("predicate", "name"), ""),
        (link, ("predicate", "command"), "dhallmark render"),
        (link, ("predicate", "materials"), {"a.txt": {"sha256": _HEX}}),
        (link, ("predicate", "materials"), [_FILE, _FILE]),
        (link, ("predicate", "materials", 0, "name"), _REMOVED),
        (link, ("predicate", "materials", 0, "digest"), _REMOVED),
        (link, ("predicate", "materials", 0, "digest", "sha256"), "ab"),
        (link, ("predicate", "byproducts"), []),
        (link, ("predicate", "environment"), _REMOVED),
        (link, ("predicate", "products"), {}),
        (provenance, _DEFINITION, _REMOVED),
        (provenance, (*_DEFINITION, "buildType"), "build"),
        (provenance, (*_DEFINITION, "buildType"), BUILD_TYPE + "\n"),
        (provenance, (*_DEFINITION, "externalParameters"), {}),
        (provenance, (*_DEFINITION, "externalParameters", "artifact"), "image"),
        (provenance, (*_DEFINITION, "externalParameters", "environment"), _REMOVED),
        (provenance, (*_DEFINITION, "externalParameters", "shard"), "1/2"),
        (provenance, (*_DEFINITION, "internalParameters"), _REMOVED),
        (provenance, (*_DEFINITION, "internalParameters", "dirty"), _REMOVED),
        (provenance, (*_DEFINITION, "internalParameters", "dirty"), 0),
        (provenance, (*_DEFINITION, "internalParameters", "sourceDateEpoch"), -1),
        (provenance, (*_DEFINITION, "internalParameters", "tools"), {}),
        (provenance, (*_DEFINITION, "resolvedDependencies", 0), {"name": "nothing to find it by"}),
        (provenance, (*_DEFINITION, "resolvedDependencies", 0, "digest", "gitCommit"), "abc"),
        (provenance, (*_DEFINITION, "resolvedDependencies", 0, "uri"), "a b:c"),
        (provenance, (*_DEFINITION, "resolvedDependencies", 2, "mediaType"), "gzip"),
        (provenance, (*_DEFINITION, "byproducts"), []),
        (provenance, (*_DETAILS, "builder"), _REMOVED),
        (provenance, (*_DETAILS, "builder", "id"), _REMOVED),
        (provenance, (*_DETAILS, "builder", "version", "dhallmark"), 1),
        (provenance, (*_DETAILS, "metadata", "invocationId"), ""),
        (provenance, (*_DETAILS, "metadata", "startedOn"), "yesterday"),
        (provenance, (*_DETAILS, "metadata", "startedOn"), "2026-01-02T03:04:05+01:00"),
        (provenance, (*_DETAILS, "byproducts", 0, "content"), "no base64!"),
        (provenance, (*_DETAILS, "clock"), 1),
    ],
)
def test_anything_else_is_refused_with_its_field(make: Callable[[], dict[str, Any]], path: Path, value: object) -> None:
    body = make()
    target: Any = body
    for key in path[:-1]:
        target = target[key]
    if value is _REMOVED:
        del target[path[-1]]
    else:
        target[path[-1]] = value
    with pytest.raises(FormatError) as caught:
        validate_statement(strictjson.dump(body), file="statements/x.json")
    assert caught.value.where is not None
    assert caught.value.where.file == "statements/x.json"
    field = caught.value.where.field or ""
    assert ".".join(map(str, path)).startswith(field), f"{field} is not where the fault is"


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(FormatError):
        validate_statement(b"{")
