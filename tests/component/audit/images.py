"""Small OCI images as files: what an auditor gives where no registry has the recorded one any more."""

from __future__ import annotations

import tarfile
from pathlib import Path

from dhallmark.digest import Digest
from dhallmark.oci.descriptor import Descriptor, build_manifest
from dhallmark.oci.layout import LayoutWriter


def write_image(folder: Path, image: bytes = b"recorded") -> Digest:
    """An OCI image layout of one layer; its digest."""
    config, layer = b'{"architecture":"amd64","os":"linux"}', image
    manifest = build_manifest(
        config=Descriptor.of(config, "application/vnd.oci.image.config.v1+json"),
        layers=[Descriptor.of(layer, "application/vnd.oci.image.layer.v1.tar")],
    )
    writer = LayoutWriter(folder)
    writer.add_blob(config)
    writer.add_blob(layer)
    writer.add_manifest(manifest)
    writer.finish()
    return manifest.digest


def archived(layout: Path) -> Path:
    """The same as an archive beside it."""
    archive = layout.with_suffix(".tar")
    with tarfile.open(archive, "w") as opened:
        for path in sorted(layout.rglob("*")):
            opened.add(path, arcname=f"./{path.relative_to(layout)}", recursive=False)
    return archive
