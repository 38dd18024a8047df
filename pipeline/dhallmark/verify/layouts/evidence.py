"""What a signed statement says of a step: a link by its own fields, SLSA provenance by its build type.

| | link/v0.3 | provenance/v1 |
|---|---|---|
| name of the step | `predicate.name` | the step of the layout that lists `buildDefinition.buildType` |
| products | subjects | subjects |
| materials | `predicate.materials` | `buildDefinition.resolvedDependencies`, each by `name`, or by `uri` |

File names, key ids and annotations are never asked (P16).
Source: in-toto attestation framework, spec/predicates/link.md (v0.3); SLSA 1.0, Build Provenance.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dhallmark.identity import Signatory
from dhallmark.reasons import Reason
from dhallmark.statement import LINK_V0_3, SLSA_PROVENANCE_V1, Statement
from dhallmark.verify.layouts.model import Layout
from dhallmark.verify.layouts.names import check_names
from dhallmark.verify.listed import require_comparable
from dhallmark.verify.refusal import Refusal, border

MAX_ARTIFACTS = 16_384
"""Materials, or products, of one statement. A signed statement's subjects have a limit of their own in the policy."""

Artifacts = Mapping[str, Mapping[str, str]]
"""Name to digests: exactly one algorithm, the first of _ALGORITHMS that there is."""

_ALGORITHMS: Mapping[str, re.Pattern[str]] = {
    "sha256": re.compile(r"[0-9a-f]{64}"),
    "gitCommit": re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}"),
    "gitTree": re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}"),
}
"""Digests that tell artifacts apart. Git objects have no other name than Git's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """What one statement, or one inspection, says was read and written. in-toto's functions take it for a link."""

    name: str
    """Of the step in the layout."""
    materials: Artifacts
    products: Artifacts
    command: tuple[str, ...] = ()
    """By the functionary's word; empty in provenance."""

    @property
    def reported(self) -> tuple[Artifacts, Artifacts]:
        """What functionaries of one step must agree on."""
        return self.materials, self.products


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A statement whose bundle was accepted, and who signed it."""

    source: str
    """Where it came from, for the report."""
    statement: Statement
    signatory: Signatory


def read_record(statement: Statement, layout: Layout) -> StepRecord | None:
    """What `statement` says of a step of `layout`; None where it is about no step of it.

    Refuses a predicate of another shape (`statement.predicate`) and unsafe names (`step.artifact-name`).
    """
    if statement.predicate_type == LINK_V0_3:
        record = _read_link(statement)
        return record if any(step.name == record.name for step in layout.steps) else None
    if statement.predicate_type == SLSA_PROVENANCE_V1:
        return _read_provenance(statement, layout)
    return None


def _read_link(statement: Statement) -> StepRecord:
    predicate = statement.predicate
    name, command = predicate.get("name"), predicate.get("command", [])
    if not isinstance(name, str) or not name:
        raise Refusal(Reason.STATEMENT_PREDICATE, "the link has no name")
    return _record(name, _list(predicate, "materials"), statement, command=command)


def _read_provenance(statement: Statement, layout: Layout) -> StepRecord | None:
    definition = statement.predicate.get("buildDefinition")
    if not isinstance(definition, dict) or not isinstance(definition.get("buildType"), str):
        raise Refusal(Reason.STATEMENT_PREDICATE, "the provenance has no build type")
    for step in layout.steps:
        if definition["buildType"] in step.build_types:
            return _record(step.name, _list(definition, "resolvedDependencies"), statement, command=[])
    return None


def _record(name: str, materials: list[Any], statement: Statement, *, command: object) -> StepRecord:
    require_comparable(statement)
    with border(Reason.STATEMENT_PREDICATE, f"the statement of step {name[:100]}"):
        if not isinstance(command, list) or not all(isinstance(word, str) for word in command):
            raise Refusal(Reason.STATEMENT_PREDICATE, "the link's command is no list of strings")
        record = StepRecord(
            name=name,
            materials=_unique((_descriptor(item) for item in materials), what="material"),
            products=_unique(
                ((subject.name, {"sha256": subject.digest.hex}) for subject in statement.subjects), what="product"
            ),
            command=tuple(command),
        )
        check_names(dict.fromkeys((*record.materials, *record.products)))
        return record


def _list(parent: Mapping[str, Any], key: str) -> list[Any]:
    value = parent.get(key, [])
    if not isinstance(value, list):
        raise Refusal(Reason.STATEMENT_PREDICATE, f"{key} is no list")
    return value


def _descriptor(item: object) -> tuple[str, Mapping[str, str]]:
    """Name and digest of a ResourceDescriptor. One that has no usable digest could be anything (P4, P13)."""
    if not isinstance(item, dict):
        raise Refusal(Reason.STATEMENT_PREDICATE, "a material is no object")
    name = item.get("name") or item.get("uri")
    if not isinstance(name, str):
        raise Refusal(Reason.STATEMENT_PREDICATE, "a material has neither name nor URI")
    digests = item.get("digest")
    for algorithm, form in _ALGORITHMS.items():
        value = digests.get(algorithm) if isinstance(digests, dict) else None
        if value is not None:
            if not isinstance(value, str) or not form.fullmatch(value):
                raise Refusal(Reason.STATEMENT_PREDICATE, f"a material's {algorithm} is none", found=name[:200])
            return name, {algorithm: value}
    raise Refusal(
        Reason.STATEMENT_PREDICATE,
        "a material has no digest that tells it apart",
        expected=" or ".join(_ALGORITHMS),
        found=name[:200],
    )


def _unique(items: Iterable[tuple[str, Mapping[str, str]]], *, what: str) -> dict[str, Mapping[str, str]]:
    found: dict[str, Mapping[str, str]] = {}
    for name, digest in _at_most(items, what=what):
        if found.setdefault(name, digest) != digest:
            raise Refusal(Reason.STATEMENT_PREDICATE, f"the {what} {name[:200]!r} stands there with two digests")
    return found


def _at_most(items: Iterable[tuple[str, Mapping[str, str]]], *, what: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    for count, item in enumerate(items):
        if count >= MAX_ARTIFACTS:
            raise Refusal(Reason.STATEMENT_PREDICATE, f"more than {MAX_ARTIFACTS} {what}s")
        yield item
