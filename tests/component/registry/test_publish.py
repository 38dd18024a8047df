"""Publishing against real registries: what is where after success and after a refusal."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import httpx
import pytest

from dhallmark.digest import Digest
from dhallmark.errors import FormatError, InputError, RegistryError, VerdictError
from dhallmark.oci.client import Registry
from dhallmark.oci.descriptor import BUNDLE_V0_3, fallback_tag
from dhallmark.publish.model import Publication
from dhallmark.publish.publish import Verify, promote
from dhallmark.publish.publish import stage as stage_signed
from dhallmark.publish.push import push
from dhallmark.reasons import Reason
from dhallmark.verdict import Check, Verdict

if TYPE_CHECKING:
    from tests.component.registry.conftest import Relay, Staged

pytestmark = pytest.mark.anyio
_INDEX = "application/vnd.oci.image.index.v1+json"


async def test_a_release_ends_with_every_tag_on_its_signed_digest(
    registry_host: str, stage: Callable[..., Staged]
) -> None:
    staged = stage(registry_host, slugs=[])
    publication = await staged.publish()
    assert await staged.tags() == {artifact.slug: artifact.digest for artifact in staged.artifacts.artifacts}
    assert await staged.signed_tags() == 8
    assert [one.digest for one in publication.artifacts] == [one.digest for one in staged.artifacts.artifacts]
    assert all(len(one.attached) == 4 and one.moved_from is None for one in publication.artifacts)
    assert Publication.parse((staged.build / "publish.json").read_bytes()) == publication


async def test_nothing_in_staging_has_a_tag(registry_host: str, stage: Callable[..., Staged]) -> None:
    staged = stage(registry_host)
    await staged.publish()
    async with Registry(registry_host, plain_http=True) as registry:
        for artifact in staged.artifacts.artifacts:
            assert await registry.find_manifest(staged.staging(artifact), artifact.digest) is not None
            assert await registry.find_manifest(staged.staging(artifact), artifact.version) is None


async def test_helm_pulls_the_published_chart_and_crane_sees_its_digest(
    registry_host: str, stage: Callable[..., Staged], tmp_path: Path
) -> None:
    staged = stage(registry_host)
    await staged.publish()
    chart = next(artifact for artifact in staged.artifacts.artifacts if artifact.kind == "chart")
    repository = f"{registry_host}/{staged.target(chart)}"
    command = ["helm", "pull", f"oci://{repository}", "--version", chart.version, "--plain-http", "-d", str(tmp_path)]
    await anyio.run_process(command, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
    assert Digest.of_file(tmp_path / chart.archive_name) == chart.archive.digest
    seen = await anyio.run_process(["crane", "digest", "--insecure", f"{repository}:{chart.version}"])
    assert seen.stdout.decode().strip() == chart.digest
    valid = await anyio.run_process(["crane", "validate", "--insecure", "--remote", f"{repository}:{chart.version}"])
    assert b"PASS" in valid.stdout + valid.stderr


async def test_publishing_again_changes_nothing(registry_host: str, stage: Callable[..., Staged]) -> None:
    staged = stage(registry_host)
    first = await staged.publish()
    record = (staged.build / "publish.json").read_bytes()
    assert await staged.publish() == first
    assert (staged.build / "publish.json").read_bytes() == record
    async with Registry(registry_host, plain_http=True) as registry:
        for artifact in staged.artifacts.artifacts:
            assert len((await registry.referrers(staged.target(artifact), artifact.manifest_digest)).descriptors) == 4


def refusing(slug: str, *, where: str, then: Verify) -> Verify:
    """A verifier that refuses one artifact in staging or where it is published."""

    async def verify(registry: Registry, *, repository: str, digest: Digest, subject_name: str) -> Verdict:
        if repository.endswith(f"/{where}/{slug}"):
            return Verdict.of(repository, checks=[Check(name="test", reason=Reason.IDENTITY_ISSUER_MISMATCH)])
        return await then(registry, repository=repository, digest=digest, subject_name=subject_name)

    return verify


@pytest.mark.parametrize("where", ["staging", "charts"])
async def test_one_refused_artifact_leaves_every_tag_unset(
    where: str, registry_host: str, stage: Callable[..., Staged]
) -> None:
    staged = stage(registry_host)
    with pytest.raises(VerdictError, match=r"identity\.issuer-mismatch"):
        await staged.publish(refusing("dev/web", where=where, then=staged.verify))
    assert set((await staged.tags()).values()) == {None}
    assert not (staged.build / "publish.json").exists()
    if where == "staging":
        async with Registry(registry_host, plain_http=True) as registry:
            for artifact in staged.artifacts.artifacts:
                assert await registry.find_manifest(staged.target(artifact), artifact.digest) is None


async def test_what_is_staged_stands_where_no_consumer_reads_until_it_is_promoted(
    registry_host: str, stage: Callable[..., Staged]
) -> None:
    whole = stage(registry_host)
    async with Registry(registry_host, plain_http=True) as registry:
        await stage_signed(
            whole.artifacts, build=whole.build, publish=whole.settings, registry=registry, verify=whole.verify
        )
        for artifact in whole.artifacts.artifacts:
            assert len(await registry.bundles(whole.staging(artifact), artifact.manifest_digest)) == 3
            assert await registry.find_manifest(whole.target(artifact), artifact.digest) is None
        assert not (whole.build / "publish.json").exists()
        publication = await promote(
            whole.artifacts, build=whole.build, publish=whole.settings, registry=registry, verify=whole.verify
        )
    assert set((await whole.tags()).values()) == {artifact.manifest_digest for artifact in whole.artifacts.artifacts}
    assert Publication.parse((whole.build / "publish.json").read_bytes()) == publication


async def test_nothing_is_promoted_that_was_not_staged(registry_host: str, stage: Callable[..., Staged]) -> None:
    whole = stage(registry_host)
    async with Registry(registry_host, plain_http=True) as registry:
        with pytest.raises((RegistryError, VerdictError)):
            await promote(
                whole.artifacts, build=whole.build, publish=whole.settings, registry=registry, verify=whole.verify
            )
    assert set((await whole.tags()).values()) == {None}


async def test_what_is_refused_after_it_was_staged_is_not_promoted(
    registry_host: str, stage: Callable[..., Staged]
) -> None:
    whole = stage(registry_host)
    async with Registry(registry_host, plain_http=True) as registry:
        await stage_signed(
            whole.artifacts, build=whole.build, publish=whole.settings, registry=registry, verify=whole.verify
        )
        with pytest.raises(VerdictError):
            await promote(
                whole.artifacts,
                build=whole.build,
                publish=whole.settings,
                registry=registry,
                verify=refusing("dev/web", where="staging", then=whole.verify),
            )
        for artifact in whole.artifacts.artifacts:
            assert await registry.find_manifest(whole.target(artifact), artifact.digest) is None


async def test_the_verifier_is_asked_for_the_published_name_in_both_places(
    host_with_api: str, stage: Callable[..., Staged]
) -> None:
    staged = stage(host_with_api)
    asked: set[tuple[str, str]] = set()

    async def verify(registry: Registry, *, repository: str, digest: Digest, subject_name: str) -> Verdict:
        asked.add((repository, subject_name))
        return await staged.verify(registry, repository=repository, digest=digest, subject_name=subject_name)

    await staged.publish(verify)
    host = host_with_api
    assert asked == {
        (f"{host}/{repository}", f"{host}/{staged.target(artifact)}")
        for artifact in staged.artifacts.artifacts
        for repository in (staged.staging(artifact), staged.target(artifact))
    }


async def test_a_version_is_published_once_unless_moving_it_is_asked_for(
    registry_host: str, stage: Callable[..., Staged]
) -> None:
    first = stage(registry_host)
    await first.publish()
    second = stage(registry_host, epoch=1_800_000_000, name=first.settings.repository.partition("/")[0])
    with pytest.raises(InputError, match="published already") as caught:
        await second.publish()
    assert caught.value.where
    assert caught.value.where.field == "version"
    async with Registry(registry_host, plain_http=True) as registry:
        for artifact in second.artifacts.artifacts:
            assert await registry.find_manifest(second.staging(artifact), artifact.digest) is None
    assert await first.tags() == {artifact.slug: artifact.digest for artifact in first.artifacts.artifacts}

    publication = await second.publish(move_tag=True)
    assert [one.moved_from for one in publication.artifacts] == [one.digest for one in first.artifacts.artifacts]
    assert await second.signed_tags() == 2


async def test_a_tag_that_another_sets_meanwhile_is_not_overwritten(
    registry_host: str, stage: Callable[..., Staged]
) -> None:
    staged = stage(registry_host)
    web = next(artifact for artifact in staged.artifacts.artifacts if artifact.name == "web")

    async def verify(registry: Registry, *, repository: str, digest: Digest, subject_name: str) -> Verdict:
        if repository.endswith("/charts/dev/web"):
            other = await registry.push_manifest(
                staged.target(web),
                json.dumps({"schemaVersion": 2, "mediaType": _INDEX, "manifests": []}).encode(),
                _INDEX,
            )
            await registry.tag(staged.target(web), other.digest, web.version)
        return await staged.verify(registry, repository=repository, digest=digest, subject_name=subject_name)

    with pytest.raises(InputError, match="published already"):
        await staged.publish(verify)


async def test_a_tag_that_another_moves_after_us_is_noticed(
    host_with_api: str, stage: Callable[..., Staged], relay: Callable[[str], Relay]
) -> None:
    staged = stage(host_with_api)
    between = relay(host_with_api)
    chart, umbrella = sorted(staged.artifacts.artifacts, key=lambda artifact: artifact.kind)
    other = f"http://{host_with_api}/v2/{staged.target(chart)}/manifests/{chart.version}"

    def move(_number: int, method: str, path: str) -> None:
        # When the umbrella gets its tag, the chart has its own already.
        if method == "PUT" and path.endswith(f"{staged.target(umbrella)}/manifests/{umbrella.version}"):
            body = json.dumps({"schemaVersion": 2, "mediaType": _INDEX, "manifests": []})
            httpx.put(other, content=body, headers={"Content-Type": _INDEX}, trust_env=False).raise_for_status()

    between.before = move
    with pytest.raises(RegistryError, match="something else moves this tag"):
        await staged.publish(host=between.host)
    assert not (staged.build / "publish.json").exists()


async def test_what_staging_lost_is_not_promoted_without(host_without_api: str, stage: Callable[..., Staged]) -> None:
    staged = stage(host_without_api)

    async def verify(registry: Registry, *, repository: str, digest: Digest, subject_name: str) -> Verdict:
        verdict = await staged.verify(registry, repository=repository, digest=digest, subject_name=subject_name)
        empty = json.dumps({"schemaVersion": 2, "mediaType": _INDEX, "manifests": []}).encode()
        await registry.push_manifest(repository.partition("/")[2], empty, _INDEX, fallback_tag(digest))
        return verdict

    with pytest.raises(RegistryError, match="has lost 4"):
        await staged.publish(verify)
    assert set((await staged.tags()).values()) == {None}
    await staged.publish()
    assert await staged.signed_tags() == 2


async def test_a_strangers_referrer_in_staging_is_not_promoted(
    registry_host: str, stage: Callable[..., Staged]
) -> None:
    staged = stage(registry_host)
    async with Registry(registry_host, plain_http=True) as registry:
        await push(staged.artifacts, build=staged.build, publish=staged.settings, registry=registry)
        for artifact in staged.artifacts.artifacts:
            manifest = await registry.get_manifest(staged.staging(artifact), artifact.digest)
            await registry.attach(
                staged.staging(artifact), manifest.descriptor, artifact_type=BUNDLE_V0_3, layer=b'{"stranger":1}'
            )
        await staged.publish()
        for artifact in staged.artifacts.artifacts:
            assert b'{"stranger":1}' in await registry.bundles(staged.staging(artifact), artifact.manifest_digest)
            assert b'{"stranger":1}' not in await registry.bundles(staged.target(artifact), artifact.manifest_digest)


async def test_push_records_the_digests_and_sets_no_tag(registry_host: str, stage: Callable[..., Staged]) -> None:
    staged = stage(registry_host, slugs=[])
    records = []
    for _ in range(2):
        async with Registry(registry_host, plain_http=True) as registry:
            pushed = await push(staged.artifacts, build=staged.build, publish=staged.settings, registry=registry)
            records.append({path: path.read_bytes() for path in (staged.build / "publish").rglob("*.json")})
            for record, artifact in zip(pushed, staged.artifacts.artifacts, strict=True):
                listing = await registry.referrers(staged.staging(artifact), artifact.manifest_digest)
                assert [item.digest for item in listing.descriptors] == [record.materials]
                assert record.repository == f"{registry_host}/{staged.target(artifact)}"
    assert records[0] == records[1]
    assert {path.relative_to(staged.build).as_posix() for path in records[0]} == {
        f"publish/{artifact.slug}{end}"
        for artifact in staged.artifacts.artifacts
        for end in (".json", ".manifest.json")
    }
    for artifact in staged.artifacts.artifacts:
        assert Digest.of_file(staged.build / f"publish/{artifact.slug}.manifest.json") == artifact.digest
    assert set((await staged.tags()).values()) == {None}


def _no_bundles(build: Path) -> None:
    shutil.rmtree(build / "bundles")


def _no_provenance(build: Path) -> None:
    (build / "bundles/dev/web/provenance.sigstore.json").unlink()


def _mixed_up(build: Path) -> None:
    for name in ("sign", "provenance"):
        shutil.copy(build / f"bundles/prod/web/{name}.sigstore.json", build / f"bundles/dev/web/{name}.sigstore.json")


def _damaged(build: Path) -> None:
    (build / "bundles/dev/web/sign.sigstore.json").write_text('{"dsseEnvelope": {"payload": "%%%"}}')


def _no_link(build: Path) -> None:
    shutil.copy(build / "bundles/dev/web/sign.sigstore.json", build / "bundles/links/render.sigstore.json")


@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        (_no_bundles, "no signed statement"),
        (_no_provenance, "no signed statement"),
        (_mixed_up, "not about"),
        (_damaged, "no bundle"),
        (_no_link, "no link"),
    ],
)
async def test_bundles_that_do_not_fit_stop_the_release_before_anything_is_written(
    harm: Callable[[Path], None], problem: str, host_with_api: str, stage: Callable[..., Staged]
) -> None:
    staged = stage(host_with_api)
    harm(staged.build)
    with pytest.raises(FormatError, match=problem):
        await staged.publish()
    async with Registry(host_with_api, plain_http=True) as registry:
        for artifact in staged.artifacts.artifacts:
            assert await registry.find_manifest(staged.staging(artifact), artifact.digest) is None
