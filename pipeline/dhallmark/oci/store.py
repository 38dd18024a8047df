"""Where an artifact is read from: a registry, or an OCI image layout, which answers as a registry does.

What reads an artifact takes a `Store`, so that a copy on a disk and one in a registry are examined by the same code.
Source: OCI image-spec 1.1, image-layout.md; distribution-spec 1.1, "Listing Referrers".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol

import anyio.to_thread

from dhallmark import strictjson
from dhallmark.digest import Digest
from dhallmark.errors import FormatError, Location, UnavailableError
from dhallmark.files import UnreadableFileError, read_regular
from dhallmark.oci.descriptor import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    MAX_MANIFEST_BYTES,
    OCI_INDEX,
    Descriptor,
    Manifest,
    fallback_tag,
)
from dhallmark.oci.layout import blob_path
from dhallmark.oci.referrers import LEGACY_SUFFIXES, MAX_REFERRERS, Referrers, is_referrers_tag

MAX_BLOB_BYTES: Final = 256 * 1024 * 1024
MAX_ENTRIES: Final = 10_000
"""Most entries of a layout's indexes."""
MAX_BYTES: Final = 64 * 1024 * 1024
"""Of all manifests and indexes of a layout."""
_REF_NAME: Final = "org.opencontainers.image.ref.name"
_OWN: Final = frozenset({"oci-layout", "index.json", "blobs"})
_MAX_DEPTH: Final = 4


class StoreError(UnavailableError):
    """A layout on the disk lacks something, or it cannot be read: nothing follows from that."""


class StoreDigestError(StoreError):
    """A layout holds other bytes under a digest than that digest's."""

    def __init__(self, path: Path, *, expected: Digest, found: Digest) -> None:
        super().__init__(f"{path} has the bytes of {found}")
        self.expected = expected
        self.found = found


class Store(Protocol):
    """What is needed of a place where artifacts are. `Registry` is one; its errors are RegistryErrors."""

    async def get_manifest(self, repository: str, reference: str, /) -> Manifest:
        """The manifest at a digest, checked against it."""
        ...

    async def get_blob(self, repository: str, digest: Digest, /, *, max_bytes: int = MAX_BLOB_BYTES) -> bytes:
        """The blob `digest`, checked against it, at most `max_bytes` long."""
        ...

    async def referrers(self, repository: str, digest: Digest, /) -> Referrers:
        """What refers to `digest`; nothing follows from what is missing where it is not complete."""
        ...

    async def legacy(self, repository: str, digest: Digest, /) -> tuple[Manifest, ...]:
        """The manifests at cosign's legacy tags of `digest`."""
        ...


@dataclass(frozen=True, slots=True)
class Named:
    """An artifact of a layout."""

    name: str
    """By the layout's index, such as `1.2.3`; empty where it has no name there."""
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutStore:
    """An OCI image layout, its index read. The repository that methods are asked about is not looked at."""

    directory: Path
    artifacts: tuple[Named, ...]
    """What the index lists, but for referrers without a name and the indexes that list those."""
    listed: Mapping[Digest, str]
    """The media type of every manifest that the index leads to, its own entries first."""
    by_subject: Mapping[Digest, tuple[Descriptor, ...]]
    """What refers to a digest."""
    tags: Mapping[str, tuple[Digest, ...]]
    """What the index calls `sha256-<hex>.sig` and the like."""

    @classmethod
    def open(cls, directory: Path) -> LayoutStore:
        """Read a layout's index and the manifests that it leads to.

        Raises FormatError where it is no layout, or has files of other kinds: whoever adds an index to a folder of
        files must not change what is verified of it. Raises StoreError where it, or a manifest, cannot be read.
        """
        where = Location(file=str(directory))
        try:
            strangers = sorted({path.name for path in directory.iterdir()} - _OWN)
        except OSError as error:
            raise StoreError(f"the folder cannot be listed: {error.strerror}", where=where) from error
        if strangers:
            raise FormatError(f"{strangers[0]!r} is no part of an OCI image layout", where=where)
        version = strictjson.parse(_read(directory / "oci-layout", max_bytes=1024), what="oci-layout")
        if not isinstance(version, dict) or version.get("imageLayoutVersion") != "1.0.0":
            raise FormatError("oci-layout: not of version 1.0.0", where=where)
        walk = _Walk(directory)
        index = Manifest.of(_read(directory / "index.json", max_bytes=MAX_MANIFEST_BYTES), OCI_INDEX)
        for descriptor in index.children():
            walk.enter(descriptor)
        return cls(
            directory=directory,
            artifacts=walk.artifacts(),
            listed=MappingProxyType({digest: found.media_type for digest, found in walk.found.items()}),
            by_subject=MappingProxyType({digest: tuple(found) for digest, found in walk.by_subject.items()}),
            tags=MappingProxyType({name: tuple(found) for name, found in walk.tags.items()}),
        )

    async def get_manifest(self, repository: str, reference: str, /) -> Manifest:
        """The manifest at a digest. Raises StoreError where the layout does not have it."""
        del repository
        digest = Digest(reference)
        media_type = self.listed.get(digest)
        if media_type is None:
            raise StoreError(f"{self.directory} lists no manifest {digest}")
        content = await anyio.to_thread.run_sync(_read_blob, self.directory, digest, MAX_MANIFEST_BYTES)
        return Manifest.of(content, media_type)

    async def get_blob(self, repository: str, digest: Digest, /, *, max_bytes: int = MAX_BLOB_BYTES) -> bytes:
        """The blob `digest`. Raises StoreError where the layout does not have it."""
        del repository
        return await anyio.to_thread.run_sync(_read_blob, self.directory, digest, max_bytes)

    async def referrers(self, repository: str, digest: Digest, /) -> Referrers:
        """The manifests that the index leads to and whose subject is `digest`."""
        del repository
        found = self.by_subject.get(digest, ())
        problem = f"more than {MAX_REFERRERS} referrers" if len(found) > MAX_REFERRERS else ""
        return Referrers(descriptors=found[:MAX_REFERRERS], complete=not problem, source="layout", problem=problem)

    async def legacy(self, repository: str, digest: Digest, /) -> tuple[Manifest, ...]:
        """The manifests that the index calls as cosign's legacy tags of `digest`."""
        tag = fallback_tag(digest)
        named = [found for suffix in LEGACY_SUFFIXES for found in self.tags.get(tag + suffix, ())]
        return tuple([await self.get_manifest(repository, found) for found in named])


