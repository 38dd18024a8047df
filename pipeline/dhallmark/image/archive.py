"""An OCI image as one archive file, every byte of it decided here.

Source: OCI image-spec 1.1 (layout, manifest, config, layer). Layers are plain tar archives: a compressed layer's bytes
are those of whichever zlib compressed it, and the digest of an image must not depend on that.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dhallmark import strictjson
from dhallmark.digest import Digest
from dhallmark.image.tree import Content, Directory, Entry, File, HardLink, Slice, Symlink, Tree, read, size_of

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_INDEX = "application/vnd.oci.image.index.v1+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer: a tar archive on disk."""

    path: Path
    digest: Digest
    size: int
    comment: str
    """What it holds; becomes the history line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A finished image."""

    digest: Digest
    """Of its manifest: what it is pulled by."""
    manifest: bytes
    config: bytes
    layers: tuple[Layer, ...]


def write_layer(tree: Tree, path: Path, *, comment: str) -> Layer:
    """Write the entries of `tree`, sorted, as a tar archive."""
    with path.open("wb") as file, tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry in tree.entries():
            _add(archive, entry)
    return Layer(path=path, digest=Digest.of_file(path), size=path.stat().st_size, comment=comment)


def make_image(
    layers: Sequence[Layer],
    *,
    architecture: str,
    epoch: int,
    environment: Mapping[str, str],
    annotations: Mapping[str, str],
) -> Image:
    """Manifest and config for `layers`. `epoch` in seconds since 1970 becomes every time in it."""
    created = datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    config = strictjson.dump_compact(
        {
            "architecture": architecture,
            "config": {
                "Env": [f"{name}={value}" for name, value in sorted(environment.items())],
                "Labels": dict(annotations),
                "WorkingDir": "/",
            },
            "created": created,
            "history": [{"created": created, "comment": layer.comment} for layer in layers],
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
        }
    )
    manifest = strictjson.dump_compact(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": {"mediaType": _CONFIG, "digest": Digest.of(config), "size": len(config)},
            "layers": [{"mediaType": _LAYER, "digest": layer.digest, "size": layer.size} for layer in layers],
            "annotations": {**annotations, "org.opencontainers.image.created": created},
        }
    )
    return Image(digest=Digest.of(manifest), manifest=manifest, config=config, layers=tuple(layers))


def write_archive(image: Image, path: Path, *, architecture: str) -> None:
    """Write the OCI layout of `image` as one tar archive. Its own bytes are as fixed as the image's."""
    index = strictjson.dump_compact(
        {
            "schemaVersion": 2,
            "mediaType": _INDEX,
            "manifests": [
                {
                    "mediaType": _MANIFEST,
                    "digest": image.digest,
                    "size": len(image.manifest),
                    "platform": {"architecture": architecture, "os": "linux"},
                }
            ],
        }
    )
    contents: dict[str, Content] = {
        "index.json": index,
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        _blob(image.digest): image.manifest,
        _blob(Digest.of(image.config)): image.config,
    }
    for layer in image.layers:
        contents[_blob(layer.digest)] = Slice(layer.path, 0, layer.size)
    tree = Tree(epoch=0)
    for name, content in contents.items():
        tree.file(name, content)
    write_layer(tree, path, comment="")


def _blob(digest: Digest) -> str:
    return f"blobs/sha256/{digest.hex}"


def _add(archive: tarfile.TarFile, entry: Entry) -> None:
    info = tarfile.TarInfo(entry.path)
    info.mtime, info.uid, info.gid = entry.mtime, entry.uid, entry.gid
    match entry:
        case Directory():
            info.type, info.mode = tarfile.DIRTYPE, entry.mode
            archive.addfile(info)
        case Symlink():
            info.type, info.mode, info.linkname = tarfile.SYMTYPE, 0o777, entry.target
            archive.addfile(info)
        case HardLink():
            info.type, info.linkname = tarfile.LNKTYPE, entry.target
            archive.addfile(info)
        case File(content=bytes()):
            info.mode, info.size = entry.mode, size_of(entry.content)
            archive.addfile(info, io.BytesIO(read(entry.content)))
        case File(content=Slice(path=path, offset=offset)):
            info.mode, info.size = entry.mode, size_of(entry.content)
            with path.open("rb") as file:
                file.seek(offset)
                archive.addfile(info, file)
