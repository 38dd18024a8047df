"""The deploy tree: what is written, what is left alone, and what is refused."""

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from dhallmark.digest import Digest
from dhallmark.errors import FormatError, InputError
from dhallmark.gitops import tree as tree_module
from dhallmark.gitops.tree import update_tree, write_tree
from dhallmark.package.archive import write_archive
from dhallmark.package.model import FILE, HELM_CONTENT, Artifact, Artifacts, Blob, File
from dhallmark.statement import PAYLOAD_TYPE, SLSA_PROVENANCE_V1, Statement, Subject

Charts = Mapping[str, Mapping[str, str]]
"""Chart files by chart name: `{"web": {"templates/001-x.yaml": …}}`."""

CHARTS: Charts = {
    "acme": {"Chart.yaml": "name: acme\n"},
    "web": {"Chart.yaml": "name: web\n", "templates/001-x.yaml": "kind: X\n", "templates/002-y.yaml": "kind: Y\n"},
    "db": {"Chart.yaml": "name: db\n"},
}


def bundle_of(subjects: list[Subject], *, signature: str, predicate_type: str = SLSA_PROVENANCE_V1) -> bytes:
    """A bundle in form; the signature says which run of signing made it."""
    statement = Statement.build(predicate_type=predicate_type, subjects=subjects, predicate={})
    envelope = {
        "payload": base64.b64encode(statement.payload).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"sig": signature}],
    }
    return json.dumps({"dsseEnvelope": envelope}).encode()


def make_build(build: Path, charts: Charts, *, environment: str = "prod", signature: str = "first") -> Path:
    """A packaged and signed release of one environment; `acme` is the umbrella."""
    artifacts = []
    for name, files in sorted(charts.items()):
        umbrella = name == "acme"
        folder = f"environments/{environment}" if umbrella else f"environments/{environment}/charts/{name}"
        path = f"package/{environment}/{name}-1.0.0.tgz"
        members = {f"{name}/{file}": content.encode() for file, content in files.items()}
        sha256, size = write_archive(build / path, members, mtime=0)
        sha256 = sha256.removeprefix("sha256:")
        manifest = Digest.of(f"manifest of {sha256}".encode())
        artifact = Artifact(
            kind="umbrella" if umbrella else "chart",
            environment=environment,
            application=None if umbrella else name,
            name=name,
            version="1.0.0",
            repository=f"{environment}/{name}",
            digest=manifest,
            archive=Blob(path=path, sha256=sha256, size=size, media_type=HELM_CONTENT),
            files=tuple(
                File(name=f"{folder}/{file}", sha256=Digest.of(content.encode()).hex)
                for file, content in sorted(files.items())
            ),
        )
        artifacts.append(artifact)
        subjects = [Subject(file.name, Digest.from_hex(file.sha256)) for file in artifact.files]
        subjects += [Subject(artifact.archive_name, Digest.from_hex(sha256)), Subject("repository", manifest)]
        bundles = build / "bundles" / artifact.slug
        bundles.mkdir(parents=True, exist_ok=True)
        (bundles / "provenance.sigstore.json").write_bytes(bundle_of(subjects, signature=signature))
        (bundles / "signature.sigstore.json").write_bytes(
            bundle_of(subjects[:1], signature=signature, predicate_type="https://sigstore.dev/cosign/sign/v1")
        )
    record = Artifacts(
        project="acme",
        version="1.0.0",
        source_date_epoch=0,
        artifacts=tuple(artifacts),
        materials=Blob(path="package/materials.tar.gz", sha256="0" * 64, size=1, media_type="x"),
    )
    (build / FILE).write_bytes(record.to_bytes())
    return build


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.rglob("*")}


def test_charts_and_their_attestations_stand_where_helm_looks(tmp_path: Path) -> None:
    build = make_build(tmp_path / "build", CHARTS)
    changed = write_tree(build, tmp_path / "deploy")
    there = contents(tmp_path / "deploy")
    assert sorted(there) == [
        "environments/prod/Chart.yaml",
        "environments/prod/attestation.json",
        "environments/prod/charts/db/Chart.yaml",
        "environments/prod/charts/db/attestation.json",
        "environments/prod/charts/web/Chart.yaml",
        "environments/prod/charts/web/attestation.json",
        "environments/prod/charts/web/templates/001-x.yaml",
        "environments/prod/charts/web/templates/002-y.yaml",
    ]
    assert sorted(changed) == [tmp_path / "deploy" / name for name in sorted(there)]
    assert there["environments/prod/charts/web/templates/001-x.yaml"] == b"kind: X\n"
    assert (
        there["environments/prod/charts/web/attestation.json"]
        == (build / "bundles/prod/web/provenance.sigstore.json").read_bytes()
    )


