"""A registry, as the rest of dhallmark sees it.

Every digest is checked against the bytes that were served; every answer has a greatest size and a deadline; every
failure is a `RegistryError`, and none of them looks like an empty answer.

Source: OCI distribution-spec 1.1.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

import anyio
import anyio.to_thread

from dhallmark.digest import Digest
from dhallmark.errors import FormatError, RegistryError
from dhallmark.oci.concurrently import concurrently
from dhallmark.oci.credentials import Credentials, find_credentials
from dhallmark.oci.descriptor import (
    BUNDLE_PREFIX,
    EMPTY_CONFIG,
    OCI_INDEX,
    Attachment,
    Descriptor,
    Manifest,
    fallback_tag,
)
from dhallmark.oci.referrers import Referrers, merge_index
from dhallmark.oci.repository import DigestMismatchError, RepositoryClient
from dhallmark.oci.transport import Transport

__all__ = ["Attachment", "DigestMismatchError", "Registry"]

MAX_BLOB_BYTES: Final = 256 * 1024 * 1024
MAX_BUNDLE_BYTES: Final = 16 * 1024 * 1024
"""A release's provenance names a few hundred files; its bundle has some 100 KiB."""
_SETTLED_READS: Final = 3
"""How often in a row the fallback index must be found whole before it counts as settled."""
_INDEX_ATTEMPTS: Final = 40
_MAX_DEPTH: Final = 4
_T = TypeVar("_T")


