"""A repository as an OCI image layout: what a control's registry serves, and nothing else.

A mutant may be what no registry would take: a blob whose bytes are not those of its digest. So controls are written as
files, and served from them.
Source: OCI image-spec 1.1, "OCI Image Layout".
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from dhallmark import strictjson
from dhallmark.digest import Digest
from dhallmark.errors import FormatError, Location
from dhallmark.files import write_new
from dhallmark.oci.descriptor import OCI_INDEX, Descriptor, Manifest, fallback_tag

_REF_NAME = "org.opencontainers.image.ref.name"
"""The annotation that names a manifest's tag (OCI image-spec 1.1, "Pre-Defined Annotation Keys")."""
_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'


Written = dict[Digest, tuple[bytes, Path]]
"""Blobs that lie on the disk already: a hundred cases of one artifact need not hold it a hundred times."""


@dataclass(slots=True)
class Layout:
    """The content of one repository, in memory."""

    manifests: dict[Digest, Manifest] = field(default_factory=dict)
    blobs: dict[Digest, bytes] = field(default_factory=dict)
    """By the digest that they are asked for by."""
    tags: dict[str, Digest] = field(default_factory=dict)

    def add_manifest(self, manifest: Manifest) -> None:
        self.manifests[manifest.digest] = manifest

    def add_blob(self, content: bytes) -> Digest:
        digest = Digest.of(content)
        self.blobs[digest] = content
        return digest

    def referrers(self, digest: Digest) -> list[Manifest]:
        """The manifests whose subject is `digest`, by their digests."""
        found = []
        for _, manifest in sorted(self.manifests.items()):
            subject = manifest.subject()
            if subject is not None and subject.digest == digest:
                found.append(manifest)
        return found

    def first_layer(self, digest: Digest) -> Descriptor | None:
        """The first layer of the artifact `digest`; of an image index, that of the first manifest in it that has one.

        None where there is no layer at all.
        """
        manifest = self.manifests[digest]
        below = (self.first_layer(child.digest) for child in manifest.children())
        return next(iter(manifest.blobs()[1:]), None) or next(filter(None, below), None)

    def add_artifact(self, digest: Digest, source: Layout) -> None:
        """Put the artifact `digest` of `source` here with all that it is made of, and nothing that refers to it."""
        manifest = source.manifests[digest]
        self.add_manifest(manifest)
        for blob in manifest.blobs():
            self.blobs[blob.digest] = source.blobs[blob.digest]
        for child in manifest.children():
            self.add_artifact(child.digest, source)

    def levels(self, digest: Digest) -> int:
        """How many levels of manifests lie below: none below a manifest, one below an index of manifests."""
        children = self.manifests[digest].children() if digest in self.manifests else ()
        return max((1 + self.levels(child.digest) for child in children), default=0)

    def add_fallback_index(self, digest: Digest) -> None:
        """List what refers to `digest` now under its fallback tag, as clients of an old registry do."""
        listed = [manifest.descriptor.to_json() for manifest in self.referrers(digest)]
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}
        manifest = Manifest.of(strictjson.dump_compact(index), OCI_INDEX)
        self.add_manifest(manifest)
        self.tags[fallback_tag(digest)] = manifest.digest

    def write(self, folder: Path, *, written: Written | None = None) -> None:
        """Write the layout to `folder`, which is new, and which whoever makes it lets appear as a whole.

        A blob that is in `written` becomes a link to the file there; the others are added to it.
        """
        for digest, content in self.blobs.items():
            _put(content, folder / "blobs" / "sha256" / digest.hex, digest, {} if written is None else written)
        for digest, manifest in self.manifests.items():
            write_new(folder / "blobs" / "sha256" / digest.hex, manifest.content)
        entries = [manifest.descriptor.to_json() for _, manifest in sorted(self.manifests.items())]
        for tag, digest in sorted(self.tags.items()):
            entries.append({**self.manifests[digest].descriptor.to_json(), "annotations": {_REF_NAME: tag}})
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
        write_new(folder / "index.json", strictjson.dump_compact(index))
        write_new(folder / "oci-layout", _LAYOUT)

    @classmethod
    def read(cls, folder: Path) -> Layout:
        """Read a layout. Blobs are taken as they are: serving wrong bytes may be the very point of a control.

        Raises FormatError where it is none.
        """
        layout = cls()
        try:
            index = json.loads((folder / "index.json").read_bytes())
            for item in index["manifests"]:
                descriptor = Descriptor.parse(item, what="index.json")
                content = (folder / "blobs" / "sha256" / descriptor.digest.hex).read_bytes()
                layout.manifests[descriptor.digest] = Manifest(content, descriptor.media_type, descriptor.digest)
                tag = item.get("annotations", {}).get(_REF_NAME)
                if tag is not None:
                    layout.tags[str(tag)] = descriptor.digest
            for path in (folder / "blobs" / "sha256").iterdir():
                digest = Digest.from_hex(path.name)
                if digest not in layout.manifests:
                    layout.blobs[digest] = path.read_bytes()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise FormatError(f"not an OCI image layout: {error}", where=Location(file=str(folder))) from error
        return layout


def _put(content: bytes, path: Path, digest: Digest, written: Written) -> None:
    """Write a blob, or link it where these very bytes lie elsewhere. Other bytes may go by the same digest (S2)."""
    known, there = written.get(digest, (b"", path))
    if known is content:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.hardlink_to(there)
        except OSError:
            pass  # it is gone, or on another file system, or this one has no links
        else:
            return
    write_new(path, content)
    written[digest] = content, path
