"""The recorded image as a file of the auditor's, for where no registry has it any more.

It is known by its digest, so any copy will do: an OCI image archive, or the folder of an OCI image layout. Every byte
that the digest covers is checked, and what is handed on to be run has nothing beside that: what else an archive holds,
or lists first, does not matter.

Source: OCI image-spec 1.1, image-layout.md.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dhallmark import strictjson
from dhallmark.digest import Digest
from dhallmark.errors import FormatError, InputError, Location
from dhallmark.image.archive import write_layer
from dhallmark.image.tree import Slice, Tree, read
from dhallmark.oci.descriptor import MAX_MANIFEST_BYTES, OCI_INDEX, Descriptor, Manifest
from dhallmark.reasons import Reason
from dhallmark.verify.refusal import Refusal

_INDEX: Final = "index.json"
_MARK: Final = "oci-layout"
_PIECE: Final = 1 << 20
_MAX_LEVELS: Final = 3
"""Of an index of indexes of manifests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenImage:
    """An image whose every byte is what its digest says."""

    root: Descriptor
    blobs: Mapping[Digest, Slice]
    """Manifests, configuration and layers: all that `root` covers, itself among them."""

    def write(self, archive: Path) -> None:
        """Write it as an OCI image archive that has this image and nothing else."""
        entry = {"mediaType": self.root.media_type, "digest": str(self.root.digest), "size": self.root.size}
        tree = Tree(epoch=0)
        tree.file(_INDEX, strictjson.dump({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}))
        tree.file(_MARK, strictjson.dump_compact({"imageLayoutVersion": "1.0.0"}))
        for digest, content in self.blobs.items():
            tree.file(_blob(digest), content)
        archive.parent.mkdir(parents=True, exist_ok=True)
        write_layer(tree, archive, comment="")


@dataclass(slots=True)
class Images:
    """The images that an auditor gives: archives, layouts, or folders of them. Each is looked for once."""

    places: Sequence[Path]
    _known: dict[str, GivenImage | Refusal] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether any is given."""
        return bool(self.places)

    def find(self, image: str) -> GivenImage:
        """The image that a record names as `NAME@sha256:…`.

        Refuses where none of those that are given is it, or one has other bytes than it. Raises InputError for a place
        that is not there.
        """
        if image not in self._known:
            try:
                self._known[image] = _find(self.places, Digest(image.rpartition("@")[2]))
            except Refusal as refusal:
                self._known[image] = refusal
        found = self._known[image]
        if isinstance(found, Refusal):
            raise found
        return found


def _find(places: Sequence[Path], digest: Digest) -> GivenImage:
    seen: list[str] = []
    for place in _candidates(places):
        try:
            contents = _contents(place)
            listed = Manifest.of(_read(contents, _INDEX), OCI_INDEX).children()
        except FormatError as error:
            # In a folder, other files may stand beside images.
            if place in places:
                seen.append(f"{place.name}: {error.message}")
            continue
        root = next((one for one in listed if one.digest == digest), None)
        if root is None:
            seen += [f"{place.name}: {one.digest}" for one in listed]
            continue
        try:
            return GivenImage(root=root, blobs=dict(_covered(contents, root)))
        except FormatError as error:
            seen.append(f"{place.name}: {error.message}")
    raise Refusal(
        Reason.IMAGE_MISMATCH,
        "none of the images that were given is the one that the record names",
        expected=digest,
        found="; ".join(seen) or "no OCI image at all",
    )


def _candidates(places: Sequence[Path]) -> Iterator[Path]:
    """Files and layouts; what a folder of others holds is looked at, not deeper."""
    for place in places:
        if not place.exists():
            raise InputError("there is no such file or folder", where=Location(file=str(place)))
        if place.is_file() or (place / _MARK).is_file():
            yield place
        else:
            yield from sorted(one for one in place.iterdir() if one.is_file() or (one / _MARK).is_file())


def _contents(place: Path) -> Mapping[str, Slice]:
    """The files of a layout by name, wherever their bytes are."""
    if place.is_dir():
        files = (path for path in place.rglob("*") if path.is_file())
        return {path.relative_to(place).as_posix(): Slice(path, 0, path.stat().st_size) for path in files}
    try:
        with tarfile.open(place, mode="r:") as archive:
            members = [member for member in archive if member.isreg()]
    except (tarfile.TarError, OSError) as error:
        raise FormatError(f"not an OCI image archive: {error}") from error
    return {one.name.removeprefix("./"): Slice(place, one.offset_data, one.size) for one in members}


def _covered(contents: Mapping[str, Slice], root: Descriptor, *, level: int = 0) -> Iterator[tuple[Digest, Slice]]:
    """A manifest or index, and all that it names, each with the bytes of its digest."""
    if level > _MAX_LEVELS:
        raise FormatError(f"{root.digest}: an index of more than {_MAX_LEVELS} levels")
    yield root.digest, _checked(contents, root.digest)
    manifest = Manifest.of(_read(contents, _blob(root.digest)), root.media_type)
    for blob in manifest.blobs():
        yield blob.digest, _checked(contents, blob.digest)
    for child in manifest.children():
        yield from _covered(contents, child, level=level + 1)


def _checked(contents: Mapping[str, Slice], digest: Digest) -> Slice:
    content = contents.get(_blob(digest))
    if content is None:
        raise FormatError(f"it lacks {digest}")
    hashed = hashlib.sha256()
    with content.path.open("rb") as file:
        file.seek(content.offset)
        left = content.size
        while left and (piece := file.read(min(left, _PIECE))):
            hashed.update(piece)
            left -= len(piece)
    if hashed.hexdigest() != digest.hex:
        raise FormatError(f"it has other bytes under {digest}")
    return content


def _read(contents: Mapping[str, Slice], name: str) -> bytes:
    content = contents.get(name)
    if content is None:
        raise FormatError(f"not an OCI image: it has no {name}")
    if content.size > MAX_MANIFEST_BYTES:
        raise FormatError(f"{name} has more than {MAX_MANIFEST_BYTES} bytes")
    return read(content)


def _blob(digest: Digest) -> str:
    return f"blobs/sha256/{digest.hex}"