class Registry:
    """A client of one registry; an async context manager.

    Repositories are paths without the registry. Methods may run concurrently; at most `concurrency` requests are
    under way. All raise RegistryError where the registry fails, and DigestMismatchError (a RegistryError) where it
    serves bytes that are not those of the digest.
    """

    def __init__(
        self,
        host: str,
        *,
        plain_http: bool = False,
        credentials: Credentials | None = None,
        ca: Path | None = None,
        timeout: float = 30.0,
        deadline: float = 180.0,
        concurrency: int = 8,
    ) -> None:
        """`host` with its port; `credentials` where Docker's configuration is not to be asked; `ca` a PEM file of
        certificates that are trusted instead of the system's; `timeout` the longest silence and `deadline` the
        longest request, in seconds."""
        self.host = host
        self.plain_http = plain_http
        self._credentials = credentials
        self._ca = ca
        self._timeout = timeout
        self._deadline = deadline
        self._concurrency = concurrency
        self._limiter: anyio.CapacityLimiter | None = None
        self._repositories: dict[str, RepositoryClient] = {}
        self._index_locks: defaultdict[tuple[str, Digest], anyio.Lock] = defaultdict(anyio.Lock)

    async def __aenter__(self) -> Self:
        self._limiter = anyio.CapacityLimiter(self._concurrency)
        if self._credentials is None:
            self._credentials = await anyio.to_thread.run_sync(find_credentials, self.host)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for repository in self._repositories.values():
            repository.close()
        self._repositories.clear()

    def _repository(self, name: str) -> RepositoryClient:
        if name not in self._repositories:
            self._repositories[name] = RepositoryClient(
                Transport(
                    self.host,
                    name,
                    plain_http=self.plain_http,
                    credentials=self._credentials,
                    ca=self._ca,
                    timeout=self._timeout,
                    deadline=self._deadline,
                )
            )
        return self._repositories[name]

    async def _run(self, work: Callable[[], _T]) -> _T:
        if self._limiter is None:
            raise RuntimeError("Registry is used outside its `async with` block")
        # Abandoned threads end with their request; what they write is addressed by digest, or repeated by the caller.
        return await anyio.to_thread.run_sync(work, limiter=self._limiter, abandon_on_cancel=True)

    # Reading

    async def find_manifest(self, repository: str, reference: str) -> Manifest | None:
        """The manifest at a tag or digest, or None where the registry says that there is none (404)."""
        client = self._repository(repository)
        return await self._run(lambda: client.find_manifest(reference))

    async def get_manifest(self, repository: str, reference: str) -> Manifest:
        """The manifest at a tag or digest. RegistryError with status 404 where there is none."""
        client = self._repository(repository)
        return await self._run(lambda: client.get_manifest(reference))

    async def get_blob(self, repository: str, digest: Digest, *, max_bytes: int = MAX_BLOB_BYTES) -> bytes:
        """The blob `digest`, at most `max_bytes` long."""
        client = self._repository(repository)
        return await self._run(lambda: client.get_blob(digest, max_bytes=max_bytes))

    async def resolve(self, repository: str, tag: str) -> Digest:
        """The digest that `tag` names now. Resolve once, and use the digest from then on."""
        return (await self.get_manifest(repository, tag)).digest

    async def tags(self, repository: str) -> tuple[str, ...]:
        """All tags of a repository, in the registry's order. Raises FormatError where the list cannot be read."""
        client = self._repository(repository)
        return await self._run(client.tags)

    async def referrers(self, repository: str, digest: Digest) -> Referrers:
        """What refers to `digest`; look at `complete` before concluding anything from what is not listed."""
        client = self._repository(repository)
        return await self._run(lambda: client.referrers(digest))

    async def legacy(self, repository: str, digest: Digest) -> tuple[Manifest, ...]:
        """What stands at cosign's legacy tags of `digest` (`sha256-<hex>.sig` and `.att`), each read or 404."""
        client = self._repository(repository)
        return await self._run(lambda: client.legacy(digest))

    async def bundles(self, repository: str, digest: Digest) -> list[bytes]:
        """The Sigstore bundles attached to `digest`, in the registry's order, each checked against its digest.

        A bundle is a referrer whose one layer has a bundle's media type; its listing may claim another type. Raises
        RegistryError where the listing is incomplete or a referrer that is listed cannot be read.
        """
        listing = await self.referrers(repository, digest)
        if not listing.complete:
            raise self._incomplete(repository, digest, listing)

        async def fetch(descriptor: Descriptor) -> bytes | None:
            manifest = await self.get_manifest(repository, descriptor.digest)
            layer = bundle_layer(manifest, digest)
            if layer is None:
                return None
            return await self.get_blob(repository, layer.digest, max_bytes=MAX_BUNDLE_BYTES)

        found = await concurrently([partial(fetch, descriptor) for descriptor in listing.descriptors])
        return [bundle for bundle in found if bundle is not None]

    # Writing

    async def push_blob(
        self, repository: str, content: bytes | Path, *, digest: Digest | None = None, mount_from: str | None = None
    ) -> Digest:
        """Make sure that the registry has `content`; large files go up in pieces.

        `digest` spares hashing where it is known. `mount_from` is a repository of the same registry that may have
        the blob already.
        """
        client = self._repository(repository)
        return await self._run(lambda: client.push_blob(content, digest=digest, mount_from=mount_from))

    async def push_manifest(self, repository: str, content: bytes, media_type: str, reference: str = "") -> Manifest:
        """Put a manifest under its digest, or under the tag `reference`. Does not index what it refers to: `attach`."""
        manifest = Manifest.of(content, media_type)
        client = self._repository(repository)
        await self._run(lambda: client.put_manifest(manifest, reference or manifest.digest))
        return manifest

    async def attach(
        self,
        repository: str,
        subject: Descriptor,
        *,
        artifact_type: str,
        layer: bytes,
        layer_type: str = "",
        annotations: Mapping[str, str] | None = None,
    ) -> Manifest:
        """Attach `layer` to `subject`; see `attach_all`."""
        attachment = Attachment(
            artifact_type=artifact_type, layer=layer, layer_type=layer_type, annotations=annotations or {}
        )
        return (await self.attach_all(repository, subject, [attachment]))[0]

    async def attach_all(
        self,
        repository: str,
        subject: Descriptor,
        attachments: Sequence[Attachment],
        *,
        mount_from: str | None = None,
    ) -> list[Manifest]:
        """Attach each of `attachments` to `subject`. What is attached already stays as it is.

        `mount_from` is a repository of the same registry that may have the blobs already. Where the registry does not
        say (`OCI-Subject`) that it lists the manifest itself, the fallback index is updated, too.
        """
        await self.push_blob(repository, EMPTY_CONFIG)
        manifests = [attachment.manifest(subject) for attachment in attachments]
        layers = {Digest.of(attachment.layer): attachment.layer for attachment in attachments}
        await concurrently(
            [partial(self.push_blob, repository, layer, mount_from=mount_from) for layer in layers.values()]
        )
        await self._put_referrers(repository, subject.digest, manifests)
        return manifests

    async def _put_referrers(self, repository: str, digest: Digest, manifests: Sequence[Manifest]) -> None:
        """Put manifests whose blobs are there, and list those that the registry does not list itself."""
        client = self._repository(repository)

        async def put(manifest: Manifest) -> bool:
            return await self._run(lambda: client.put_manifest(manifest, manifest.digest)) == digest

        listed = await concurrently([partial(put, manifest) for manifest in manifests])
        unlisted = [manifest for manifest, done in zip(manifests, listed, strict=True) if not done]
        if unlisted:
            async with self._index_locks[repository, digest]:
                entries = {manifest.digest: manifest.descriptor.to_json() for manifest in unlisted}
                await self._list(repository, digest, entries)

    async def _list(self, repository: str, digest: Digest, wanted: Mapping[Digest, Mapping[str, object]]) -> None:
        """Bring `wanted` into the fallback index of `digest`, against writers that we cannot lock out.

        Registries have no conditional write, so two writers overwrite each other's entries (R8). Each therefore puts
        back what it has ever seen listed, and is content only after the index was whole several times in a row.
        """
        tag = fallback_tag(digest)
        known: dict[Digest, Mapping[str, object]] = dict(wanted)
        settled = 0
        for _ in range(_INDEX_ATTEMPTS):
            current = await self.find_manifest(repository, tag)
            if current is not None:
                for descriptor in _entries(current):
                    known.setdefault(Digest(str(descriptor["digest"])), descriptor)
            merged = merge_index(current.content if current else None, known, what=f"fallback index {tag}")
            if merged is not None:
                await self.push_manifest(repository, merged, OCI_INDEX, tag)
                settled = 0
            else:
                settled += 1
                if settled == _SETTLED_READS:
                    return
            # Different pauses, so that writers that met once do not meet every time.
            await anyio.sleep(random.uniform(0.02, 0.15))  # noqa: S311
        raise RegistryError(
            f"the fallback index {tag} kept losing entries to other writers",
            method="PUT",
            url=f"{self.host}/{repository}:{tag}",
            hint="run the command again when nothing else writes to this artifact",
        )

    async def copy(
        self,
        source: str,
        destination: str,
        digest: Digest,
        *,
        referrers: bool = True,
        only: Collection[Digest] | None = None,
    ) -> None:
        """Copy an artifact, and what refers to it, between repositories of this registry. The digests stay.

        `only` are the digests of the referrers to copy, all that are listed where it is not given. Only whole: raises
        RegistryError where the listing of referrers is incomplete, or lacks one of `only`. The artifact itself is put
        last, so that it never stands in `destination` without its signatures.
        """
        manifest = await self.get_manifest(source, digest)
        await self._copy_content(source, destination, manifest, depth=0)
        attached: list[Manifest] = []
        if referrers:
            listing = await self.referrers(source, digest)
            if not listing.complete:
                raise self._incomplete(source, digest, listing)
            listed = {descriptor.digest for descriptor in listing.descriptors}
            if only is not None and not set(only) <= listed:
                raise RegistryError(
                    f"{digest} has lost {len(set(only) - listed)} of what was attached to it",
                    method="GET",
                    url=f"{self.host}/{source}",
                    hint="run the command again: what is there already is not written twice",
                )
            for descriptor in listing.descriptors:
                if only is not None and descriptor.digest not in only:
                    continue
                referrer = await self.get_manifest(source, descriptor.digest)
                subject = referrer.subject()
                if subject is not None and subject.digest == digest:
                    await self._copy_content(source, destination, referrer, depth=0)
                    attached.append(referrer)
        await self._put_referrers(destination, digest, attached)
        await self.push_manifest(destination, manifest.content, manifest.media_type)

    async def _copy_content(self, source: str, destination: str, manifest: Manifest, *, depth: int) -> None:
        """Copy all that a manifest or index points at, but not itself."""
        if depth > _MAX_DEPTH:
            raise FormatError(f"index {manifest.digest}: nested deeper than {_MAX_DEPTH}")
        for child in manifest.children():
            inner = await self.get_manifest(source, child.digest)
            await self._copy_content(source, destination, inner, depth=depth + 1)
            await self.push_manifest(destination, inner.content, inner.media_type)

        async def copy_blob(descriptor: Descriptor) -> None:
            if not await self._run(lambda: target.mount(descriptor.digest, source)):
                content = await self.get_blob(source, descriptor.digest)
                await self.push_blob(destination, content, digest=descriptor.digest)

        target = self._repository(destination)
        blobs = {item.digest: item for item in manifest.blobs()}
        await concurrently([partial(copy_blob, descriptor) for descriptor in blobs.values()])

    async def tag(self, repository: str, digest: Digest, tag: str) -> None:
        """Make `tag` name `digest`, and check that it does."""
        manifest = await self.get_manifest(repository, digest)
        await self.push_manifest(repository, manifest.content, manifest.media_type, tag)
        found = await self.resolve(repository, tag)
        if found != digest:
            raise RegistryError(
                f"the tag {tag} names {found} right after it was moved to {digest}",
                method="PUT",
                url=f"{self.host}/{repository}:{tag}",
                hint="something else moves this tag: find it before you publish again",
            )

    def _incomplete(self, repository: str, digest: Digest, listing: Referrers) -> RegistryError:
        return RegistryError(
            f"the listing of what refers to {digest} is incomplete: {listing.problem}",
            method="GET",
            url=f"{self.host}/{repository}",
            hint="nothing follows from an incomplete listing; try again, or ask who runs the registry",
        )


def bundle_layer(manifest: Manifest, digest: Digest) -> Descriptor | None:
    """The bundle's layer where `manifest` attaches a Sigstore bundle to `digest`, else None. Raises FormatError."""
    if manifest.is_index:
        return None
    subject = manifest.subject()
    if subject is None or subject.digest != digest:
        return None
    layers = manifest.blobs()[1:]
    if len(layers) != 1 or not layers[0].media_type.startswith(BUNDLE_PREFIX):
        return None
    return layers[0]


def _entries(index: Manifest) -> list[Mapping[str, object]]:
    items = index.body().get("manifests")
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
