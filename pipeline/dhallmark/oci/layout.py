"""An OCI image layout: the content of a registry as a folder.

Source: OCI image-spec 1.1, image-layout.md.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from dhallmark import strictjson
from dhallmark.digest import Digest
from dhallmark.errors import FormatError
from dhallmark.files import write_atomic
from dhallmark.oci.descriptor import OCI_INDEX, OCI_MANIFEST, Manifest

_REF_NAME: Final = "org.opencontainers.image.ref.name"


class LayoutWriter:
    """Writes a layout into an empty folder; `finish` makes it one."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._entries: dict[Digest, dict[str, object]] = {}

    def add_blob(self, content: bytes | Path) -> Digest:
        """Add a blob, or a file as a blob."""
        digest = Digest.of(content) if isinstance(content, bytes) else Digest.of_file(content)
        path = blob_path(self._directory, digest)
        if not path.exists():
            if isinstance(content, bytes):
                write_atomic(path, content)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(content, path)
                path.chmod(0o644)
        return digest

    def add_manifest(self, manifest: Manifest, *, name: str = "") -> None:
        """Add a manifest to the layout's index, under `name` (such as `prod/web:1.2.3`) where one is given."""
        self.add_blob(manifest.content)
        entry = {"mediaType": manifest.media_type, "digest": str(manifest.digest), "size": len(manifest.content)}
        annotations = {"annotations": {_REF_NAME: name}} if name else {}
        self._entries.setdefault(manifest.digest, {**entry, **annotations})

    def finish(self) -> None:
        """Write `index.json`, sorted by digest, and `oci-layout`."""
        manifests = [self._entries[digest] for digest in sorted(self._entries)]
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}
        write_atomic(self._directory / "index.json", strictjson.dump(index))
        write_atomic(self._directory / "oci-layout", strictjson.dump_compact({"imageLayoutVersion": "1.0.0"}))


def blob_path(layout: Path, digest: Digest) -> Path:
    """Where a layout keeps a blob."""
    return layout / "blobs" / "sha256" / digest.hex


def read_manifest(layout: Path, digest: Digest) -> Manifest:
    """The OCI manifest `digest` of a layout. Raises FormatError where it is missing or has other bytes."""
    path = blob_path(layout, digest)
    try:
        manifest = Manifest.of(path.read_bytes(), OCI_MANIFEST)
    except FileNotFoundError as error:
        raise FormatError(f"{path} is not there", hint="run `dhallmark package` again") from error
    if manifest.digest != digest:
        raise FormatError(f"{path} has the bytes of {manifest.digest}", hint="run `dhallmark package` again")
    return manifest
