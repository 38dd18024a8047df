"""SLSA provenance v1 of one artifact: from which materials, by which builder, with which parameters.

The build type and the meaning of each parameter stand in docs/adr/0003-build-type.md. There is no clock in it: the same
commit, built by the same builder in the same run, gives the same bytes.
Source: SLSA 1.0, "Build: Provenance", predicate type https://slsa.dev/provenance/v1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dhallmark.digest import Digest
from dhallmark.package.model import Artifact, Artifacts
from dhallmark.statement import SLSA_PROVENANCE_V1, Statement, Subject
from dhallmark.steps.schema import BUILD_TYPE
from dhallmark.steps.source import SourceState


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """One thing that the build read: a ResourceDescriptor of the provenance."""

    name: str
    digest: Digest
    uri: str | None = None
    media_type: str | None = None
    annotations: Mapping[str, str] | None = None

    def to_json(self) -> dict[str, object]:
        body: dict[str, object] = {"name": self.name, "digest": {"sha256": self.digest.hex}}
        if self.uri is not None:
            body["uri"] = self.uri
        if self.media_type is not None:
            body["mediaType"] = self.media_type
        if self.annotations:
            body["annotations"] = dict(self.annotations)
        return body


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """Who built, and in which run."""

    id: str
    """URI of the builder: what a policy's `builders` lists."""
    invocation: str | None = None
    """URI of the run, where the CI gives one."""
    image: Dependency | None = None
    """The image that the build ran in, by digest, where it is known."""


def make_provenance(
    artifact: Artifact,
    *,
    artifacts: Artifacts,
    source: SourceState,
    repository: str,
    config: str,
    builder: Builder,
    tools: Mapping[str, str],
    dependencies: Sequence[Dependency],
    byproducts: Sequence[Dependency] = (),
    reference: str,
) -> Statement:
    """The provenance of one artifact.

    Subjects: every file of its part of the deploy tree, the archive, and the OCI manifest under `reference` (its final
    repository, without tag). `repository` is the source's URI as verifiers know it, `config` the path of
    `dhallmark.yaml`, `tools` the versions of the programs that ran. Raises FormatError.
    """
    subjects = [Subject(file.name, Digest.from_hex(file.sha256)) for file in artifact.files]
    subjects.append(Subject(artifact.archive_name, artifact.archive.digest))
    subjects.append(Subject(reference, artifact.manifest_digest))
    external: dict[str, object] = {
        "repository": repository,
        "config": config,
        "project": artifacts.project,
        "version": artifact.version,
        "environment": artifact.environment,
        "artifact": artifact.kind,
    }
    if source.folder:
        external["folder"] = source.folder
    if artifact.application is not None:
        external["application"] = artifact.application
    run_details: dict[str, Any] = {
        "builder": {"id": builder.id, "version": {"dhallmark": tools["dhallmark"]}},
        "byproducts": [item.to_json() for item in byproducts],
    }
    if builder.invocation is not None:
        run_details["metadata"] = {"invocationId": builder.invocation}
    if builder.image is not None:
        run_details["builder"]["builderDependencies"] = [builder.image.to_json()]
    return Statement.build(
        predicate_type=SLSA_PROVENANCE_V1,
        subjects=subjects,
        predicate={
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": external,
                "internalParameters": {
                    "dirty": source.dirty,
                    "sourceDateEpoch": artifacts.source_date_epoch,
                    "tools": dict(tools),
                },
                "resolvedDependencies": [
                    *_source_dependencies(source, repository=repository),
                    *(item.to_json() for item in dependencies),
                ],
            },
            "runDetails": run_details,
        },
    )


def _source_dependencies(source: SourceState, *, repository: str) -> list[dict[str, object]]:
    """The commit, and the tree of the project's folder: a clone of either has every local material."""
    uri = f"git+{repository}"
    return [
        {"name": "source", "uri": uri, "digest": {"gitCommit": source.revision}},
        {
            "name": "source-tree",
            "uri": f"{uri}#{source.folder}" if source.folder else uri,
            "digest": {"gitTree": source.tree},
        },
    ]
