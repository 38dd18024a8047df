"""The verdict on one artifact in a registry: its bytes, everything that is signed about it, and the policy.

No network but the registry; the trust root and the policy are given. What the registry does not answer is never taken
for an answer (ADR 1, point 5): a complete listing without a signature is `rejected(signature.none)`, anything that
could not be read is `indeterminate`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio

from dhallmark import strictjson
from dhallmark.config.policy import Policy
from dhallmark.consumer import Target
from dhallmark.digest import Digest
from dhallmark.errors import FormatError, RegistryError
from dhallmark.oci.client import DigestMismatchError, Registry, bundle_layer
from dhallmark.oci.concurrently import concurrently
from dhallmark.oci.descriptor import Descriptor, Manifest, split_repository
from dhallmark.reasons import Reason
from dhallmark.verdict import Check, Verdict
from dhallmark.verify.bundle import verify_bundle
from dhallmark.verify.parse import MAX_BUNDLE_BYTES, decode_base64
from dhallmark.verify.policy import ArtifactFacts, Broken, PolicyJudge, Signed
from dhallmark.verify.trust import TrustRoot

MAX_SECONDS = 600.0
"""For reading one artifact with all that is attached; a registry that takes longer has not answered."""
MAX_BLOBS = 64
"""Most blobs of one artifact. A chart has two; more is an attempt to exhaust whoever verifies (R6)."""
MAX_BUNDLES_BYTES = 64 * 1024 * 1024
"""Most bytes of all bundles of one artifact. A release has some hundred KiB."""
_CONCURRENCY = 8
_CONCURRENT_BLOBS = 2
"""A blob is held in memory as a whole."""


async def verify_artifact(registry: Registry, target: Target, policy: Policy, trust: TrustRoot) -> Verdict:
    """The verdict on `target`, which must be in `registry`. Raises nothing but cancellation and UsageError.

    The artifact's name in its statements must be `target.subject_name`, or its repository where that is empty.
    """
    name = target.subject_name or target.repository
    return await examine(registry, target.repository, target.digest, name=name, policy=policy, trust=trust)


async def examine(
    registry: Registry, repository: str, digest: Digest, *, name: str, policy: Policy, trust: TrustRoot
) -> Verdict:
    """As `verify_artifact`, for the artifact `digest` of `repository` (with its registry), named `name`."""
    reference = f"{repository}@{digest}"
    examination = _Examination(registry, split_repository(repository)[1], digest)
    checks: list[Check] = []
    archive: Digest | None = None
    found: Mapping[str, bytes | Verdict] = {}
    with anyio.move_on_after(MAX_SECONDS) as scope:
        check, manifest = await examination.manifest()
        checks.append(check)
        if manifest is not None:
            check, archive = await examination.content(manifest)
            checks.append(check)
            check, found = await examination.bundles()
            checks.append(check)
    if scope.cancelled_caught:
        detail = f"the registry did not serve all of it in {MAX_SECONDS:.0f} s"
        checks.append(Check(name="registry.time", reason=Reason.REGISTRY_UNAVAILABLE, detail=detail))
    if not found or scope.cancelled_caught:
        return Verdict.of(reference, checks=checks)
    facts = ArtifactFacts(name=name, digest=digest, archive=archive)
    claims: list[Signed] = []
    broken: list[Broken] = []
    for source, content in found.items():
        if isinstance(content, Verdict):
            broken.append(Broken(verdict=content, predicate_type=None))
            continue
        result = verify_bundle(content, trust, name=source)
        if result.statement is not None and result.identity is not None:
            claims.append(Signed(bundle=result.verdict, statement=result.statement, identity=result.identity))
        else:
            broken.append(Broken(verdict=result.verdict, predicate_type=claimed_type(content)))
    judgement = PolicyJudge(policy).judge(claims, facts, broken=broken)
    return Verdict.of(reference, checks=[*checks, *judgement.checks], parts=judgement.rules, ignored=judgement.ignored)


@dataclass(frozen=True, slots=True)
class _Layer:
    """A bundle in the registry: of its descriptor what is needed, since thousands are held at once."""

    digest: Digest
    size: int
    """Bytes, by its descriptor; no more are read."""


@dataclass(frozen=True, slots=True)
class _Examination:
    """Reading one artifact and what is attached to it."""

    registry: Registry
    repository: str
    digest: Digest

    async def manifest(self) -> tuple[Check, Manifest | None]:
        name = "artifact.manifest"
        try:
            manifest = await self.registry.get_manifest(self.repository, self.digest)
            manifest.body()
        except (RegistryError, FormatError) as error:
            return _failure(name, error), None
        return Check(name=name, evidence={"digest": manifest.digest}), manifest

    async def content(self, manifest: Manifest) -> tuple[Check, Digest | None]:
        """Whether the registry has every blob with the bytes of its digest; and the digest of the one layer."""
        name = "artifact.content"
        try:
            blobs = manifest.blobs()
            if len(blobs) > MAX_BLOBS:
                detail = f"{len(blobs)} blobs; at most {MAX_BLOBS} are read"
                return Check(name=name, reason=Reason.FORMAT_UNSUPPORTED, detail=detail), None
            await concurrently(
                [partial(self._read, digest) for digest in dict.fromkeys(blob.digest for blob in blobs)],
                limit=_CONCURRENT_BLOBS,
            )
        except (RegistryError, FormatError) as error:
            return _failure(name, error), None
        layers = blobs[1:]
        return Check(name=name), layers[0].digest if len(layers) == 1 else None

    async def _read(self, digest: Digest) -> None:
        """Read a blob for its digest's sake, and let it go."""
        await self.registry.get_blob(self.repository, digest)

    async def bundles(self) -> tuple[Check, Mapping[str, bytes | Verdict]]:
        """Every bundle attached, by the digest of the manifest that attaches it, or the verdict where it has none.

        A referrer that is listed and cannot be fetched leaves the listing incomplete: it may be a failed test result.
        """
        name = "registry.listing"
        try:
            listing = await self.registry.referrers(self.repository, self.digest)
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
        except (RegistryError, FormatError) as error:
            return _failure(name, error, digest_mismatch=Reason.REGISTRY_LISTING_INCOMPLETE), {}
        found = {
            f"bundle {descriptor.digest}": content
            for descriptor, content in zip(listing.descriptors, read, strict=True)
            if content is not None
        }
        if not found and listing.legacy:
            detail = "signed in cosign's legacy format only, which this verifier does not read"
            return Check(name=name, reason=Reason.FORMAT_UNSUPPORTED, detail=detail), {}
        if not found:
            detail = f"the {listing.source} lists {len(listing.descriptors)} referrers, none of them a Sigstore bundle"
            return Check(name=name, reason=Reason.SIGNATURE_NONE, detail=detail), {}
        return Check(name=name, evidence={"source": listing.source, "bundles": str(len(found))}), found

    async def _layer(self, descriptor: Descriptor) -> _Layer | Verdict | None:
        """Where the bundle is that a referrer attaches; None where it attaches something else."""
        try:
            manifest = await self.registry.get_manifest(self.repository, descriptor.digest)
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
        return await self.registry.get_blob(self.repository, layer.digest, max_bytes=layer.size)


