"""The materials bundle of a release: unpacked, and compared with the record that names it.

The bundle is addressed by the digest in the provenance, so it may come from anywhere: the registry, a file, a disk
that was kept for ten years. What is in it is then compared with the record file by file: a builder that put another
source into the bundle than it lists would contradict itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.to_thread

from dhallmark.audit.record import BuildRecord
from dhallmark.config.load import load_config
from dhallmark.digest import Digest
from dhallmark.errors import FormatError, InputError, Location
from dhallmark.files import UnreadableFileError, directory_atomic, read_regular, write_atomic, write_new
from dhallmark.oci.client import MAX_BLOB_BYTES
from dhallmark.oci.concurrently import concurrently
from dhallmark.oci.descriptor import Descriptor
from dhallmark.oci.store import Store
from dhallmark.package.materials import CACHE, CLOSURE, SOURCE
from dhallmark.package.model import MATERIALS_ARTIFACT
from dhallmark.package.reader import Limits, read_archive
from dhallmark.plan import make_plan
from dhallmark.reasons import Reason
from dhallmark.render.closure import Closure, parse_closure
from dhallmark.render.discovery import discover
from dhallmark.verify.refusal import Refusal

_LIMITS = Limits(compressed=MAX_BLOB_BYTES, expanded=512 << 20, members=50_000)
"""A release of a hundred charts has some ten megabytes of sources and cache entries."""
_CONCURRENCY = 8


@dataclass(frozen=True, slots=True)
class Materials:
    """What a rebuild is made from."""

    source: Mapping[str, bytes]
    """The project's files, by their path in it."""
    cache: Mapping[str, bytes]
    """Dhall cache entries by file name."""
    closure: Closure | None = None
    """The record of imports and normal forms; None where the sources come from a commit alone."""
    origin: str = ""
    """Where they are from, for people."""

    def write(self, folder: Path) -> None:
        """Write `source/` and `cache/` into the new folder `folder`; whole or not at all."""
        with directory_atomic(folder) as directory:
            for part in ("source", "cache"):
                (directory / part).mkdir()
            for name, content in self.source.items():
                write_new(directory / "source" / name, content)
            for name, content in self.cache.items():
                write_new(directory / "cache" / name, content)


@dataclass(slots=True)
class Shelf:
    """Bundles that were found, each read once however many artifacts were made from it."""

    _known: dict[Digest, Materials] = field(default_factory=dict)
    _locks: defaultdict[Digest, anyio.Lock] = field(default_factory=lambda: defaultdict(anyio.Lock))

    async def get(self, bundle: Digest, find: Callable[[], Awaitable[tuple[bytes, str] | None]]) -> Materials | None:
        """The materials of `bundle`; `find` gives its bytes and where they are from, or None, and is asked once.

        Raises what `find` raises, and FormatError for what is no bundle.
        """
        async with self._locks[bundle]:
            if bundle not in self._known:
                found = await find()
                if found is None:
                    return None
                content, origin = found
                self._known[bundle] = await anyio.to_thread.run_sync(lambda: read_bundle(content, origin=origin))
            return self._known[bundle]


def read_bundle(content: bytes, *, origin: str) -> Materials:
    """Unpack a materials bundle. Raises FormatError for anything else.

    A cache entry whose bytes are not those of its name is refused: Dhall trusts names.
    """
    members = read_archive(content, what="materials", limits=_LIMITS)
    source: dict[str, bytes] = {}
    cache: dict[str, bytes] = {}
    closure: Closure | None = None
    for name, body in members.items():
        if name == CLOSURE:
            closure = parse_closure(body)
        elif name.startswith(SOURCE):
            source[name.removeprefix(SOURCE)] = body
        elif name.startswith(CACHE):
            cache[name.removeprefix(CACHE)] = body
        else:
            raise FormatError(f"materials: {name!a} is no part of a bundle")
    if closure is None:
        raise FormatError(f"materials: there is no {CLOSURE}")
    for name, body in cache.items():
        if name != f"1220{Digest.of(body).hex}":
            raise FormatError(f"materials: the cache entry {name!a} is not what its name says")
    return Materials(source, cache, closure, origin)


