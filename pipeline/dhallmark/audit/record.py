"""How a provenance says that an artifact was built, and what it does not say.

Everything here is read, nothing is trusted: whether the provenance is signed by whom it must be was decided before.
What is missing is named, so that a reader knows what to ask the builder for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from dhallmark.audit.model import RecordSummary
from dhallmark.digest import Digest
from dhallmark.errors import FormatError
from dhallmark.steps.schema import BUILD_TYPE

_PARAMETERS: Final = ("repository", "config", "project", "version", "environment", "artifact")
_BUILD_TOOLS: Final = ("dhallmark", "dhall")


@dataclass(frozen=True, slots=True)
class Material:
    """A file or import that the build read, by the record."""

    name: str
    sha256: Digest
    semantic_hash: str = ""
    remote: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRecord:
    """What a provenance says of a build."""

    summary: RecordSummary
    lacks: tuple[str, ...]
    """What it does not say and a rebuild, or a reader, would need."""
    needs: tuple[str, ...]
    """Those of `lacks` without which there is no rebuild from the record alone."""
    materials: Mapping[str, Material] = field(default_factory=dict)
    """Local files and remote imports by name."""

    @property
    def bundle(self) -> Digest | None:
        """Digest of the materials bundle."""
        return Digest(self.summary.materials) if self.summary.materials else None

    @classmethod
    def none(cls) -> BuildRecord:
        """Where there is no provenance at all."""
        lacks = ("provenance",)
        return cls(summary=RecordSummary(), lacks=lacks, needs=lacks)

    @classmethod
    def read(cls, predicate: Mapping[str, Any]) -> BuildRecord:
        """Read the predicate of SLSA provenance v1, by whichever builder. Never raises for anything in it."""
        definition = _mapping(predicate, "buildDefinition")
        external, internal = _mapping(definition, "externalParameters"), _mapping(definition, "internalParameters")
        details = _mapping(predicate, "runDetails")
        dependencies = [item for item in _list(definition, "resolvedDependencies") if isinstance(item, dict)]
        ours = _text(definition, "buildType") == BUILD_TYPE
        epoch = internal.get("sourceDateEpoch")
        image = next((item for item in _list(_mapping(details, "builder"), "builderDependencies")), None)
        tools = {str(name): str(version) for name, version in _mapping(internal, "tools").items()}
        summary = RecordSummary(
            build_type=_text(definition, "buildType"),
            builder=_text(_mapping(details, "builder"), "id"),
            repository=_text(external, "repository") or _repository(dependencies),
            revision=_git(dependencies, "gitCommit"),
            tree=_git(dependencies, "gitTree"),
            folder=_text(external, "folder"),
            # The same word means something else in another build type.
            **({name: _text(external, name) for name in _PARAMETERS[1:]} if ours else {}),
            application=_text(external, "application") if ours else "",
            source_date_epoch=epoch if type(epoch) is int and epoch >= 0 else None,
            tools=tools if ours else {},
            image=_image(image),
            materials=_bundle(dependencies) if ours else "",
        )
        return cls(
            summary=summary,
            lacks=tuple(_lacks(summary, ours=ours)),
            needs=tuple(_needs(summary, ours=ours)),
            materials=_materials(dependencies),
        )


def _lacks(summary: RecordSummary, *, ours: bool) -> Sequence[str]:
    lacks = list(_needs(summary, ours=ours))
    for there, what in (
        (summary.repository, "source repository"),
        (summary.revision, "source commit (gitCommit)"),
        (summary.tree, "source tree (gitTree)"),
        (summary.image, "image that the build ran in, by digest"),
        *((summary.tools.get(name, ""), f"version of {name}") for name in _BUILD_TOOLS),
    ):
        if not there:
            lacks.append(what)
    return lacks


def _needs(summary: RecordSummary, *, ours: bool) -> Sequence[str]:
    needs = [] if ours else [f"build type {BUILD_TYPE}"]
    needs += [f"externalParameters.{name}" for name in _PARAMETERS[1:] if not getattr(summary, name)]
    if summary.source_date_epoch is None:
        needs.append("internalParameters.sourceDateEpoch")
    if not summary.materials:
        needs.append("materials bundle, by digest")
    return needs


def _materials(dependencies: Sequence[Mapping[str, Any]]) -> Mapping[str, Material]:
    """Every file and import; the sources as a whole, and the bundle, are named otherwise."""
    found: dict[str, Material] = {}
    for item in dependencies:
        name, sha256 = _text(item, "name"), _text(_mapping(item, "digest"), "sha256")
        if not name or not sha256 or name == "materials":
            continue
        try:
            digest = Digest.from_hex(sha256)
        except FormatError:
            continue
        hashed = _text(_mapping(item, "annotations"), "semanticHash")
        found[name] = Material(name, digest, hashed, remote=bool(_text(item, "uri")))
    return found


def _bundle(dependencies: Sequence[Mapping[str, Any]]) -> str:
    for item in dependencies:
        if _text(item, "name") == "materials":
            return _oci_digest(item)
    return ""


def _image(item: object) -> str:
    """`name@sha256:…` of the image, as far as it is said."""
    if not isinstance(item, dict):
        return ""
    digest = _oci_digest(item)
    name = _text(item, "uri").removeprefix("oci://") or _text(item, "name")
    return f"{name}@{digest}" if digest and name else ""


def _oci_digest(item: Mapping[str, Any]) -> str:
    try:
        return str(Digest.from_hex(_text(_mapping(item, "digest"), "sha256")))
    except FormatError:
        return ""


def _git(dependencies: Sequence[Mapping[str, Any]], algorithm: str) -> str:
    return next((found for item in dependencies if (found := _text(_mapping(item, "digest"), algorithm))), "")


def _repository(dependencies: Sequence[Mapping[str, Any]]) -> str:
    uris = (_text(item, "uri") for item in dependencies if "gitCommit" in _mapping(item, "digest"))
    return next((uri.removeprefix("git+") for uri in uris if uri), "")


def _mapping(parent: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = parent.get(key)
    return value if isinstance(value, dict) else {}


def _list(parent: Mapping[str, Any], key: str) -> Sequence[Any]:
    value = parent.get(key)
    return value if isinstance(value, list) else ()


def _text(parent: Mapping[str, Any], key: str) -> str:
    value = parent.get(key)
    return value if isinstance(value, str) else ""
