from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from uuid import uuid4

import anyio
import pytest

from dhallmark.digest import Digest
from dhallmark.errors import RegistryError
from dhallmark.oci.client import Attachment, Registry
from dhallmark.oci.concurrently import concurrently
from dhallmark.oci.descriptor import (
    BUNDLE_V0_3,
    EMPTY_CONFIG,
    EMPTY_CONFIG_TYPE,
    OCI_INDEX,
    Descriptor,
    Manifest,
    build_manifest,
    fallback_tag,
)

pytestmark = pytest.mark.anyio
_LAYER = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def fresh_name(prefix: str = "team") -> str:
    return f"{prefix}/{uuid4().hex[:12]}/web"


async def push_artifact(registry: Registry, repository: str, content: bytes = b"chart") -> Manifest:
    await registry.push_blob(repository, EMPTY_CONFIG)
    await registry.push_blob(repository, content)
    manifest = build_manifest(
        config=Descriptor.of(EMPTY_CONFIG, EMPTY_CONFIG_TYPE), layers=[Descriptor.of(content, _LAYER)]
    )
    return await registry.push_manifest(repository, manifest.content, manifest.media_type)


def bundle(number: int) -> Attachment:
    return Attachment(
        artifact_type=BUNDLE_V0_3,
        layer=json.dumps({"bundle": number}).encode(),
        annotations={"dev.sigstore.bundle.predicateType": f"https://example.com/{number}"},
    )


async def test_what_is_pushed_is_read_back_by_digest_and_by_tag(registry_host: str) -> None:
    repository = fresh_name()
    async with Registry(registry_host, plain_http=True) as registry:
        manifest = await push_artifact(registry, repository)
        await registry.tag(repository, manifest.digest, "1.2.3")

        assert await registry.resolve(repository, "1.2.3") == manifest.digest
        assert await registry.get_manifest(repository, manifest.digest) == manifest
        assert await registry.get_blob(repository, Digest.of(b"chart")) == b"chart"
        assert await registry.find_manifest(repository, "9.9.9") is None
        with pytest.raises(RegistryError) as caught:
            await registry.get_manifest(repository, "9.9.9")
        assert caught.value.status == 404


async def test_an_artifact_without_referrers_has_a_complete_and_empty_listing(registry_host: str) -> None:
    repository = fresh_name()
    async with Registry(registry_host, plain_http=True) as registry:
        manifest = await push_artifact(registry, repository)
        listing = await registry.referrers(repository, manifest.digest)
        assert listing.complete
        assert listing.descriptors == ()
        assert await registry.bundles(repository, manifest.digest) == []


async def test_an_attached_bundle_is_listed_and_read(registry_host: str) -> None:
    repository = fresh_name()
    async with Registry(registry_host, plain_http=True) as registry:
        manifest = await push_artifact(registry, repository)
        attached = await registry.attach(
            repository,
            manifest.descriptor,
            artifact_type=BUNDLE_V0_3,
            layer=b'{"a":1}',
            annotations={"dev.sigstore.bundle.content": "dsse-envelope"},
        )
        listing = await registry.referrers(repository, manifest.digest)
        assert [item.digest for item in listing.descriptors] == [attached.digest]
        body = (await registry.get_manifest(repository, attached.digest)).body()
        assert body["artifactType"] == BUNDLE_V0_3
        assert body["config"]["mediaType"] == EMPTY_CONFIG_TYPE
        assert body["subject"]["digest"] == manifest.digest
        assert body["annotations"] == {"dev.sigstore.bundle.content": "dsse-envelope"}
        assert await registry.bundles(repository, manifest.digest) == [b'{"a":1}']


async def test_attaching_the_same_twice_lists_it_once(registry_host: str) -> None:
    repository = fresh_name()
    async with Registry(registry_host, plain_http=True) as registry:
        manifest = await push_artifact(registry, repository)
        first = await registry.attach_all(repository, manifest.descriptor, [bundle(1), bundle(2)])
        second = await registry.attach_all(repository, manifest.descriptor, [bundle(1), bundle(2)])
        assert first == second
        listing = await registry.referrers(repository, manifest.digest)
        assert sorted(item.digest for item in listing.descriptors) == sorted(item.digest for item in first)


async def test_eight_attaches_at_once_through_one_client_are_all_listed(registry_host: str) -> None:
    repository = fresh_name()
    async with Registry(registry_host, plain_http=True) as registry:
        manifest = await push_artifact(registry, repository)
        await concurrently(
            [partial(registry.attach_all, repository, manifest.descriptor, [bundle(number)]) for number in range(8)]
        )
        listing = await registry.referrers(repository, manifest.digest)
        assert len(listing.descriptors) == 8
        assert len(await registry.bundles(repository, manifest.digest)) == 8


