"""Publishing against real registries: what is where after success, refusal, a lost registry, and a kill."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import anyio
import httpx
import pytest

from dhallmark.config.model import Publish
from dhallmark.digest import Digest
from dhallmark.errors import FormatError, InputError, RegistryError, VerdictError
from dhallmark.oci.client import Registry
from dhallmark.oci.descriptor import BUNDLE_V0_3, fallback_tag
from dhallmark.package.model import MATERIALS_ARTIFACT, Artifact, Artifacts
from dhallmark.package.package import load_artifacts, package
from dhallmark.plan import Plan
from dhallmark.publish.model import Publication
from dhallmark.publish.publish import Verify, promote, publish
from dhallmark.publish.publish import stage as stage_signed
from dhallmark.publish.push import push
from dhallmark.reasons import Reason
from dhallmark.verdict import Check, Verdict

pytestmark = pytest.mark.anyio
_DRIVER = Path(__file__).with_name("publish_driver.py")
_EPOCH = 1_700_000_000
_INDEX = "application/vnd.oci.image.index.v1+json"
_FEW = ["dev/acme", "dev/web"]


def _load_driver() -> Any:  # noqa: ANN401
    spec = importlib.util.spec_from_file_location("publish_driver", _DRIVER)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


driver = _load_driver()


class Release(Protocol):
    """What `make_small_release` makes."""

    plan: Plan
    root: Path
    build: Path


class Relay(Protocol):
    """What `relay` starts."""

    host: str
    writes: int
    before: Callable[[int, str, str], bytes | None]
    after: Callable[[int], None]


@dataclass(frozen=True)
class Staged:
    """A packaged release with bundles, and repositories of its own."""

    build: Path
    artifacts: Artifacts
    settings: Publish

    async def publish(self, verify: Verify = driver.verify, *, host: str = "", move_tag: bool = False) -> Publication:
        settings = self.settings.model_copy(update={"registry": host or self.settings.registry})
        async with Registry(settings.registry, plain_http=True) as registry:
            return await publish(
                self.artifacts,
                build=self.build,
                publish=settings,
                registry=registry,
                verify=verify,
                move_tag=move_tag,
            )

    def target(self, artifact: Artifact) -> str:
        return f"{self.settings.repository}/{artifact.repository}"

    def staging(self, artifact: Artifact) -> str:
        return f"{self.settings.staging}/{artifact.repository}"

    async def tags(self) -> dict[str, Digest | None]:
        async with Registry(self.settings.registry, plain_http=True) as registry:
            found = {}
            for artifact in self.artifacts.artifacts:
                manifest = await registry.find_manifest(self.target(artifact), artifact.version)
                found[artifact.slug] = manifest.digest if manifest else None
            return found


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def stage(
    make_small_release: Callable[..., Release], write_bundles: Callable[..., None], tmp_path: Path
) -> Callable[..., Staged]:
    """Packages a release, with two small artifacts unless told otherwise, for repositories that nothing else uses."""

    def make(host: str, *, slugs: list[str] | None = None, epoch: int = _EPOCH, name: str = "") -> Staged:
        folder = tmp_path / uuid4().hex[:8]
        release = make_small_release(folder)
        package(release.plan, root=release.root, build=release.build, source_date_epoch=epoch)
        write_bundles(release.build)
        prefix = name or f"t{uuid4().hex[:10]}"
        settings = Publish(registry=host, repository=f"{prefix}/charts", staging=f"{prefix}/staging", plain_http=True)
        artifacts = driver.select(load_artifacts(release.build), _FEW if slugs is None else slugs)
        return Staged(release.build, artifacts, settings)

    return make


async def assert_every_tag_is_signed(staged: Staged) -> int:
    """Each tag that is there names a digest with all its bundles and its materials. Returns how many are there."""
    count = 0
    async with Registry(staged.settings.registry, plain_http=True) as registry:
        for artifact in staged.artifacts.artifacts:
            manifest = await registry.find_manifest(staged.target(artifact), artifact.version)
            if manifest is None:
                continue
            count += 1
            assert manifest.digest == artifact.digest
            served = await registry.bundles(staged.target(artifact), manifest.digest)
            own = sorted((staged.build / "bundles" / artifact.slug).iterdir())
            links = sorted((staged.build / "bundles" / "links").iterdir())
            assert {path.read_bytes() for path in [*own, *links]} <= set(served)
            listing = await registry.referrers(staged.target(artifact), manifest.digest)
            referrers = [
                await registry.get_manifest(staged.target(artifact), item.digest) for item in listing.descriptors
            ]
            # By the manifests' own word: the listing of go-containerregistry's registry has another type.
            assert MATERIALS_ARTIFACT in {referrer.body()["artifactType"] for referrer in referrers}
            for blob in manifest.blobs():
                await registry.get_blob(staged.target(artifact), blob.digest)
    return count


async def test_a_release_ends_with_every_tag_on_its_signed_digest(
    registry_host: str, stage: Callable[..., Staged]
) -> None:
    staged = stage(registry_host, slugs=[])
    publication = await staged.publish()
    assert await staged.tags() == {artifact.slug: artifact.digest for artifact in staged.artifacts.artifacts}
    assert await assert_every_tag_is_signed(staged) == 8
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


def refusing(slug: str, *, where: str) -> Verify:
    """A verifier that refuses one artifact in staging or where it is published."""

    async def verify(registry: Registry, *, repository: str, digest: Digest, subject_name: str) -> Verdict:
        if repository.endswith(f"/{where}/{slug}"):
            return Verdict.of(repository, checks=[Check(name="test", reason=Reason.IDENTITY_ISSUER_MISMATCH)])
        verdict: Verdict = await driver.verify(
            registry, repository=repository, digest=digest, subject_name=subject_name
        )
        return verdict

    return verify


@pytest.mark.parametrize("where", ["staging", "charts"])
async def test_one_refused_artifact_leaves_every_tag_unset(
    where: str, registry_host: str, stage: Callable[..., Staged]
) -> None:
    staged = stage(registry_host)
    with pytest.raises(VerdictError, match=r"identity\.issuer-mismatch"):
        await staged.publish(refusing("dev/web", where=where))
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
            whole.artifacts, build=whole.build, publish=whole.settings, registry=registry, verify=driver.verify
        )
        for artifact in whole.artifacts.artifacts:
            assert len(await registry.bundles(whole.staging(artifact), artifact.manifest_digest)) == 3
            assert await registry.find_manifest(whole.target(artifact), artifact.digest) is None
        assert not (whole.build / "publish.json").exists()
        publication = await promote(
            whole.artifacts, build=whole.build, publish=whole.settings, registry=registry, verify=driver.verify
        )
    assert set((await whole.tags()).values()) == {artifact.manifest_digest for artifact in whole.artifacts.artifacts}
    assert Publication.parse((whole.build / "publish.json").read_bytes()) == publication


async def test_nothing_is_promoted_that_was_not_staged(registry_host: str, stage: Callable[..., Staged]) -> None:
    whole = stage(registry_host)
    async with Registry(registry_host, plain_http=True) as registry:
        with pytest.raises(RegistryError):
            await promote(
                whole.artifacts, build=whole.build, publish=whole.settings, registry=registry, verify=driver.verify
            )
    assert set((await whole.tags()).values()) == {None}


async def test_the_verifier_is_asked_for_the_published_name_in_both_places(
    host_with_api: str, stage: Callable[..., Staged]
) -> None:
    staged = stage(host_with_api)
    asked: set[tuple[str, str]] = set()

    async def verify(registry: Registry, *, repository: str, digest: Digest, subject_name: str) -> Verdict:
        asked.add((repository, subject_name))
        verdict: Verdict = await driver.verify(
            registry, repository=repository, digest=digest, subject_name=subject_name
        )
        return verdict

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
    second = stage(registry_host, epoch=_EPOCH + 1, name=first.settings.repository.partition("/")[0])
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
    assert await assert_every_tag_is_signed(second) == 2


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
        verdict: Verdict = await driver.verify(
            registry, repository=repository, digest=digest, subject_name=subject_name
        )
        return verdict

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
        verdict: Verdict = await driver.verify(
            registry, repository=repository, digest=digest, subject_name=subject_name
        )
        empty = json.dumps({"schemaVersion": 2, "mediaType": _INDEX, "manifests": []}).encode()
        await registry.push_manifest(repository.partition("/")[2], empty, _INDEX, fallback_tag(digest))
        return verdict

    with pytest.raises(RegistryError, match="has lost 4"):
        await staged.publish(verify)
    assert set((await staged.tags()).values()) == {None}
    await staged.publish()
    assert await assert_every_tag_is_signed(staged) == 2


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


async def test_a_registry_that_loses_the_fallback_index_is_an_error(
    host_without_api: str, stage: Callable[..., Staged], relay: Callable[[str], Relay]
) -> None:
    staged = stage(host_without_api)
    between = relay(host_without_api)

    def swallow(_number: int, method: str, path: str) -> bytes | None:
        lost = method == "PUT" and "/manifests/sha256-" in path
        return b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" if lost else None

    between.before = swallow
    with pytest.raises(RegistryError, match="kept losing entries"):
        await staged.publish(host=between.host)
    assert set((await staged.tags()).values()) == {None}


def _run_driver(staged: Staged, host: str) -> subprocess.Popen[bytes]:
    slugs = [artifact.slug for artifact in staged.artifacts.artifacts]
    command = [sys.executable, str(_DRIVER), str(staged.build), host]
    return subprocess.Popen(
        [*command, staged.settings.staging, staged.settings.repository, *slugs],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "pipeline")},
        stderr=subprocess.DEVNULL,
    )


async def test_a_kill_at_any_write_leaves_no_unsigned_tag_and_the_next_run_recovers(
    registry_host: str, stage: Callable[..., Staged], relay: Callable[[str], Relay]
) -> None:
    counted = stage(registry_host)
    between = relay(registry_host)
    await counted.publish(host=between.host)
    total = between.writes
    assert total > 20
    # Every kind of write, and the last ones, among which the tags are, one by one.
    points = sorted({*range(2, total, max(1, total // 6)), *range(total - 3, total + 1)})
    for point in points:
        staged = stage(registry_host)
        between = relay(registry_host)
        process = _run_driver(staged, between.host)

        def kill(number: int, *, pid: int = process.pid, at: int = point) -> None:
            if number == at:
                os.kill(pid, signal.SIGKILL)

        # By turns before the registry has the request, and after.
        if point % 2:
            between.before = lambda number, _method, _path, kill=kill: kill(number)  # type: ignore[misc]
        else:
            between.after = kill
        status = await anyio.to_thread.run_sync(process.wait)
        assert status == -signal.SIGKILL, f"write {point} of {total}"
        await assert_every_tag_is_signed(staged)
        await staged.publish()
        assert await assert_every_tag_is_signed(staged) == 2


async def test_a_registry_that_goes_away_is_an_error_and_the_next_run_recovers(
    serving: Callable[..., AbstractContextManager[str]],
    stage: Callable[..., Staged],
    relay: Callable[[str], Relay],
    tmp_path: Path,
) -> None:
    with serving("distribution", tmp_path / "registry") as host:
        staged = stage(host)
        between = relay(host)
        between.before = lambda number, _method, _path: b"" if number > 25 else None
        with pytest.raises(RegistryError):
            await staged.publish(host=between.host)
        assert not (staged.build / "publish.json").exists()
        await assert_every_tag_is_signed(staged)
        await staged.publish()
        assert await assert_every_tag_is_signed(staged) == 2


async def test_publishing_from_two_machines_at_once_ends_whole(
    registry_host: str, stage: Callable[..., Staged]
) -> None:
    staged = stage(registry_host)
    processes = [_run_driver(staged, registry_host) for _ in range(3)]
    statuses = [await anyio.to_thread.run_sync(process.wait) for process in processes]
    assert statuses == [0, 0, 0]
    assert await assert_every_tag_is_signed(staged) == 2
