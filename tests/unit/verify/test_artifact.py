"""Artifacts that are made to exhaust whoever verifies them, and a registry that never ends (R6, R9)."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import anyio
import pytest

from dhallmark import strictjson
from dhallmark.config.policy import Policy
from dhallmark.digest import Digest
from dhallmark.oci.client import Registry
from dhallmark.oci.descriptor import (
    BUNDLE_V0_3,
    EMPTY_CONFIG,
    EMPTY_CONFIG_TYPE,
    OCI_INDEX,
    Descriptor,
    Manifest,
    build_manifest,
    referrer_manifest,
)
from dhallmark.oci.layout import LayoutWriter, blob_path
from dhallmark.oci.referrers import Referrers
from dhallmark.oci.store import LayoutStore
from dhallmark.reasons import Reason
from dhallmark.statement import COSIGN_SIGN_V1
from dhallmark.verdict import Outcome, Verdict
from dhallmark.verify import artifact
from dhallmark.verify.artifact import MAX_BLOBS, MAX_BUNDLES_BYTES, examine
from dhallmark.verify.parse import MAX_BUNDLE_BYTES
from dhallmark.verify.trust import TrustRoot

pytestmark = pytest.mark.anyio
CONFIG = Descriptor.of(EMPTY_CONFIG, EMPTY_CONFIG_TYPE)
POLICY = Policy.model_validate(
    {
        "schemaVersion": 1,
        "identities": {"release": {"issuer": "https://issuer.test", "subject": "https://release.test"}},
        "statements": [{"predicateType": COSIGN_SIGN_V1, "identities": ["release"]}],
    }
)
TRUST = TrustRoot(logs={}, ct_logs={}, certificate_authorities=(), timestamp_authorities=())


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass(frozen=True, slots=True)
class HostileRegistry:
    """What a registry can say that holds anything at all; no real one takes blobs of false sizes."""

    manifests: dict[str, Manifest] = field(default_factory=dict)
    listed: list[Descriptor] = field(default_factory=list)
    asked: list[Digest] = field(default_factory=list)
    blob_bytes: int = 0
    hangs: bool = False

    def add(self, manifest: Manifest) -> Manifest:
        self.manifests[manifest.digest] = manifest
        return manifest

    async def get_manifest(self, _repository: str, digest: Digest) -> Manifest:
        return self.manifests[digest]

    async def get_blob(self, _repository: str, digest: Digest, *, max_bytes: int = 0) -> bytes:
        del max_bytes
        self.asked.append(digest)
        if self.hangs:
            await anyio.sleep_forever()
        return bytes(self.blob_bytes)

    async def referrers(self, _repository: str, _digest: Digest) -> Referrers:
        return Referrers(descriptors=tuple(self.listed), complete=True, source="api")

    async def examine(self, digest: Digest) -> Verdict:
        return await examine(
            cast("Registry", self), "registry.test/web", digest, name="registry.test/web", policy=POLICY, trust=TRUST
        )


def made_of(layers: Sequence[Descriptor]) -> Manifest:
    return build_manifest(config=CONFIG, layers=layers)


def index_of(*manifests: Manifest) -> Manifest:
    listed = [manifest.descriptor.to_json() for manifest in manifests]
    return Manifest.of(strictjson.dump({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}), OCI_INDEX)


def layer(number: int, *, size: int = 1, media_type: str = "application/x") -> Descriptor:
    return Descriptor(media_type=media_type, digest=Digest.of(b"%d" % number), size=size)


async def test_an_artifact_of_thousands_of_layers_is_not_read() -> None:
    registry = HostileRegistry()
    manifest = registry.add(made_of([layer(number) for number in range(MAX_BLOBS)]))
    verdict = await registry.examine(manifest.digest)
    content = next(check for check in verdict.checks if check.name == "artifact.content")
    assert content.reason is Reason.FORMAT_UNSUPPORTED
    assert registry.asked == []


async def test_blobs_are_not_held_after_they_were_compared() -> None:
    registry = HostileRegistry(blob_bytes=1024 * 1024)
    manifest = registry.add(made_of([layer(number) for number in range(MAX_BLOBS - 1)]))
    tracemalloc.start()
    try:
        await registry.examine(manifest.digest)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(registry.asked) == MAX_BLOBS
    assert peak < 8 * 1024 * 1024


async def test_an_image_index_is_read_with_all_that_it_lists() -> None:
    registry = HostileRegistry()
    images = [registry.add(made_of([layer(number)])) for number in range(2)]
    content = index_of(*images)
    await registry.examine(registry.add(content).digest)
    assert set(registry.asked) == {CONFIG.digest, layer(0).digest, layer(1).digest}
    for _ in range(4):
        content = registry.add(index_of(content))
    verdict = await registry.examine(content.digest)
    assert verdict.checks[1].reason is Reason.FORMAT_UNSUPPORTED


async def test_what_a_layout_lacks_is_no_rejection(tmp_path: Path) -> None:
    manifest = made_of([layer(1)])
    writer = LayoutWriter(tmp_path)
    writer.add_blob(EMPTY_CONFIG)
    writer.add_manifest(manifest, name="1.0")
    writer.finish()

    async def judge() -> Verdict:
        store = LayoutStore.open(tmp_path)
        return await examine(store, "layout.test/web", manifest.digest, name="web", policy=POLICY, trust=TRUST)

    verdict = await judge()
    assert verdict.checks[1].reason is Reason.FILE_UNREADABLE
    assert verdict.checks[1].outcome is Outcome.INDETERMINATE
    blob_path(tmp_path, layer(1).digest).write_bytes(b"other")
    assert (await judge()).checks[1].reason is Reason.ARTIFACT_DIGEST_MISMATCH
    blob_path(tmp_path, layer(1).digest).write_bytes(b"1")
    verdict = await judge()
    assert (verdict.checks[1].reason, verdict.reason) == (None, Reason.SIGNATURE_NONE)


async def test_a_layer_that_is_listed_a_thousand_times_is_read_once() -> None:
    registry = HostileRegistry()
    manifest = registry.add(made_of([layer(1)] * (MAX_BLOBS - 1)))
    await registry.examine(manifest.digest)
    assert registry.asked == [CONFIG.digest, layer(1).digest]


async def test_bundles_of_more_bytes_than_anyone_needs_block_and_are_not_read() -> None:
    registry = HostileRegistry()
    manifest = registry.add(made_of([]))
    for number in range(MAX_BUNDLES_BYTES // MAX_BUNDLE_BYTES + 1):
        bundle = layer(number, size=MAX_BUNDLE_BYTES, media_type=BUNDLE_V0_3)
        attached = referrer_manifest(subject=manifest.descriptor, artifact_type=BUNDLE_V0_3, layer=bundle)
        registry.listed.append(registry.add(attached).descriptor)
    verdict = await registry.examine(manifest.digest)
    assert (verdict.outcome, verdict.reason) == (Outcome.INDETERMINATE, Reason.REGISTRY_LISTING_INCOMPLETE)
    assert registry.asked == [CONFIG.digest]


async def test_a_registry_that_never_ends_has_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifact, "MAX_SECONDS", 0.05)
    registry = HostileRegistry(hangs=True)
    verdict = await registry.examine(registry.add(made_of([])).digest)
    assert (verdict.outcome, verdict.reason) == (Outcome.INDETERMINATE, Reason.REGISTRY_UNAVAILABLE)