def _attach_alone(host: str, repository: str, digest: str, number: int) -> None:
    async def run() -> None:
        async with Registry(host, plain_http=True) as registry:
            manifest = await registry.get_manifest(repository, digest)
            await registry.attach_all(repository, manifest.descriptor, [bundle(number)])

    anyio.run(run)


async def test_eight_processes_that_attach_at_once_lose_no_entry(registry_host: str) -> None:
    repository = fresh_name()
    async with Registry(registry_host, plain_http=True) as registry:
        manifest = await push_artifact(registry, repository)
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=_attach_alone, args=(registry_host, repository, str(manifest.digest), number))
        for number in range(8)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=120)
    assert [process.exitcode for process in processes] == [0] * 8
    async with Registry(registry_host, plain_http=True) as registry:
        assert len((await registry.referrers(repository, manifest.digest)).descriptors) == 8


async def test_the_fallback_index_lists_attachments_where_there_is_no_api(host_without_api: str) -> None:
    repository = fresh_name()
    async with Registry(host_without_api, plain_http=True) as registry:
        manifest = await push_artifact(registry, repository)
        attached = await registry.attach_all(repository, manifest.descriptor, [bundle(1)])
        index = await registry.get_manifest(repository, fallback_tag(manifest.digest))
        [entry] = index.body()["manifests"]
        assert entry["digest"] == attached[0].digest
        assert entry["artifactType"] == BUNDLE_V0_3
        assert (await registry.referrers(repository, manifest.digest)).source == "index"


async def test_a_wrong_artifact_type_in_the_index_hides_nothing_and_foreign_fields_survive(
    host_without_api: str,
) -> None:
    repository = fresh_name()
    async with Registry(host_without_api, plain_http=True) as registry:
        manifest = await push_artifact(registry, repository)
        [attached] = await registry.attach_all(repository, manifest.descriptor, [bundle(1)])
        tag = fallback_tag(manifest.digest)
        index = (await registry.get_manifest(repository, tag)).body()
        index["manifests"][0]["artifactType"] = "application/vnd.unknown.artifact.v1"
        index["manifests"][0]["x-note"] = "kept"
        await registry.push_manifest(repository, json.dumps(index).encode(), OCI_INDEX, tag)

        assert len(await registry.bundles(repository, manifest.digest)) == 1
        await registry.attach_all(repository, manifest.descriptor, [bundle(2)])
        entries = {item["digest"]: item for item in (await registry.get_manifest(repository, tag)).body()["manifests"]}
        assert len(entries) == 2
        assert entries[attached.digest]["x-note"] == "kept"
        assert entries[attached.digest]["artifactType"] == "application/vnd.unknown.artifact.v1"


async def test_a_referrer_of_another_digest_is_no_bundle_of_this_one(host_without_api: str) -> None:
    repository = fresh_name()
    async with Registry(host_without_api, plain_http=True) as registry:
        signed = await push_artifact(registry, repository, b"signed")
        other = await push_artifact(registry, repository, b"other")
        await registry.attach_all(repository, signed.descriptor, [bundle(1)])
        stolen = await registry.get_manifest(repository, fallback_tag(signed.digest))
        await registry.push_manifest(repository, stolen.content, OCI_INDEX, fallback_tag(other.digest))
        assert len((await registry.referrers(repository, other.digest)).descriptors) == 1
        assert await registry.bundles(repository, other.digest) == []


async def test_legacy_signature_tags_are_seen_where_there_is_no_api(host_without_api: str) -> None:
    repository = fresh_name()
    async with Registry(host_without_api, plain_http=True) as registry:
        manifest = await push_artifact(registry, repository)
        signature = await push_artifact(registry, repository, b"legacy signature")
        await registry.tag(repository, signature.digest, fallback_tag(manifest.digest) + ".sig")
        listing = await registry.referrers(repository, manifest.digest)
        assert [found.digest for found in listing.legacy] == [signature.digest]
        assert listing.complete


async def test_legacy_tags_are_read_in_every_registry(registry_host: str) -> None:
    """cosign 1 and 2 write them whether or not there is a referrers API."""
    repository = fresh_name()
    async with Registry(registry_host, plain_http=True) as registry:
        manifest = await push_artifact(registry, repository)
        found = []
        for suffix in (".sig", ".att"):
            layer = await push_artifact(registry, repository, suffix.encode())
            await registry.tag(repository, layer.digest, fallback_tag(manifest.digest) + suffix)
            found.append(layer.digest)
        assert [legacy.digest for legacy in await registry.legacy(repository, manifest.digest)] == found
        assert await registry.legacy(repository, found[0]) == ()


