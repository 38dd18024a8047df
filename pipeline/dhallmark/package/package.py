"""The step `package`: chart directories to archives, OCI manifests and the record of all of them.

Nothing but the rendered charts, the materials, the configuration and one given time goes into a byte of its output.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dhallmark import strictjson
from dhallmark.config.model import Config
from dhallmark.digest import Digest
from dhallmark.errors import FormatError, UsageError
from dhallmark.files import directory_atomic, write_atomic
from dhallmark.oci.descriptor import EMPTY_CONFIG, Attachment, Descriptor, Manifest, build_manifest, rfc3339
from dhallmark.oci.layout import LayoutWriter
from dhallmark.package.archive import write_archive
from dhallmark.package.chart import ChartDirectory, read_chart
from dhallmark.package.materials import collect_materials
from dhallmark.package.model import (
    FILE,
    FLUX_CONFIG,
    FLUX_CONTENT,
    HELM_CONFIG,
    HELM_CONTENT,
    MATERIALS_ARTIFACT,
    MATERIALS_CONTENT,
    Artifact,
    Artifacts,
    Blob,
    File,
    Kind,
)
from dhallmark.package.objects import plain_objects
from dhallmark.plan import Plan, make_plan
from dhallmark.progress import Progress, Silent

LAYOUT = "package/oci"
"""Where the OCI image layout stands in a build directory."""
_MATERIALS = "materials.tar.gz"


def package(
    plan: Plan,
    *,
    root: Path,
    build: Path,
    source_date_epoch: int,
    config: str = "dhallmark.yaml",
    progress: Progress | None = None,
) -> Artifacts:
    """Write `<build>/package/` from `<build>/render/` and `<build>/resolve/`. Synchronous; whole or not at all.

    `root` is the folder of the configuration file `config`; `source_date_epoch` the one time in all artifacts, in
    seconds since 1970. Packs the whole release: raises UsageError for the plan of one shard. Raises FormatError for
    charts or materials that are missing, changed or unsafe, ToolError where helm is needed and fails.
    """
    if plan.units != make_plan(plan.config).units:
        raise UsageError("a shard cannot be packaged by itself", hint="merge the shards first: dhallmark merge")
    with directory_atomic(build / "package") as directory:
        packer = _Packer(plan.config, directory, render=build / "render", mtime=source_date_epoch)
        artifacts = packer.run(
            plan,
            materials=collect_materials(plan, root=root, build=build, config=config),
            progress=progress or Silent(),
        )
        write_atomic(directory / Path(FILE).name, artifacts.to_bytes())
    return artifacts


def load_artifacts(build: Path) -> Artifacts:
    """Read `<build>/package/artifacts.json`. Raises FormatError."""
    path = build / FILE
    try:
        return Artifacts.parse(path.read_bytes(), file=str(path))
    except FileNotFoundError as error:
        raise FormatError(f"{path} is not there", hint="run `dhallmark package` first") from error


def materials_attachment(artifacts: Artifacts, *, build: Path) -> Attachment:
    """The materials bundle as it is attached to every artifact. Raises FormatError where its bytes have changed."""
    path = build / artifacts.materials.path
    content = path.read_bytes()
    if Digest.of(content) != artifacts.materials.digest:
        raise FormatError(f"{path} is not what artifacts.json records", hint="run `dhallmark package` again")
    return _materials_attachment(content, source_date_epoch=artifacts.source_date_epoch)


def _materials_attachment(content: bytes, *, source_date_epoch: int) -> Attachment:
    return Attachment(
        artifact_type=MATERIALS_ARTIFACT,
        layer=content,
        layer_type=MATERIALS_CONTENT,
        annotations={"org.opencontainers.image.created": rfc3339(source_date_epoch)},
    )


class _Packer:
    def __init__(self, config: Config, directory: Path, *, render: Path, mtime: int) -> None:
        self._config = config
        self._directory = directory
        self._render = render
        self._mtime = mtime
        self._layout = LayoutWriter(directory / Path(LAYOUT).name)

    def run(self, plan: Plan, *, materials: Mapping[str, bytes | Path], progress: Progress) -> Artifacts:
        progress.start("package", total=len(plan.units) + 2 * len(plan.environments))
        blob = self._archive(_MATERIALS, materials, media_type=MATERIALS_CONTENT)
        attachment = _materials_attachment((self._directory / _MATERIALS).read_bytes(), source_date_epoch=self._mtime)
        self._layout.add_blob(EMPTY_CONFIG)
        self._layout.add_blob(attachment.layer)
        found: list[Artifact] = []
        for environment in plan.environments:
            applications = [unit.application for unit in plan.in_environment(environment)]
            charts = {name: self._read(environment, name) for name in applications}
            made = [self._chart(environment, name, chart) for name, chart in charts.items()]
            made.append(self._umbrella(environment))
            made.append(self._flux(environment, charts))
            for artifact, manifest in made:
                self._layout.add_manifest(manifest, name=f"{artifact.slug}:{artifact.version}")
                self._layout.add_manifest(attachment.manifest(manifest.descriptor))
                found.append(artifact)
                progress.advance("package")
        self._layout.finish()
        progress.done("package", summary=f"{len(found)} artifacts")
        return Artifacts(
            project=self._config.project,
            version=self._config.version,
            source_date_epoch=self._mtime,
            artifacts=tuple(sorted(found, key=lambda artifact: (artifact.environment, artifact.name))),
            materials=blob,
        )

    def _read(self, environment: str, name: str) -> ChartDirectory:
        return read_chart(self._render / environment / name, name=name, version=self._config.version)

    def _chart(self, environment: str, name: str, chart: ChartDirectory) -> tuple[Artifact, Manifest]:
        files = _files(chart.files, prefix=f"environments/{environment}/charts/{name}/")
        return self._helm("chart", environment, chart, files=files, application=name)

    def _umbrella(self, environment: str) -> tuple[Artifact, Manifest]:
        chart = self._read(environment, self._config.project)
        # The applications' files are named by their own artifacts; a file has one owner.
        own = {name: path for name, path in chart.files.items() if not name.startswith("charts/")}
        return self._helm("umbrella", environment, chart, files=_files(own, prefix=f"environments/{environment}/"))

    def _helm(
        self,
        kind: Kind,
        environment: str,
        chart: ChartDirectory,
        *,
        files: tuple[File, ...],
        application: str | None = None,
    ) -> tuple[Artifact, Manifest]:
        archive = self._archive(
            f"{environment}/{chart.name}-{self._config.version}.tgz",
            {f"{chart.name}/{name}": path for name, path in chart.files.items()},
            media_type=HELM_CONTENT,
        )
        return self._artifact(
            kind,
            environment,
            chart.name,
            archive=archive,
            files=files,
            application=application,
            config=(HELM_CONFIG, strictjson.dump_compact(dict(chart.metadata))),
            description=str(chart.metadata.get("description", "")),
        )

    def _flux(self, environment: str, charts: Mapping[str, ChartDirectory]) -> tuple[Artifact, Manifest]:
        name = f"flux-{self._config.project}"
        members: dict[str, bytes | Path] = {}
        for application, chart in charts.items():
            settings = self._config.applications[application]
            objects = plain_objects(
                chart,
                templated=settings.chart.templated,
                namespace=self._config.environments[environment].namespace,
            )
            folder = f"{settings.layer}/{application}"
            members.update({f"{folder}/{file}": content for file, content in objects.items()})
        archive = self._archive(f"{environment}/{name}-{self._config.version}.tgz", members, media_type=FLUX_CONTENT)
        return self._artifact(
            "flux",
            environment,
            name,
            archive=archive,
            files=(),
            config=(FLUX_CONFIG, EMPTY_CONFIG),
            description=f"All objects of {self._config.project} in {environment}",
        )

    def _artifact(
        self,
        kind: Kind,
        environment: str,
        name: str,
        *,
        archive: Blob,
        files: tuple[File, ...],
        config: tuple[str, bytes],
        description: str,
        application: str | None = None,
    ) -> tuple[Artifact, Manifest]:
        config_type, config_content = config
        self._layout.add_blob(config_content)
        self._layout.add_blob(self._directory / archive.path.removeprefix("package/"))
        annotations = {
            "org.opencontainers.image.title": name,
            "org.opencontainers.image.version": self._config.version,
            "org.opencontainers.image.source": self._config.source.repository,
            "org.opencontainers.image.created": rfc3339(self._mtime),
        }
        if description:
            annotations["org.opencontainers.image.description"] = description
        manifest = build_manifest(
            config=Descriptor.of(config_content, config_type),
            layers=[Descriptor(media_type=archive.media_type, digest=archive.digest, size=archive.size)],
            annotations=annotations,
        )
        artifact = Artifact(
            kind=kind,
            environment=environment,
            application=application,
            name=name,
            version=self._config.version,
            repository=f"{environment}/{name}",
            digest=manifest.digest,
            archive=archive,
            files=files,
        )
        return artifact, manifest

    def _archive(self, path: str, members: Mapping[str, bytes | Path], *, media_type: str) -> Blob:
        sha256, size = write_archive(self._directory / path, members, mtime=self._mtime)
        return Blob(path=f"package/{path}", sha256=sha256, size=size, media_type=media_type)


def _files(files: Mapping[str, Path], *, prefix: str) -> tuple[File, ...]:
    return tuple(File(name=prefix + name, sha256=Digest.of_file(files[name]).hex) for name in sorted(files))
