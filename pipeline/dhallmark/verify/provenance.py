"""What SLSA provenance claims, and whether the policy agrees.

Source: SLSA 1.0, Build Provenance. Which fields dhallmark writes is in `dhallmark.steps.provenance`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dhallmark.config.policy import SourceRule
from dhallmark.reasons import Reason
from dhallmark.statement import Statement
from dhallmark.verify.refusal import Refusal

_GIT = "git+"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """The claims that a policy can be about."""

    builder: str
    repository: str
    """URI of the Git repository that was built."""
    revision: str
    """The commit."""
    ref: str
    """The Git ref, where it is named; otherwise empty."""
    dirty: bool
    external_parameters: Mapping[str, Any]
    """What the builder was asked for; empty where it says nothing."""

    @classmethod
    def read(cls, statement: Statement) -> Provenance:
        """The claims of a statement of type provenance/v1. Refuses a predicate of another shape."""
        definition = _object(statement.predicate, "buildDefinition")
        source = _source(definition)
        uri = _string(source, "uri")
        if not uri.startswith(_GIT):
            raise Refusal(Reason.STATEMENT_PREDICATE, "the provenance's source is no Git repository", found=uri[:200])
        # Not the first "@": a user may stand before the host, as in ssh://git@…
        repository, _, ref = uri.removeprefix(_GIT).partition("@refs/")
        return cls(
            builder=_string(_object(_object(statement.predicate, "runDetails"), "builder"), "id"),
            repository=repository,
            revision=_string(_object(source, "digest"), "gitCommit"),
            ref=f"refs/{ref}" if ref else "",
            dirty=_dirty(definition),
            external_parameters=_mapping(definition, "externalParameters"),
        )


def _mapping(parent: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = parent.get(key)
    return value if isinstance(value, dict) else {}


def _source(definition: Mapping[str, Any]) -> Mapping[str, Any]:
    """The one dependency that is a Git commit: what was built. Two would leave open which one the policy is about."""
    dependencies = definition.get("resolvedDependencies")
    found = [
        item
        for item in (dependencies if isinstance(dependencies, list) else [])
        if isinstance(item, dict) and isinstance(item.get("digest"), dict) and "gitCommit" in item["digest"]
    ]
    if len(found) != 1:
        raise Refusal(
            Reason.STATEMENT_PREDICATE,
            "the provenance needs exactly one source among its resolved dependencies",
            found=str(len(found)),
        )
    return found[0]


def _dirty(definition: Mapping[str, Any]) -> bool:
    """Whether the tree had changes that are in no commit. Not said counts as dirty: a clean tree is to be claimed."""
    parameters = definition.get("internalParameters")
    return not isinstance(parameters, dict) or parameters.get("dirty") is not False


def _object(parent: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = parent.get(key)
    if not isinstance(value, dict):
        raise Refusal(Reason.STATEMENT_PREDICATE, f"the provenance has no {key}")
    return value


def _string(parent: Mapping[str, Any], key: str) -> str:
    value = parent.get(key)
    if not isinstance(value, str) or not value:
        raise Refusal(Reason.STATEMENT_PREDICATE, f"the provenance has no {key}")
    return value


def verify_builder(provenance: Provenance, builders: Sequence[str]) -> None:
    """Refuse a builder that is none of `builders`."""
    _require(
        provenance.builder in builders,
        Reason.PROVENANCE_BUILDER,
        "built by another builder than the policy allows",
        expected=builders,
        found=provenance.builder,
    )


def verify_source(provenance: Provenance, source: SourceRule) -> None:
    """Refuse another source repository than the policy names."""
    _require(
        provenance.repository == source.repository,
        Reason.PROVENANCE_SOURCE,
        "built from another repository than the policy names",
        expected=[source.repository],
        found=provenance.repository,
    )


def verify_clean(provenance: Provenance, source: SourceRule) -> None:
    """Refuse a release from a tree with uncommitted changes, unless the policy allows one."""
    if provenance.dirty and not source.allow_dirty:
        raise Refusal(Reason.PROVENANCE_DIRTY, "built from a tree that is not a commit's, or does not say that it is")


def verify_ref(ref: str, source: SourceRule) -> None:
    """Refuse a Git ref that the policy does not list, where it lists some. `ref` is empty where nobody names it."""
    if source.refs:
        _require(
            ref in source.refs,
            Reason.PROVENANCE_SOURCE,
            "built from another ref than the policy allows"
            if ref
            else "neither provenance nor certificate names a ref",
            expected=source.refs,
            found=ref,
        )


def verify_revision(provenance: Provenance, source: SourceRule) -> None:
    """Refuse a commit that the policy does not list, where it lists some (C18)."""
    if source.revisions:
        _require(
            provenance.revision in source.revisions,
            Reason.PROVENANCE_SOURCE,
            "built from a commit that is not on the policy's list",
            expected=source.revisions,
            found=provenance.revision,
        )


def _require(holds: bool, reason: Reason, detail: str, *, expected: Sequence[str], found: str) -> None:  # noqa: FBT001
    if not holds:
        raise Refusal(reason, detail, expected=" or ".join(expected), found=found)
