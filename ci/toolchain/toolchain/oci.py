"""OCI image layouts (image specification 1.1), written with the standard library.

Layers stay uncompressed: they never leave the machine, and gzip's bytes depend on the zlib that made them.
"""

import hashlib
import json
import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LAYER = "application/vnd.oci.image.layer.v1.tar"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, kw_only=True)
class ImageConfig:
    """The part of an image's configuration that this project sets."""

    env: Mapping[str, str] = field(default_factory=dict)
    workdir: str = "/"
    command: Sequence[str] = ()
    created: str = "1970-01-01T00:00:00Z"
    """RFC 3339, from the distribution's release: never the clock."""


def architecture() -> str:
    """Return this machine's architecture in OCI's words."""
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


def write_image(layout: Path, layers: Sequence[Path], config: ImageConfig) -> str:
    """Add an image to the layout folder, which is made when it is missing; return the manifest's digest.

    Layer files are hard-linked into the layout where the file system allows it.
    """
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    descriptors = [_add_file(blobs, layer) for layer in layers]
    document = {
        "architecture": architecture(),
        "config": {
            "Cmd": list(config.command),
            "Env": [f"{name}={value}" for name, value in sorted(config.env.items())],
            "WorkingDir": config.workdir,
        },
        "created": config.created,
        "os": "linux",
        "rootfs": {"diff_ids": [descriptor["digest"] for descriptor in descriptors], "type": "layers"},
    }
    manifest = {
        "config": _add_json(blobs, document, media_type=CONFIG),
        "layers": descriptors,
        "mediaType": MANIFEST,
        "schemaVersion": 2,
    }
    descriptor = _add_json(blobs, manifest, media_type=MANIFEST)
    index_path = layout / "index.json"
    listed = json.loads(index_path.read_text())["manifests"] if index_path.is_file() else []
    if descriptor not in listed:
        listed.append(descriptor)
    index_path.write_text(json.dumps({"manifests": listed, "mediaType": INDEX, "schemaVersion": 2}))
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return str(descriptor["digest"])


def _add_file(blobs: Path, source: Path) -> dict[str, Any]:
    with source.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    target = blobs / digest
    if not target.exists():
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)
    return {"digest": f"sha256:{digest}", "mediaType": LAYER, "size": source.stat().st_size}


def _add_json(blobs: Path, document: dict[str, Any], *, media_type: str) -> dict[str, Any]:
    data = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    digest = hashlib.sha256(data).hexdigest()
    (blobs / digest).write_bytes(data)
    return {"digest": f"sha256:{digest}", "mediaType": media_type, "size": len(data)}