async def test_a_fallback_index_that_is_none_is_an_incomplete_listing(host_without_api: str) -> None:
    repository = fresh_name()
    async with Registry(host_without_api, plain_http=True) as registry:
        manifest = await push_artifact(registry, repository)
        await registry.tag(repository, manifest.digest, fallback_tag(manifest.digest))
        listing = await registry.referrers(repository, manifest.digest)
        assert not listing.complete
        with pytest.raises(RegistryError, match="incomplete"):
            await registry.bundles(repository, manifest.digest)


async def test_a_copy_has_the_same_digest_and_all_that_refers_to_it(registry_host: str) -> None:
    source, destination = fresh_name("staging"), fresh_name("public")
    async with Registry(registry_host, plain_http=True) as registry:
        manifest = await push_artifact(registry, source)
        await registry.attach_all(source, manifest.descriptor, [bundle(1), bundle(2)])
        await registry.copy(source, destination, manifest.digest)
        await registry.copy(source, destination, manifest.digest)

        assert await registry.get_manifest(destination, manifest.digest) == manifest
        assert await registry.get_blob(destination, Digest.of(b"chart")) == b"chart"
        assert sorted(await registry.bundles(destination, manifest.digest)) == sorted(
            await registry.bundles(source, manifest.digest)
        )


async def test_a_bare_copy_leaves_the_signatures_behind(registry_host: str) -> None:
    source, destination = fresh_name("staging"), fresh_name("public")
    async with Registry(registry_host, plain_http=True) as registry:
        manifest = await push_artifact(registry, source)
        await registry.attach_all(source, manifest.descriptor, [bundle(1)])
        await registry.copy(source, destination, manifest.digest, referrers=False)
        assert await registry.bundles(destination, manifest.digest) == []


async def test_an_index_is_copied_with_its_manifests(registry_host: str) -> None:
    source, destination = fresh_name("staging"), fresh_name("public")
    async with Registry(registry_host, plain_http=True) as registry:
        children = [await push_artifact(registry, source, content) for content in (b"one", b"two")]
        body = {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [child.descriptor.to_json() for child in children],
        }
        index = await registry.push_manifest(source, json.dumps(body).encode(), OCI_INDEX)
        await registry.copy(source, destination, index.digest)
        assert await registry.get_manifest(destination, index.digest) == index
        assert await registry.get_blob(destination, Digest.of(b"two")) == b"two"


async def test_large_files_go_up_in_pieces(registry_host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dhallmark.oci.repository.CHUNKED_ABOVE", 1024)
    large = tmp_path / "large"
    large.write_bytes(bytes(range(256)) * 4096)
    repository = fresh_name()
    async with Registry(registry_host, plain_http=True) as registry:
        digest = await registry.push_blob(repository, large)
        assert await registry.get_blob(repository, digest) == large.read_bytes()


async def test_blobs_longer_than_allowed_are_refused(registry_host: str) -> None:
    repository = fresh_name()
    async with Registry(registry_host, plain_http=True) as registry:
        digest = await registry.push_blob(repository, bytes(5000))
        with pytest.raises(RegistryError, match="longer than 4999"):
            await registry.get_blob(repository, digest, max_bytes=4999)


async def test_crane_reads_the_same_digests(registry_host: str) -> None:
    repository = fresh_name()
    async with Registry(registry_host, plain_http=True) as registry:
        manifest = await push_artifact(registry, repository)
        await registry.tag(repository, manifest.digest, "1.0.0")
    seen = await anyio.run_process(["crane", "digest", "--insecure", f"{registry_host}/{repository}:1.0.0"])
    assert seen.stdout.decode().strip() == manifest.digest


async def test_a_registry_that_is_away_is_an_error_and_never_an_empty_listing(
    serving: Callable[..., AbstractContextManager[str]], tmp_path: Path
) -> None:
    repository = fresh_name()
    with serving("referrers", tmp_path) as host:
        async with Registry(host, plain_http=True) as registry:
            manifest = await push_artifact(registry, repository)
    async with Registry(host, plain_http=True) as registry:
        for call in (
            registry.referrers(repository, manifest.digest),
            registry.bundles(repository, manifest.digest),
            registry.find_manifest(repository, "1.0.0"),
        ):
            with pytest.raises(RegistryError, match="cannot be reached"):
                await call
