"""One artifact in a registry or an image layout: its bytes, and everything that is signed about it.

No network but the registry; the trust root and the policy are given. What the registry does not answer is never taken
for an answer (ADR 1, point 5): a complete listing without a signature is `rejected(signature.none)`, anything that
could not be read is `indeterminate`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import anyio
import anyio.to_thread

from dhallmark.config.policy import Format, Policy
from dhallmark.consumer import Target
from dhallmark.digest import Digest
from dhallmark.errors import FormatError, RegistryError
from dhallmark.oci.client import DigestMismatchError, Registry, bundle_layer
from dhallmark.oci.concurrently import concurrently
from dhallmark.oci.descriptor import Descriptor, Manifest, split_repository
from dhallmark.oci.store import Store, StoreDigestError, StoreError
from dhallmark.reasons import Reason
from dhallmark.verdict import Check, Verdict
from dhallmark.verify.judge import Evidence, Judge
from dhallmark.verify.layouts.layer import Layer, read_layer
from dhallmark.verify.legacy import LegacySignature, legacy_layers
from dhallmark.verify.parse import MAX_BUNDLE_BYTES
from dhallmark.verify.policy import ArtifactFacts
from dhallmark.verify.trust import TrustRoot

__all__ = ["examine", "gather", "verify_artifact"]

MAX_SECONDS = 600.0
"""For reading one artifact with all that is attached; a registry that takes longer has not answered."""
MAX_BLOBS = 64
"""Most blobs of one artifact. A chart has two; more is an attempt to exhaust whoever verifies (R6)."""
MAX_BUNDLES_BYTES = 64 * 1024 * 1024
"""Most bytes of all bundles of one artifact. A release has some hundred KiB."""
_MAX_DEPTH = 2
"""An image index may list another; nobody's lists a third."""
_CONCURRENCY = 8
_CONCURRENT_BLOBS = 2
"""A blob is held in memory as a whole."""


async def verify_artifact(registry: Registry, target: Target, policy: Policy, trust: TrustRoot | None) -> Verdict:
    """The verdict on `target`, which must be in `registry`. Raises nothing but cancellation and UsageError.

    The artifact's name in its statements must be `target.subject_name`, or its repository where that is empty.
    """
    name = target.subject_name or target.repository
    return await examine(registry, target.repository, target.digest, name=name, policy=policy, trust=trust)


async def examine(
    store: Store, repository: str, digest: Digest, *, name: str, policy: Policy, trust: TrustRoot | None
) -> Verdict:
    """As `verify_artifact`, for the artifact `digest` of `repository` (with its registry), named `name`."""
    _, path = split_repository(repository)
    subject = f"{repository}@{digest}"
    judge = Judge(policy, trust)
    return judge.judge(
        await gather(store, path, digest, subject=subject, name=name, unpack=judge.needs_layer, formats=policy.formats)
    )


async def gather(
    store: Store,
    repository: str,
    digest: Digest,
    *,
    subject: str,
    name: str | None,
    unpack: bool = False,
    formats: Collection[Format] = (Format.BUNDLE,),
) -> Evidence:
    """What there is about the artifact `digest` in `repository` (without its registry) of `store`.

    `subject` is what the verdict will be on; `name` the artifact's in its statements. With `unpack`, what the one layer
    holds is told, too, for a layout that inspects it. `formats` are those of signatures that count; others are not
    read. Raises nothing but cancellation.
    """
    examination = _Examination(store, repository, digest)
    checks: list[Check] = []
    archive: Digest | None = None
    layer: Layer | None = None
    found: Mapping[str, bytes | Verdict] = {}
    legacy: Mapping[str, LegacySignature] = {}
    with anyio.move_on_after(MAX_SECONDS) as scope:
        check, manifest = await examination.manifest()
        checks.append(check)
        if manifest is not None:
            check, archive = await examination.content(manifest)
            checks.append(check)
            if unpack and archive is not None:
                check, layer = await examination.layer(archive)
                checks.append(check)
            beside = False
            if Format.LEGACY in formats:
                check, legacy = await examination.legacy(alone=Format.BUNDLE not in formats)
                checks.append(check)
                beside = bool(legacy) or check.reason is not None
            if Format.BUNDLE in formats:
                check, found = await examination.bundles(beside=beside)
                checks.append(check)
    if scope.cancelled_caught:
        detail = f"the registry did not serve all of it in {MAX_SECONDS:.0f} s"
        checks.append(Check(name="registry.time", reason=Reason.REGISTRY_UNAVAILABLE, detail=detail))
        return Evidence(subject=subject, checks=tuple(checks))
    facts = ArtifactFacts(name=name, digest=digest, archive=archive)
    return Evidence(subject=subject, checks=tuple(checks), facts=facts, bundles=found, legacy=legacy, layer=layer)


