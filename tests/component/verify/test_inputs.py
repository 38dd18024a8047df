"""What can be verified: a whole repository, a platform of an image index, a layout, files, with no network at all."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

import dhallmark
from dhallmark.digest import Digest
from dhallmark.errors import ExitCode
from dhallmark.oci.client import Registry
from dhallmark.oci.descriptor import OCI_INDEX, Manifest, split_repository
from dhallmark.oci.layout import LayoutWriter, blob_path
from dhallmark.reasons import Reason
from dhallmark.verdict import Outcome, Verdict
from dhallmark.verify.basis import Basis
from dhallmark.verify.batch import verify_many
from dhallmark.verify.crew import Crew
from dhallmark.verify.reference import Reference, Registries
from dhallmark.verify.target import LayoutTarget, ReferenceTarget, Target

if TYPE_CHECKING:
    from tests.component.verify.conftest import Release

pytestmark = pytest.mark.component


def judge(release: Release, *words: str, platform: str = "", name: str = "") -> list[Verdict]:
    """The verdicts on references, in their order, from inside the lab's network."""

    async def main() -> list[Verdict]:
        basis = Basis.load(release.policy, release.target.trusted_root)
        async with Registries(plain_http=True) as registries, Crew(basis, workers=0) as crew:
            targets: list[Target] = [
                ReferenceTarget(
                    reference=Reference.parse_any(word), registries=registries, platform=platform, name=name
                )
                for word in words
            ]
            found = [judged async for judged in verify_many(targets, crew)]
            return [judged.verdict for judged in sorted(found, key=lambda judged: judged.number)]

    return release.lab.call(anyio.run, main)


def test_a_repository_is_verified_with_every_tag(release: Release) -> None:
    repository = f"{release.host}/inputs/many"

    async def fill(registry: Registry) -> None:
        good = await release.push_chart(registry, "inputs/many", 3)
        for bundle in release.bundles.values():
            await release.attach(registry, "inputs/many", good, bundle)
        bad = await release.push_chart(registry, "inputs/many", 9)
        for tag, digest in {"1.2.3": good, "latest": good, "unsigned": bad}.items():
            await registry.tag("inputs/many", digest, tag)

    release.use(fill)
    verdicts = judge(release, repository, name=release.target.repository)
    assert {verdict.subject.removeprefix(repository): verdict.reason for verdict in verdicts} == {
        ":1.2.3": None,
        ":latest": None,
        ":unsigned": Reason.SIGNATURE_NONE,
    }


def test_a_repository_that_cannot_be_listed_is_no_empty_one(release: Release) -> None:
    (missing,) = judge(release, f"{release.host}/inputs/missing")
    assert (missing.outcome, missing.reason) == (Outcome.INDETERMINATE, Reason.REGISTRY_LISTING_INCOMPLETE)


def test_of_an_image_index_the_platform_is_verified_that_will_be_pulled(release: Release) -> None:
    repository = f"{release.host}/inputs/index"

    async def fill(registry: Registry) -> Digest:
        signed = await release.push_chart(registry, "inputs/index", 3)
        other = await release.push_chart(registry, "inputs/index", 9)
        for bundle in release.bundles.values():
            await release.attach(registry, "inputs/index", signed, bundle)
        entries = []
        for digest, architecture in ((signed, "amd64"), (other, "arm64")):
            manifest = await registry.get_manifest("inputs/index", digest)
            platform = {"os": "linux", "architecture": architecture}
            entries.append({**manifest.descriptor.to_json(), "platform": platform})
        body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
        index = await registry.push_manifest("inputs/index", json.dumps(body).encode(), OCI_INDEX, "1")
        return index.digest

    index = release.use(fill)
    name = release.target.repository
    for reference in (f"{repository}:1", f"{repository}@{index}"):
        assert [one.reason for one in judge(release, reference, name=name)] == [Reason.SIGNATURE_NONE]
        for platform, reason in {
            "linux/amd64": None,
            "linux/arm64": Reason.SIGNATURE_NONE,
            "linux/s390x": Reason.ARTIFACT_PLATFORM,
        }.items():
            (verdict,) = judge(release, reference, platform=platform, name=name)
            assert verdict.reason is reason, verdict.to_json()

    async def attach_to_the_index(registry: Registry) -> None:
        for bundle in release.bundles.values():
            await release.attach(registry, "inputs/index", index, bundle)

    release.use(attach_to_the_index)
    (replayed,) = judge(release, f"{repository}@{index}", name=name)
    assert replayed.reason is Reason.SUBJECT_MISMATCH