def test_a_second_run_touches_nothing(tmp_path: Path) -> None:
    build = make_build(tmp_path / "build", CHARTS)
    write_tree(build, tmp_path / "deploy")
    before = stamps(tmp_path / "deploy")
    change = update_tree(build, tmp_path / "deploy")
    assert (change.written, change.removed, change.unchanged) == ((), (), 8)
    assert stamps(tmp_path / "deploy") == before


@pytest.mark.parametrize("verifies", [True, False])
def test_an_attestation_of_the_same_files_is_kept_while_it_verifies(tmp_path: Path, *, verifies: bool) -> None:
    write_tree(make_build(tmp_path / "first", CHARTS), tmp_path / "deploy")
    again = make_build(tmp_path / "second", CHARTS, signature="second")
    change = update_tree(again, tmp_path / "deploy", keep=lambda *_: verifies)
    changed = [f"environments/prod/{path}attestation.json" for path in ("", "charts/db/", "charts/web/")]
    assert list(change.written) == ([] if verifies else changed)


def test_an_attestation_of_other_files_is_never_kept(tmp_path: Path) -> None:
    write_tree(make_build(tmp_path / "first", CHARTS), tmp_path / "deploy")
    other = {**CHARTS, "web": {**CHARTS["web"], "templates/001-x.yaml": "kind: Z\n"}}
    change = update_tree(make_build(tmp_path / "second", other), tmp_path / "deploy", keep=lambda *_: True)
    assert list(change.written) == [
        "environments/prod/charts/web/attestation.json",
        "environments/prod/charts/web/templates/001-x.yaml",
    ]


def test_files_and_applications_that_a_release_no_longer_has_are_removed(tmp_path: Path) -> None:
    write_tree(make_build(tmp_path / "first", CHARTS), tmp_path / "deploy")
    smaller = {"acme": CHARTS["acme"], "web": {"Chart.yaml": "name: web\n", "templates/001-x.yaml": "kind: X\n"}}
    change = update_tree(make_build(tmp_path / "second", smaller), tmp_path / "deploy")
    assert list(change.removed) == [
        "environments/prod/charts/db/Chart.yaml",
        "environments/prod/charts/db/attestation.json",
        "environments/prod/charts/web/templates/002-y.yaml",
    ]
    assert not (tmp_path / "deploy/environments/prod/charts/db").exists()


def test_foreign_files_survive_and_are_reported(tmp_path: Path) -> None:
    build = make_build(tmp_path / "build", CHARTS)
    write_tree(build, tmp_path / "deploy")
    prod = tmp_path / "deploy/environments/prod"
    (prod / "README.md").write_text("mine\n")
    (prod / "charts/web/templates/evil.yaml").write_text("kind: Evil\n")
    (prod / "charts/db/run.sh").write_text("#!/bin/sh\n")
    (prod / "charts/db/run.sh").chmod(0o755)
    smaller = {name: files for name, files in CHARTS.items() if name != "db"}
    change = update_tree(make_build(tmp_path / "second", smaller), tmp_path / "deploy")
    assert list(change.foreign) == [
        "environments/prod/README.md",
        "environments/prod/charts/db/run.sh",
        "environments/prod/charts/web/templates/evil.yaml",
    ]
    assert (prod / "README.md").read_text() == "mine\n"
    assert (prod / "charts/db/run.sh").stat().st_mode & 0o777 == 0o755


def test_a_file_that_a_person_changed_is_put_right_or_left_but_never_lost(tmp_path: Path) -> None:
    write_tree(make_build(tmp_path / "first", CHARTS), tmp_path / "deploy")
    templates = tmp_path / "deploy/environments/prod/charts/web/templates"
    (templates / "001-x.yaml").write_text("kind: Changed\n")
    (templates / "002-y.yaml").write_text("kind: Changed\n")
    smaller = {**CHARTS, "web": {"Chart.yaml": "name: web\n", "templates/001-x.yaml": "kind: X\n"}}
    change = update_tree(make_build(tmp_path / "second", smaller), tmp_path / "deploy")
    assert (templates / "001-x.yaml").read_text() == "kind: X\n"
    assert (templates / "002-y.yaml").read_text() == "kind: Changed\n"
    assert list(change.foreign) == ["environments/prod/charts/web/templates/002-y.yaml"]


