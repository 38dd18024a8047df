from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest
import yaml

from dhallmark.digest import Digest
from dhallmark.errors import FormatError, UsageError
from dhallmark.oci.layout import blob_path, read_manifest
from dhallmark.package.model import Artifact, Artifacts
from dhallmark.package.package import load_artifacts, materials_attachment, package
from dhallmark.package.reader import read_archive
from dhallmark.plan import Plan, Shard, make_plan

EPOCH = 1_700_000_000


class Release(Protocol):
    """What `make_small_release` makes."""

    plan: Plan
    root: Path
    build: Path


@pytest.fixture
def release(make_small_release: Callable[..., Release], tmp_path: Path) -> Release:
    return make_small_release(tmp_path)


def pack(release: Release, *, epoch: int = EPOCH) -> Artifacts:
    return package(release.plan, root=release.root, build=release.build, source_date_epoch=epoch)


def find(artifacts: Artifacts, slug: str) -> Artifact:
    return next(artifact for artifact in artifacts.artifacts if artifact.slug == slug)


def archive(release: Release, artifact: Artifact) -> dict[str, bytes]:
    return read_archive((release.build / artifact.archive.path).read_bytes(), what=artifact.slug)


def snapshot(directory: Path) -> dict[str, tuple[int, bytes]]:
    return {
        path.relative_to(directory).as_posix(): (path.stat().st_mode & 0o777, path.read_bytes())
        for path in directory.rglob("*")
        if path.is_file()
    }


def test_each_environment_gets_its_charts_an_umbrella_and_a_flux_artifact(release: Release) -> None:
    artifacts = pack(release)
    assert [(artifact.slug, artifact.kind) for artifact in artifacts.artifacts] == [
        ("dev/acme", "umbrella"),
        ("dev/flux-acme", "flux"),
        ("dev/net", "chart"),
        ("dev/web", "chart"),
        ("prod/acme", "umbrella"),
        ("prod/flux-acme", "flux"),
        ("prod/net", "chart"),
        ("prod/web", "chart"),
    ]
    assert load_artifacts(release.build) == artifacts


def test_a_chart_archive_holds_the_rendered_files_below_the_charts_name(release: Release) -> None:
    artifact = find(pack(release), "prod/web")
    rendered = release.build / "render/prod/web"
    assert archive(release, artifact) == {
        f"web/{path.relative_to(rendered).as_posix()}": path.read_bytes()
        for path in rendered.rglob("*")
        if path.is_file()
    }
    assert [file.name for file in artifact.files] == [
        "environments/prod/charts/web/.helmignore",
        "environments/prod/charts/web/Chart.yaml",
        "environments/prod/charts/web/templates/001-configmap-web.yaml",
        "environments/prod/charts/web/values.yaml",
    ]
    assert artifact.files[1].sha256 == Digest.of_file(rendered / "Chart.yaml").hex
    assert artifact.archive_name == "web-1.2.3.tgz"


def test_an_umbrella_archive_holds_all_charts_but_owns_its_own_files(release: Release) -> None:
    artifact = find(pack(release), "dev/acme")
    assert {"acme/Chart.yaml", "acme/charts/net/Chart.yaml", "acme/charts/web/values.yaml"} <= archive(
        release, artifact
    ).keys()
    assert [file.name for file in artifact.files] == [
        "environments/dev/.helmignore",
        "environments/dev/Chart.yaml",
    ]


def test_a_flux_archive_holds_plain_objects_by_layer(release: Release) -> None:
    files = archive(release, find(pack(release), "prod/flux-acme"))
    assert sorted(files) == ["platform/net/001-configmap-net.yaml", "services/web/001-configmap-web.yaml"]
    body = yaml.safe_load(files["services/web/001-configmap-web.yaml"])
    assert body["data"] == {"motto": "{{ not a template }}", "environment": "prod"}


