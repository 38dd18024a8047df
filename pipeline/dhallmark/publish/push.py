"""`push`: the artifacts, by digest, into the staging repositories, which nothing that deploys may read.

This is what the in-toto step `publish` records: its products are the records of the digests. No tag is set here.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Final

from dhallmark.config.model import Publish
from dhallmark.files import directory_atomic, write_atomic
from dhallmark.oci.client import Registry
from dhallmark.oci.concurrently import concurrently
from dhallmark.oci.descriptor import Attachment, Manifest
from dhallmark.oci.layout import blob_path, read_manifest
from dhallmark.package.model import Artifact, Artifacts
from dhallmark.package.package import LAYOUT, materials_attachment
from dhallmark.progress import Progress, Silent
from dhallmark.publish.model import Pushed

FOLDER: Final = "publish"
"""Where the records stand in a build directory."""
CONCURRENCY: Final = 12
"""Artifacts at a time; the client limits the requests."""


async def push(
    artifacts: Artifacts, *, build: Path, publish: Publish, registry: Registry, progress: Progress | None = None
) -> tuple[Pushed, ...]:
    """Push all artifacts with their materials; write `<build>/publish/<environment>/<name>.json` and `….manifest.json`.

    The second is the manifest as it was pushed: the link of this step has its digest, the artifact's own.
    What is there already is not written again, so a push that was stopped goes on where it was. Raises RegistryError;
    FormatError where the package on disk is not what its record says.
    """
    listener = progress or Silent()
    listener.start("push", total=len(artifacts.artifacts))
    materials = materials_attachment(artifacts, build=build)
    first = artifacts.artifacts[0]
    # One upload of the materials; the registry mounts them into the other repositories.
    await registry.push_blob(f"{publish.staging}/{first.repository}", materials.layer)

    async def one(artifact: Artifact) -> tuple[Pushed, Manifest]:
        manifest = await push_artifact(artifact, materials, build=build, publish=publish, registry=registry, near=first)
        listener.advance("push")
        record = Pushed(
            kind=artifact.kind,
            environment=artifact.environment,
            name=artifact.name,
            version=artifact.version,
            repository=f"{publish.registry}/{publish.repository}/{artifact.repository}",
            staging=f"{publish.registry}/{publish.staging}/{artifact.repository}",
            digest=artifact.digest,
            size=len(manifest.content),
            media_type=manifest.media_type,
            materials=materials.manifest(manifest.descriptor).digest,
        )
        return record, manifest

    pushed = await concurrently([partial(one, artifact) for artifact in artifacts.artifacts], limit=CONCURRENCY)
    with directory_atomic(build / FOLDER) as directory:
        for record, manifest in pushed:
            write_atomic(directory / record.environment / f"{record.name}.json", record.to_bytes())
            write_atomic(directory / record.environment / f"{record.name}.manifest.json", manifest.content)
    listener.done("push", summary=f"{len(pushed)} artifacts staged")
    return tuple(record for record, _ in pushed)


async def push_artifact(
    artifact: Artifact,
    materials: Attachment,
    *,
    build: Path,
    publish: Publish,
    registry: Registry,
    near: Artifact | None = None,
) -> Manifest:
    """Push one artifact with its materials to its staging repository; `near` is one that has the materials already."""
    layout = build / LAYOUT
    repository = f"{publish.staging}/{artifact.repository}"
    manifest = read_manifest(layout, artifact.manifest_digest)
    for descriptor in manifest.blobs():
        path = blob_path(layout, descriptor.digest)
        await registry.push_blob(repository, path, digest=descriptor.digest)
    await registry.push_manifest(repository, manifest.content, manifest.media_type)
    await registry.attach_all(
        repository,
        manifest.descriptor,
        [materials],
        mount_from=f"{publish.staging}/{near.repository}" if near is not None and near != artifact else None,
    )
    return manifest