@dataclass(frozen=True, slots=True)
class _Layer:
    """A bundle in the registry: of its descriptor what is needed, since thousands are held at once."""

    digest: Digest
    size: int
    """Bytes, by its descriptor; no more are read."""


@dataclass(frozen=True, slots=True)
class _Examination:
    """Reading one artifact and what is attached to it."""

    store: Store
    repository: str
    digest: Digest

    async def manifest(self) -> tuple[Check, Manifest | None]:
        name = "artifact.manifest"
        try:
            manifest = await self.store.get_manifest(self.repository, self.digest)
            manifest.body()
        except (RegistryError, StoreError, FormatError) as error:
            return _failure(name, error), None
        return Check(name=name, evidence={"digest": manifest.digest}), manifest

    async def content(self, manifest: Manifest) -> tuple[Check, Digest | None]:
        """Whether the registry has every blob with the bytes of its digest; and the digest of the one layer.

        Of an image index that is what its manifests are made of: whoever pulls it gets one of them.
        """
        name = "artifact.content"
        try:
            blobs = manifest.blobs()
            layers = blobs[1:]
            digests = _few([*blobs, *await self._blobs_below(manifest, depth=0)])
            await concurrently([partial(self._read, digest) for digest in digests], limit=_CONCURRENT_BLOBS)
        except (RegistryError, StoreError, FormatError) as error:
            return _failure(name, error), None
        return Check(name=name), layers[0].digest if len(layers) == 1 else None

    async def layer(self, digest: Digest) -> tuple[Check, Layer | None]:
        """What the one layer unpacks to. One that is no archive is no failure: a layout may not want to know."""
        name = "artifact.layer"
        try:
            content = await self.store.get_blob(self.repository, digest)
        except (RegistryError, StoreError, FormatError) as error:
            return _failure(name, error), None
        return Check(name=name), await anyio.to_thread.run_sync(read_layer, content)

    async def _blobs_below(self, index: Manifest, *, depth: int) -> list[Descriptor]:
        """What the manifests of an image index are made of; nothing for a manifest."""
        if depth > _MAX_DEPTH:
            raise FormatError(f"an index of more than {_MAX_DEPTH} levels")
        found: list[Descriptor] = []
        for digest in _few(index.children()):
            manifest = await self.store.get_manifest(self.repository, digest)
            found += [*manifest.blobs(), *await self._blobs_below(manifest, depth=depth + 1)]
            _few(found)
        return found

    async def _read(self, digest: Digest) -> None:
        """Read a blob for its digest's sake, and let it go."""
        await self.store.get_blob(self.repository, digest)

    async def legacy(self, *, alone: bool) -> tuple[Check, Mapping[str, LegacySignature]]:
        """Every signature at cosign's legacy tags. Where no other format counts (`alone`), there must be one."""
        name = "registry.legacy"
        try:
            layers = legacy_layers(await self.store.legacy(self.repository, self.digest))
            # The same document may be signed by many.
            sizes = {layer.digest: layer.size for layer in layers}
            total = sum(sizes.values())
            if total > MAX_BUNDLES_BYTES:
                detail = f"legacy signatures of {total} bytes; at most {MAX_BUNDLES_BYTES} are read"
                return Check(name=name, reason=Reason.REGISTRY_LISTING_INCOMPLETE, detail=detail), {}
            fetch = [partial(self.store.get_blob, self.repository, one, max_bytes=sizes[one]) for one in sizes]
            contents = dict(zip(sizes, await concurrently(fetch, limit=_CONCURRENCY), strict=True))
        except (RegistryError, StoreError, FormatError) as error:
            return _failure(name, error, digest_mismatch=Reason.REGISTRY_LISTING_INCOMPLETE), {}
        if alone and not layers:
            return Check(name=name, reason=Reason.SIGNATURE_NONE, detail="cosign's legacy tags hold no signature"), {}
        found = {
            f"legacy {layer.digest} #{index}": LegacySignature(
                media_type=layer.media_type, annotations=layer.annotations, content=contents[layer.digest]
            )
            for index, layer in enumerate(layers)
        }
        return Check(name=name, evidence={"signatures": str(len(found))}), found

    async def bundles(self, *, beside: bool = False) -> tuple[Check, Mapping[str, bytes | Verdict]]:
        """Every bundle attached, by the digest of the manifest that attaches it, or the verdict where it has none.

        There may be none where signatures of another format stand `beside` them, or could not be read.
        A referrer that is listed and cannot be fetched leaves the listing incomplete: it may be a failed test result.
        """
        name = "registry.listing"
        try:
            listing = await self.store.referrers(self.repository, self.digest)
            if not listing.complete:
                return Check(name=name, reason=Reason.REGISTRY_LISTING_INCOMPLETE, detail=listing.problem), {}
            layers = await concurrently(
                [partial(self._layer, descriptor) for descriptor in listing.descriptors], limit=_CONCURRENCY
            )
            total = sum(layer.size for layer in layers if isinstance(layer, _Layer))
            if total > MAX_BUNDLES_BYTES:
                detail = f"bundles of {total} bytes; at most {MAX_BUNDLES_BYTES} are read"
                return Check(name=name, reason=Reason.REGISTRY_LISTING_INCOMPLETE, detail=detail), {}
            read = await concurrently([partial(self._bundle, layer) for layer in layers], limit=_CONCURRENCY)
        except (RegistryError, StoreError, FormatError) as error:
            return _failure(name, error, digest_mismatch=Reason.REGISTRY_LISTING_INCOMPLETE), {}
        found = {
            f"bundle {descriptor.digest}": content
            for descriptor, content in zip(listing.descriptors, read, strict=True)
            if content is not None
        }
        if not found and not beside:
            detail = f"the {listing.source} lists {len(listing.descriptors)} referrers, none of them a Sigstore bundle"
            if listing.legacy:
                detail += "; what is at cosign's legacy tags does not count by the policy's `formats`"
            return Check(name=name, reason=Reason.SIGNATURE_NONE, detail=detail), {}
        return Check(name=name, evidence={"source": listing.source, "bundles": str(len(found))}), found

    async def _layer(self, descriptor: Descriptor) -> _Layer | Verdict | None:
        """Where the bundle is that a referrer attaches; None where it attaches something else."""
        try:
            manifest = await self.store.get_manifest(self.repository, descriptor.digest)
            layer = bundle_layer(manifest, self.digest)
        except FormatError as error:
            return _unread(descriptor, error.message)
        if layer is None:
            return None
        if layer.size > MAX_BUNDLE_BYTES:
            return _unread(descriptor, f"a bundle of {layer.size} bytes; at most {MAX_BUNDLE_BYTES} are read")
        return _Layer(layer.digest, layer.size)

    async def _bundle(self, layer: _Layer | Verdict | None) -> bytes | Verdict | None:
        if not isinstance(layer, _Layer):
            return layer
        return await self.store.get_blob(self.repository, layer.digest, max_bytes=layer.size)