def test_the_layout_holds_every_manifest_with_its_blobs(release: Release) -> None:
    artifacts = pack(release)
    layout = release.build / "package/oci"
    index = json.loads((layout / "index.json").read_text())
    names = {
        item["annotations"]["org.opencontainers.image.ref.name"]: item["digest"]
        for item in index["manifests"]
        if "annotations" in item
    }
    assert names == {f"{artifact.slug}:1.2.3": artifact.digest for artifact in artifacts.artifacts}
    assert len(index["manifests"]) == 2 * len(artifacts.artifacts)
    for item in index["manifests"]:
        for descriptor in read_manifest(layout, Digest(item["digest"])).blobs():
            content = blob_path(layout, descriptor.digest).read_bytes()
            assert (Digest.of(content), len(content)) == (descriptor.digest, descriptor.size)
    assert json.loads((layout / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}


def test_a_charts_manifest_is_what_helm_expects(release: Release) -> None:
    artifact = find(pack(release), "prod/web")
    manifest = read_manifest(release.build / "package/oci", artifact.manifest_digest)
    config, layer = manifest.blobs()
    assert config.media_type == "application/vnd.cncf.helm.config.v1+json"
    assert layer.media_type == "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
    assert layer.digest == artifact.archive.digest
    metadata = json.loads(blob_path(release.build / "package/oci", config.digest).read_text())
    assert (metadata["name"], metadata["version"], metadata["apiVersion"]) == ("web", "1.2.3", "v2")
    assert manifest.body()["annotations"] == {
        "org.opencontainers.image.title": "web",
        "org.opencontainers.image.version": "1.2.3",
        "org.opencontainers.image.source": "https://git.example/acme/platform",
        "org.opencontainers.image.description": "The web",
        "org.opencontainers.image.created": "2023-11-14T22:13:20Z",
    }


def test_the_materials_are_all_that_a_rebuild_needs(release: Release) -> None:
    artifacts = pack(release)
    members = read_archive((release.build / artifacts.materials.path).read_bytes(), what="materials")
    cached = next((release.build / "resolve/cache").iterdir())
    assert sorted(members) == [
        f"cache/{cached.name}",
        "closure.json",
        "source/apps/lib.dhall",
        "source/apps/net.dhall",
        "source/apps/web.dhall",
        "source/apps/web.yaml",
        "source/dhallmark.yaml",
        "source/policy.yaml",
    ]
    attached = materials_attachment(artifacts, build=release.build)
    assert Digest.of(attached.layer) == artifacts.materials.digest
    assert attached.artifact_type == "application/vnd.dhallmark.materials.v1"


def test_folder_umask_and_times_of_the_sources_change_no_byte(
    make_small_release: Callable[..., Release], tmp_path: Path
) -> None:
    first = make_small_release(tmp_path / "one")
    previous = os.umask(0o077)
    try:
        second = make_small_release(tmp_path / "some/where/else")
        for path in (tmp_path / "some").rglob("*"):
            os.utime(path, (1, 1))
        pack(first)
        pack(second)
    finally:
        os.umask(previous)
    assert snapshot(first.build / "package") == snapshot(second.build / "package")


def test_packaging_again_changes_no_byte(release: Release) -> None:
    pack(release)
    before = snapshot(release.build / "package")
    pack(release)
    assert snapshot(release.build / "package") == before


def test_the_time_is_the_only_other_input(release: Release) -> None:
    assert pack(release).artifacts[0].digest != pack(release, epoch=EPOCH + 1).artifacts[0].digest


def _other_version(release: Release) -> None:
    path = release.build / "render/dev/web/Chart.yaml"
    path.write_text(path.read_text().replace("1.2.3", "1.2.4"))


def _not_yaml(release: Release) -> None:
    (release.build / "render/dev/web/Chart.yaml").write_text("{")


def _symlink(release: Release) -> None:
    (release.build / "render/dev/web/templates/evil.yaml").symlink_to("/etc/passwd")


def _folder_symlink(release: Release) -> None:
    (release.build / "render/dev/web/charts").symlink_to("/etc")


def _pipe(release: Release) -> None:
    os.mkfifo(release.build / "render/dev/web/pipe")


def _case(release: Release) -> None:
    (release.build / "render/dev/web/chart.yaml").write_text("name: web")


def _no_chart(release: Release) -> None:
    shutil.rmtree(release.build / "render/dev/web")


def _no_umbrella(release: Release) -> None:
    shutil.rmtree(release.build / "render/dev/acme")


def _changed_source(release: Release) -> None:
    (release.root / "apps/web.dhall").write_text("[] : List Text")


def _missing_source(release: Release) -> None:
    (release.root / "apps/lib.dhall").unlink()


def _outside(release: Release) -> None:
    (release.root / "policy.yaml").unlink()
    (release.root.parent / "policy.yaml").write_text("")
    (release.root / "policy.yaml").symlink_to("../policy.yaml")


def _cache(release: Release) -> None:
    next((release.build / "resolve/cache").iterdir()).write_bytes(b"poison")


@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        (_other_version, "version"),
        (_not_yaml, "not YAML"),
        (_symlink, "symbolic link"),
        (_folder_symlink, "symbolic link"),
        (_pipe, "special file"),
        (_case, "one file on some systems"),
        (_no_chart, "no chart"),
        (_no_umbrella, "no chart"),
        (_changed_source, "has changed since"),
        (_missing_source, "cannot be read"),
        (_outside, "outside the project"),
        (_cache, "not what its name says"),
    ],
)
def test_what_does_not_fit_is_refused_and_the_old_package_stays(
    release: Release, harm: Callable[[Release], None], problem: str
) -> None:
    pack(release)
    before = snapshot(release.build / "package")
    harm(release)
    with pytest.raises(FormatError, match=problem):
        pack(release)
    assert snapshot(release.build / "package") == before
    assert [path.name for path in release.build.iterdir() if path.name.startswith(".")] == []


def test_a_shard_is_not_packaged_by_itself(release: Release) -> None:
    shard = make_plan(release.plan.config, shard=Shard(1, 2))
    with pytest.raises(UsageError, match="merge"):
        package(shard, root=release.root, build=release.build, source_date_epoch=EPOCH)


def test_changed_materials_are_not_attached(release: Release) -> None:
    artifacts = pack(release)
    path = release.build / artifacts.materials.path
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(FormatError, match=r"artifacts\.json"):
        materials_attachment(artifacts, build=release.build)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda body: body.update(schema="dhallmark.dev/artifacts/v2"), "schema"),
        (lambda body: body.update(extra=1), "extra"),
        (lambda body: body["artifacts"][0].update(digest="latest"), "digest"),
        (lambda body: body["artifacts"][0].update(repository="prod/acme"), "repository"),
        (lambda body: body["artifacts"][0].update(application="acme"), "application"),
        (lambda body: body["artifacts"].reverse(), "sorted"),
        (lambda body: body["artifacts"].clear(), "artifacts"),
        (lambda body: body["artifacts"].append(body["artifacts"][-1]), "sorted"),
    ],
)
def test_a_record_that_contradicts_itself_is_refused(
    release: Release, change: Callable[[dict[str, Any]], None], problem: str
) -> None:
    body = json.loads(pack(release).to_bytes())
    change(body)
    with pytest.raises(FormatError, match=problem):
        Artifacts.parse(json.dumps(body).encode())


def test_without_a_record_the_error_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="dhallmark package"):
        load_artifacts(tmp_path)
