"""Checks statements against schemas written from the published specifications, before they are signed.

The schemas are stricter than the specifications where a consumer could read one statement in two ways.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import best_match
from jsonschema.validators import extend

from dhallmark import strictjson
from dhallmark.errors import FormatError, Location
from dhallmark.statement import COSIGN_SIGN_V1, LINK_V0_3, SLSA_PROVENANCE_V1, Statement

BUILD_TYPE = "https://dhallmark.dev/build/v1"
"""The build type of the provenance that dhallmark writes."""

_PREDICATES = {LINK_V0_3: "link.json", SLSA_PROVENANCE_V1: "provenance.json"}


def validate_statement(payload: bytes, *, file: str = "statement") -> Statement:
    """Read a statement and check it, with its predicate if that has a schema here.

    Raises FormatError with the field that is wrong, also where two subjects of one name have different digests, or a
    link names a subject or a material twice.
    """
    body = strictjson.parse(payload, what=file)
    _check(body, "statement.json", at="", file=file)
    predicate_type, predicate = body["predicateType"], body["predicate"]
    if predicate_type in _PREDICATES:
        _check(predicate, _PREDICATES[predicate_type], at="predicate", file=file)
    if predicate_type == LINK_V0_3:
        _refuse_repeated((item["name"] for item in body["subject"]), at="subject", file=file)
        _refuse_repeated((item["name"] for item in predicate["materials"]), at="predicate.materials", file=file)
    if predicate_type == SLSA_PROVENANCE_V1 and predicate["buildDefinition"]["buildType"] == BUILD_TYPE:
        definition = predicate["buildDefinition"]
        parameters = {key: definition[key] for key in ("externalParameters", "internalParameters") if key in definition}
        _check(parameters, "build.json", at="predicate.buildDefinition", file=file)
    if predicate_type == COSIGN_SIGN_V1 and predicate:
        raise FormatError("must be empty", where=Location(file=file, field="predicate"))
    return Statement.parse(payload)


def _check(value: object, name: str, *, at: str, file: str) -> None:
    error = best_match(_validator(name).iter_errors(value))
    if error is not None:
        field = ".".join(str(part) for part in ([at] if at else []) + list(error.absolute_path))
        raise FormatError(error.message[:500], where=Location(file=file, field=field or None))


def _pattern(_: object, pattern: str, value: object, __: object) -> Iterator[ValidationError]:
    # In Python, unlike in ECMA 262, `$` also matches before a final line feed.
    if isinstance(value, str) and not re.search(re.sub(r"\$(?=$|\))", r"\\Z", pattern), value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


_Validator = extend(Draft202012Validator, {"pattern": _pattern})  # type: ignore[no-untyped-call] # so in its stubs


@cache
def _validator(name: str) -> Any:  # noqa: ANN401 - jsonschema ships no types
    schema = json.loads(files("dhallmark.steps").joinpath("schemas", name).read_bytes())
    Draft202012Validator.check_schema(schema)
    return _Validator(schema)


def _refuse_repeated(names: Iterable[str], *, at: str, file: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise FormatError(f"the name {name!r} stands there twice", where=Location(file=file, field=at))
        seen.add(name)
