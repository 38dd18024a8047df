"""What a rebuild made: its artifacts, their files, and the record of its imports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from dhallmark.audit.compare import Side
from dhallmark.audit.record import BuildRecord
from dhallmark.audit.sealed import Rebuild
from dhallmark.oci.layout import blob_path, read_manifest
from dhallmark.package.model import FLUX_CONTENT, HELM_CONTENT, Artifact, Artifacts
from dhallmark.package.package import LAYOUT, load_artifacts
from dhallmark.reasons import Reason
from dhallmark.render.closure import Closure, load_closure
from dhallmark.verify.refusal import Refusal


@dataclass(frozen=True)
class Rebuilt:
    """A rebuild, its records read. Raises FormatError where they cannot be."""

    rebuild: Rebuild
    artifacts: Artifacts = field(init=False)
    closure: Closure = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "artifacts", load_artifacts(self.build))
        object.__setattr__(self, "closure", load_closure(self.build))

    @property
    def build(self) -> Path:
        return self.rebuild.build

    @property
    def tools(self) -> Mapping[str, str]:
        return self.rebuild.tools

    @cached_property
    def _layout(self) -> Path:
        return self.build / LAYOUT

    def side(self, artifact: Artifact) -> Side:
        """An artifact with its content. Raises FormatError."""
        manifest = read_manifest(self._layout, artifact.manifest_digest)
        config, layer = [blob_path(self._layout, blob.digest).read_bytes() for blob in manifest.blobs()]
        return Side(manifest, config, layer)

    def files(self, artifact: Artifact) -> Mapping[str, bytes]:
        """The files of its part of the deploy tree, by their path there."""
        chart = self.build / "render" / artifact.environment / artifact.name
        prefix = f"environments/{artifact.environment}/"
        if artifact.kind == "chart":
            prefix += f"charts/{artifact.name}/"
        return {file.name: (chart / file.name.removeprefix(prefix)).read_bytes() for file in artifact.files}

    def recorded(self, record: BuildRecord) -> Artifact:
        """The artifact that a record is of. Refuses where the rebuild has none."""
        said = record.summary
        for artifact in self.artifacts.artifacts:
            if (artifact.environment, artifact.kind, artifact.application or "") == (
                said.environment,
                said.artifact,
                said.application,
            ):
                return artifact
        raise Refusal(
            Reason.REBUILD_FILE,
            "the sources yield no such artifact",
            expected=f"{said.artifact} {said.application} of {said.environment}",
        )

    def counterpart(self, *, environment: str, chart: str) -> Artifact:
        """The artifact that one of another tool's is to be compared with: a chart by its name, else the Flux artifact.

        `environment` may be empty where there is one; `chart` is the name in the published `Chart.yaml`, if it has one.
        Refuses where there is none, or where it cannot be told which.
        """
        environments = self.artifacts.environments
        if not environment and len(environments) > 1:
            raise Refusal(
                Reason.MATERIAL_MISSING,
                "which environment it is for is recorded nowhere: name it with --environment",
                expected=" or ".join(environments),
            )
        environment = environment or environments[0]
        types = {HELM_CONTENT} if chart else {FLUX_CONTENT}
        found = [
            artifact
            for artifact in self.artifacts.in_environment(environment)
            if artifact.archive.media_type in types and (not chart or artifact.name == chart)
        ]
        if not found:
            what = f"chart {chart!r}" if chart else "Flux artifact"
            raise Refusal(Reason.MATERIAL_MISSING, f"the sources yield no {what} for {environment}")
        return found[0]

    def semantic_hashes(self, artifact: Artifact, recorded: Closure) -> Mapping[str, tuple[str, str]]:
        """Of each unit of `artifact` whose normal form is another one: its hash by `recorded`, and here."""
        found: dict[str, tuple[str, str]] = {}
        then = {(unit.environment, unit.application): str(unit.semantic_hash) for unit in recorded.units}
        for unit in self.closure.units:
            if unit.environment != artifact.environment or artifact.application not in (None, unit.application):
                continue
            before = then.get((unit.environment, unit.application), "")
            if before != str(unit.semantic_hash):
                found[f"{unit.environment}/{unit.application}"] = (before, str(unit.semantic_hash))
        return found

    def changed_imports(self, recorded: Closure) -> tuple[str, ...]:
        """The imports whose normal forms are not those of `recorded`."""
        then = {item.id: item.semantic_hash for item in recorded.imports}
        return tuple(item.id for item in self.closure.imports if then.get(item.id) != item.semantic_hash)