def _few(descriptors: Sequence[Descriptor]) -> list[Digest]:
    """Their digests, each once. Raises FormatError where there are more than anyone's artifact has."""
    if len(descriptors) > MAX_BLOBS:
        raise FormatError(f"{len(descriptors)} blobs; at most {MAX_BLOBS} are read")
    return list(dict.fromkeys(descriptor.digest for descriptor in descriptors))


def _unread(descriptor: Descriptor, detail: str) -> Verdict:
    check = Check(name="bundle.format", reason=Reason.BUNDLE_MALFORMED, detail=detail)
    return Verdict.of(f"bundle {descriptor.digest}", checks=[check])


def _failure(
    name: str,
    error: RegistryError | StoreError | FormatError,
    *,
    digest_mismatch: Reason = Reason.ARTIFACT_DIGEST_MISMATCH,
) -> Check:
    """What a failed request says: other bytes than the digest's are a finding, all else is no answer."""
    if isinstance(error, DigestMismatchError | StoreDigestError):
        return Check(
            name=name,
            reason=digest_mismatch,
            detail=error.message,
            evidence={"expected": error.expected, "found": error.found},
        )
    if isinstance(error, RegistryError):
        return Check(name=name, reason=Reason.REGISTRY_UNAVAILABLE, detail=error.message)
    if isinstance(error, StoreError):
        return Check(name=name, reason=Reason.FILE_UNREADABLE, detail=error.message)
    return Check(name=name, reason=Reason.FORMAT_UNSUPPORTED, detail=error.message)