@dataclass(slots=True)
class _Walk:
    """Every manifest that a layout's index leads to, each read once."""

    directory: Path
    found: dict[Digest, Descriptor] = field(default_factory=dict)
    by_subject: dict[Digest, list[Descriptor]] = field(default_factory=dict)
    named: dict[Named, None] = field(default_factory=dict)
    """What the layout's own index lists, in its order."""
    tags: dict[str, dict[Digest, None]] = field(default_factory=dict)
    """What it calls as cosign's legacy tags. A name that stands there twice is both: nothing is hidden."""
    covered: set[Digest] = field(default_factory=set)
    """What an image index lists that is an artifact itself, and so is verified with all that it lists."""
    entries: int = 0
    size: int = 0

    def enter(self, descriptor: Descriptor) -> None:
        """Read an entry of the layout's own index and what it leads to. Raises FormatError, StoreError."""
        name = descriptor.annotations.get(_REF_NAME, "")
        # A fallback index is one; something else that is called like one is an artifact that someone wants to hide.
        is_list = is_referrers_tag(name) and ("." in name or descriptor.media_type in INDEX_TYPES)
        if not is_list:
            self.named[Named(name, descriptor.digest)] = None
        elif "." in name:
            self.tags.setdefault(name, {})[descriptor.digest] = None
        self._read(descriptor, depth=0, covers=not is_list)

    def _read(self, descriptor: Descriptor, *, depth: int, covers: bool) -> None:
        self.entries += 1
        if self.entries > MAX_ENTRIES or self.size > MAX_BYTES or depth > _MAX_DEPTH:
            raise FormatError(f"an index of more than {MAX_ENTRIES} entries, {MAX_BYTES} bytes or {_MAX_DEPTH} levels")
        if descriptor.digest in self.found:
            return
        if descriptor.media_type not in MANIFEST_TYPES:
            raise FormatError(f"{descriptor.digest} is of type {descriptor.media_type[:100]!r}, which is no manifest")
        content = _read_blob(self.directory, descriptor.digest, MAX_MANIFEST_BYTES)
        manifest = Manifest.of(content, descriptor.media_type)
        self.size += len(content)
        self.found[descriptor.digest] = descriptor
        subject = manifest.subject()
        if subject is not None:
            self.by_subject.setdefault(subject.digest, []).append(manifest.descriptor)
        for child in manifest.children():
            if covers and subject is None:
                self.covered.add(child.digest)
            self._read(child, depth=depth + 1, covers=covers and subject is None)

    def artifacts(self) -> tuple[Named, ...]:
        """What the layout's index lists, but for referrers, and for entries that only repeat another.

        An index may list a manifest with its name and without, and what an image index is made of beside that. What has
        a name can be pulled by it, and what refers to nothing in here is looked at with nothing: they are artifacts,
        whatever subject they claim.
        """
        referrers = {
            item.digest for subject, found in self.by_subject.items() if subject in self.found for item in found
        }
        known = {item.digest for item in self.named if item.name} | self.covered | referrers
        return tuple(item for item in self.named if item.name or item.digest not in known)


def _read_blob(directory: Path, digest: Digest, max_bytes: int) -> bytes:
    path = blob_path(directory, digest)
    content = _read(path, max_bytes=max_bytes)
    found = Digest.of(content)
    if found != digest:
        raise StoreDigestError(path, expected=digest, found=found)
    return content


def _read(path: Path, *, max_bytes: int) -> bytes:
    try:
        return read_regular(path, max_bytes=max_bytes)
    except UnreadableFileError as error:
        raise StoreError(error.message) from error