@pytest.fixture(scope="module")
def layout(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The release, with all that is attached to it, as an image layout."""
    directory = tmp_path_factory.mktemp("layout") / "oci"
    writer = LayoutWriter(directory)
    _, path = split_repository(release.target.repository)

    async def copy(registry: Registry) -> None:
        async def add(manifest: Manifest, name: str = "") -> None:
            for blob in manifest.blobs():
                writer.add_blob(await registry.get_blob(path, blob.digest))
            writer.add_manifest(manifest, name=name)

        await add(await registry.get_manifest(path, release.target.digest), "1.2.3")
        for descriptor in (await registry.referrers(path, release.target.digest)).descriptors:
            await add(await registry.get_manifest(path, descriptor.digest))

    release.use(copy)
    writer.finish()
    return directory


def offline(directory: Path, release: Release, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """`dhallmark verify` in a network namespace of its own, which has no route anywhere."""
    return subprocess.run(
        [
            *["unshare", "--map-root-user", "--net", sys.executable, "-m", "dhallmark", "verify", "--output=json"],
            *[f"--policy={release.target.policy}", f"--trusted-root={release.target.trusted_root}", *words],
        ],
        cwd=directory,
        env={"PYTHONPATH": str(Path(str(dhallmark.__file__)).parents[1]), "HOME": str(directory), "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def test_a_layout_is_verified_without_a_network(release: Release, layout: Path, tmp_path: Path) -> None:
    done = offline(tmp_path, release, [str(layout), f"--subject-name={release.target.repository}"])
    assert done.returncode == ExitCode.OK, done.stderr + done.stdout
    (verdict,) = json.loads(done.stdout)["verdicts"]
    assert verdict["subject"] == f"{layout}:1.2.3@{release.target.digest}"
    dev = release.target.repository.replace("/prod/", "/dev/")
    done = offline(tmp_path, release, [str(layout), f"--subject-name={dev}"])
    assert json.loads(done.stdout)["verdicts"][0]["reason"] == Reason.SUBJECT_NAME.value


def test_a_reference_is_no_answer_without_a_network(release: Release, tmp_path: Path) -> None:
    done = offline(tmp_path, release, ["--plain-http", f"{release.target.repository}:1.2.3"])
    assert done.returncode == ExitCode.INDETERMINATE, done.stderr
    assert json.loads(done.stdout)["verdicts"][0]["reason"] == Reason.REGISTRY_UNAVAILABLE.value


def test_files_are_verified_without_a_network(release: Release, tmp_path: Path) -> None:
    """The manifest is a file like any other here, and its bundles stand beside it."""
    _, path = split_repository(release.target.repository)

    async def manifest(registry: Registry) -> bytes:
        return (await registry.get_manifest(path, release.target.digest)).content

    (tmp_path / "web.json").write_bytes(release.use(manifest))
    for name, bundle in release.bundles.items():
        (tmp_path / f"web.json.{name}.sigstore.json").write_bytes(bundle)
    lines = [f"web.json.{name}.sigstore.json\t{artifact}" for artifact in ("web.json", release.target.digest)
             for name in release.bundles]  # fmt: skip
    (tmp_path / "list").write_text("\n".join(lines))
    for words in (["web.json"], ["."], ["--files-from=list"]):
        done = offline(tmp_path, release, words)
        body = json.loads(done.stdout)
        outcomes = {one["subject"].removeprefix("./"): one["outcome"] for one in body["verdicts"]}
        assert outcomes["web.json"] == "accepted", done.stdout
    assert outcomes == {"web.json": "accepted", release.target.digest: "accepted"}


def test_a_layout_that_lost_a_bundle_is_no_answer(release: Release, layout: Path) -> None:
    async def main() -> list[Verdict]:
        basis = Basis.load(release.policy, release.target.trusted_root)
        async with Crew(basis, workers=0) as crew:
            target = LayoutTarget(layout, release.target.repository)
            return [judged.verdict async for judged in verify_many([target], crew)]

    (verdict,) = anyio.run(main)
    assert verdict.outcome is Outcome.ACCEPTED
    bundle = blob_path(layout, Digest.of(next(iter(release.bundles.values()))))
    moved = bundle.rename(bundle.with_suffix(".gone"))
    try:
        (verdict,) = anyio.run(main)
        assert (verdict.outcome, verdict.reason) == (Outcome.INDETERMINATE, Reason.FILE_UNREADABLE)
    finally:
        moved.rename(bundle)