def _unread(descriptor: Descriptor, detail: str) -> Verdict:
    check = Check(name="bundle.format", reason=Reason.BUNDLE_MALFORMED, detail=detail)
    return Verdict.of(f"bundle {descriptor.digest}", checks=[check])


def _failure(
    name: str, error: RegistryError | FormatError, *, digest_mismatch: Reason = Reason.ARTIFACT_DIGEST_MISMATCH
) -> Check:
    """What a failed request says: other bytes than the digest's are a finding, all else is no answer."""
    if isinstance(error, DigestMismatchError):
        return Check(
            name=name,
            reason=digest_mismatch,
            detail=error.message,
            evidence={"expected": error.expected, "found": error.found},
        )
    if isinstance(error, RegistryError):
        return Check(name=name, reason=Reason.REGISTRY_UNAVAILABLE, detail=error.message)
    return Check(name=name, reason=Reason.FORMAT_UNSUPPORTED, detail=error.message)


def claimed_type(bundle: bytes) -> str | None:
    """The predicate type that a bundle claims to hold, for explaining; never for deciding. None where there is none."""
    try:
        body: Any = strictjson.parse(bundle, max_bytes=MAX_BUNDLE_BYTES)
        payload = strictjson.parse(decode_base64(str(body["dsseEnvelope"]["payload"])))
        claimed = payload["predicateType"]
    except (FormatError, ValueError, KeyError, TypeError):
        return None
    return claimed if isinstance(claimed, str) else None