def test_other_environments_are_left_alone(tmp_path: Path) -> None:
    write_tree(make_build(tmp_path / "dev", CHARTS, environment="dev"), tmp_path / "deploy")
    before = stamps(tmp_path / "deploy/environments/dev")
    change = update_tree(make_build(tmp_path / "prod", CHARTS), tmp_path / "deploy")
    assert change.other_environments == ("dev",)
    assert stamps(tmp_path / "deploy/environments/dev") == before


def test_a_chart_that_a_person_wrote_is_not_overwritten(tmp_path: Path) -> None:
    build = make_build(tmp_path / "build", CHARTS)
    mine = tmp_path / "deploy/environments/prod/charts/web/Chart.yaml"
    mine.parent.mkdir(parents=True)
    mine.write_text("name: mine\n")
    with pytest.raises(InputError, match="did not write"):
        write_tree(build, tmp_path / "deploy")
    assert contents(tmp_path / "deploy") == {"environments/prod/charts/web/Chart.yaml": b"name: mine\n"}


@pytest.mark.parametrize("link", ["environments", "environments/prod", "environments/prod/charts"])
def test_a_symlink_is_not_written_through(tmp_path: Path, link: str) -> None:
    build = make_build(tmp_path / "build", CHARTS)
    outside = tmp_path / "outside"
    outside.mkdir()
    path = tmp_path / "deploy" / link
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(outside)
    with pytest.raises(InputError, match="symlink"):
        write_tree(build, tmp_path / "deploy")
    assert list(outside.iterdir()) == []


def _unsigned(build: Path) -> None:
    (build / "bundles/prod/web/provenance.sigstore.json").unlink()


def _signed_twice(build: Path) -> None:
    bundle = build / "bundles/prod/web/provenance.sigstore.json"
    (bundle.parent / "other.sigstore.json").write_bytes(bundle.read_bytes())


def _of_another_chart(build: Path) -> None:
    other = build / "bundles/prod/db/provenance.sigstore.json"
    (build / "bundles/prod/web/provenance.sigstore.json").write_bytes(other.read_bytes())


def _archive_changed(build: Path) -> None:
    write_archive(build / "package/prod/web-1.0.0.tgz", {"web/Chart.yaml": b"name: evil\n"}, mtime=0)


def _no_bundle(build: Path) -> None:
    (build / "bundles/prod/web/provenance.sigstore.json").write_text("{}")


def _not_packaged(build: Path) -> None:
    (build / FILE).unlink()


@pytest.mark.parametrize(
    ("spoil", "error", "said"),
    [
        (_unsigned, InputError, "0 provenance bundles of prod/web"),
        (_signed_twice, InputError, "2 provenance bundles of prod/web"),
        (_of_another_chart, InputError, "of another build"),
        (_archive_changed, FormatError, "the archive is not what"),
        (_no_bundle, FormatError, "not a bundle"),
        (_not_packaged, InputError, "no packaged release"),
    ],
)
def test_a_build_that_does_not_hold_together_changes_nothing(
    tmp_path: Path, spoil: object, error: type[Exception], said: str
) -> None:
    build = make_build(tmp_path / "build", CHARTS)
    assert callable(spoil)
    spoil(build)
    with pytest.raises(error, match=said):
        write_tree(build, tmp_path / "deploy")
    assert not (tmp_path / "deploy").exists()


def test_a_run_that_fails_half_way_leaves_the_environment_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tree(make_build(tmp_path / "first", CHARTS), tmp_path / "deploy")
    before = contents(tmp_path / "deploy")
    other = make_build(tmp_path / "second", {**CHARTS, "db": {"Chart.yaml": "name: other\n"}})
    writes = iter(range(3))

    def full(path: Path, content: bytes) -> None:
        if next(writes, None) is None:
            raise OSError(28, os.strerror(28), str(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    monkeypatch.setattr(tree_module, "write_atomic", full)
    with pytest.raises(OSError, match="No space left"):
        write_tree(other, tmp_path / "deploy")
    assert contents(tmp_path / "deploy") == before