def require_recorded(materials: Materials, record: BuildRecord) -> None:
    """Refuse materials that are not those of the record: another file, or one that is listed and not there.

    The bundle is the whole release's, and a record lists what one artifact was made of: more files may be there.
    """
    closure = materials.closure
    remote = {item.id: item for item in closure.imports if item.url is not None} if closure is not None else {}
    local = {item.id: item for item in closure.imports if item.path is not None} if closure is not None else {}
    for name, item in sorted(record.materials.items()):
        if item.remote:
            found = remote[name].sha256 if name in remote else None
            there = found is None or f"1220{found.hex}" in materials.cache
        else:
            content = materials.source.get(name.removesuffix(" as Text").removesuffix(" as Bytes"))
            found = None if content is None else Digest.of(content)
            there = True
        if found is None or not there:
            raise Refusal(Reason.MATERIAL_MISSING, f"the materials bundle lacks {name}, which the record names")
        if found != item.sha256:
            raise Refusal(
                Reason.MATERIAL_MISMATCH,
                f"{name} in the materials bundle is not the file that the record names",
                expected=item.sha256,
                found=found,
            )
        known = local.get(name) or remote.get(name)
        if item.semantic_hash and known is not None and str(known.semantic_hash) != item.semantic_hash:
            raise Refusal(
                Reason.MATERIAL_MISMATCH,
                f"the bundle's closure gives {name} another semantic hash than the record",
                expected=item.semantic_hash,
                found=known.semantic_hash,
            )


async def find_attached(store: Store, repository: str, digest: Digest, bundle: Digest) -> bytes | None:
    """The materials bundle `bundle` among what refers to the artifact `digest`; None where none of it is that.

    Raises what the store raises, and FormatError where the listing is not complete: what is not listed may be there.
    """
    listing = await store.referrers(repository, digest)

    async def layers(descriptor: Descriptor) -> list[Descriptor]:
        return (await store.get_manifest(repository, descriptor.digest)).blobs()[1:]

    async def look(descriptor: Descriptor) -> Descriptor | None:
        found = await layers(descriptor)
        return next((layer for layer in found if layer.digest == bundle), None)

    # Artifact types in a listing are the registry's claim; those that claim to be bundles are looked at first.
    ordered = sorted(listing.descriptors, key=lambda one: one.artifact_type != MATERIALS_ARTIFACT)
    found = await concurrently([lambda one=one: look(one) for one in ordered], limit=_CONCURRENCY)  # type: ignore[misc]
    layer = next((one for one in found if one is not None), None)
    if layer is None:
        if not listing.complete:
            raise FormatError(f"the listing of what refers to {digest} is incomplete: {listing.problem}")
        return None
    return await store.get_blob(repository, layer.digest, max_bytes=MAX_BLOB_BYTES)


def find_given(places: tuple[Path, ...], bundle: Digest) -> bytes | None:
    """The file with the digest `bundle` among `places`: files, and folders whose files are looked at. None if none is.

    Raises InputError for a place that is not there.
    """
    for place in places:
        if not place.exists():
            raise InputError("there is no such file or folder", where=Location(file=str(place)))
        files = sorted(path for path in place.rglob("*") if path.is_file()) if place.is_dir() else [place]
        for file in files:
            try:
                if Digest.of_file(file) == bundle:
                    return read_regular(file, max_bytes=MAX_BLOB_BYTES)
            except (UnreadableFileError, OSError):
                continue
    return None


def complete_cache(folder: Path, config: str, seeds: Sequence[Path]) -> None:
    """See to it that `folder` (as `Materials.write` left it) has the cache entry of each remote import that is read.

    Those that are not among the materials are taken from `seeds`, folders of Dhall cache entries: an entry is known by
    its hash, so it may come from anywhere. `config` is the path of `dhallmark.yaml` in the source. Raises ConfigError;
    RenderError for an import that no release may have; and refuses where an entry is nowhere to be found.
    """
    root = folder / "source"
    settings = load_config(root / config)
    units = make_plan(settings).units
    entries = {settings.applications[unit.application].entry for unit in units}
    entries |= {values for unit in units if (values := settings.environments[unit.environment].values)}
    missing: dict[str, str] = {}
    for path, item in discover(entries, root=root).remotes():
        # `discover` refuses one without a hash.
        digest = item.digest
        if digest is None or (folder / "cache" / f"1220{digest.hex}").is_file():
            continue
        content = next((found for seed in seeds if (found := _entry(seed, digest)) is not None), None)
        if content is None:
            missing[item.target] = f"{path}:{item.line}"
        else:
            write_atomic(folder / "cache" / f"1220{digest.hex}", content)
    if missing:
        names = ", ".join(f"{url} (imported at {place})" for url, place in sorted(missing.items()))
        raise Refusal(Reason.MATERIAL_MISSING, f"no Dhall cache entry of {names}")


def _entry(seed: Path, digest: Digest) -> bytes | None:
    try:
        content = read_regular(seed / f"1220{digest.hex}", max_bytes=MAX_BLOB_BYTES)
    except UnreadableFileError:
        return None
    return content if Digest.of(content) == digest else None
