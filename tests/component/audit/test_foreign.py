"""Artifacts that another tool published: what their record lacks, and their content against a commit."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from tests.component.audit.conftest import Command
from tests.component.audit.releases import Maker

import dhallmark
from dhallmark import strictjson
from dhallmark.errors import ExitCode
from dhallmark.lab.session import Lab
from dhallmark.oci.descriptor import Descriptor, build_manifest
from dhallmark.oci.layout import LayoutWriter
from dhallmark.package.model import FLUX_CONFIG, FLUX_CONTENT
from dhallmark.package.reader import read_archive

pytestmark = pytest.mark.component


def flux_push(maker: Maker, into: Path, *, change: tuple[bytes, bytes] = (b"", b"")) -> None:
    """What `flux push artifact --path ./deploy` makes of one file with all objects of `prod`, as a team writes it."""
    artifact = maker.artifact("flux-platform")
    files = read_archive((maker.build / artifact.archive.path).read_bytes(), what="flux")
    manifests = b"---\n".join(b"# by hand\n" + body for body in files.values()).replace(*change)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("all.yaml")
        info.size, info.mode, info.uname = len(manifests), 0o600, "someone"
        archive.addfile(info, io.BytesIO(manifests))
    layer = gzip.compress(out.getvalue(), 6)
    config = strictjson.dump_compact({"created": "2026-01-02T03:04:05Z"})
    manifest = build_manifest(
        config=Descriptor.of(config, FLUX_CONFIG),
        layers=[Descriptor.of(layer, FLUX_CONTENT)],
        annotations={"org.opencontainers.image.revision": "main@sha1:abc", "org.opencontainers.image.source": "x"},
    )
    writer = LayoutWriter(into)
    writer.add_blob(config)
    writer.add_blob(layer)
    writer.add_manifest(manifest, name="latest")
    writer.finish()


def test_what_flux_pushed_has_the_objects_of_the_commit(maker: Maker, command: Command, tmp_path: Path) -> None:
    flux_push(maker, tmp_path / "layout")
    words = ("audit", tmp_path / "layout", "--source", maker.root)
    unsaid = command(*words)
    assert unsaid.verdict == ("unknown", "indeterminate", "material.missing")
    said = command(*words, "--environment", "prod")
    assert said.verdict == ("equivalent", "accepted", None)
    assert said.audit["lacks"] == ["provenance"]
    ways = {way["name"] for way in said.audit["ways"]}
    assert {"files.layout", "manifest.annotations", "config.content", "gzip.compression"} <= ways


def test_what_flux_pushed_and_the_commit_does_not_yield_is_named(
    maker: Maker, command: Command, tmp_path: Path
) -> None:
    flux_push(maker, tmp_path / "layout", change=(b"replicas: 3", b"replicas: 30"))
    said = command("audit", tmp_path / "layout", "--source", maker.root, "--environment", "prod")
    assert said.verdict == ("different", "rejected", "rebuild.object-different")
    (difference,) = said.audit["differences"]
    assert (difference["object"], difference["field"]) == ("Deployment.apps greeter", "spec.replicas")
    assert said.audit["origin"] == "untold"


def test_a_policy_rejects_it_for_want_of_a_signature_whatever_it_holds(
    maker: Maker, command: Command, tmp_path: Path
) -> None:
    flux_push(maker, tmp_path / "layout")
    words = ("audit", tmp_path / "layout", "--policy", maker.policy)
    said = command(*words)
    assert said.verdict == ("unknown", "rejected", "signature.none")
    said = command(*words, "--source", maker.root, "--environment", "prod")
    assert said.verdict == ("equivalent", "rejected", "signature.none")


def helm_push(lab: Lab, chart: Path, repository: str, *options: str) -> str:
    """Pack a chart by Helm and push it; its digest."""
    with TemporaryDirectory() as folder:
        subprocess.run(["helm", "package", chart, "-d", folder, *options], check=True, capture_output=True)
        (archive,) = Path(folder).glob("greeter-*.tgz")
        done = lab.run(["helm", "push", "--plain-http", archive, f"oci://{repository}"], check=False, cwd=Path(folder))
    assert done.returncode == 0, done.stderr
    return next(line.split()[-1] for line in (done.stdout + done.stderr).splitlines() if line.startswith("Digest:"))


def audit_in(lab: Lab, *words: str | Path, folder: Path) -> tuple[int, str]:
    """`dhallmark audit`, where the lab's registry can be reached."""
    done = lab.run(
        [sys.executable, "-m", "dhallmark.cli.app", "audit", *words, "--plain-http"],
        env={"PYTHONPATH": str(Path(dhallmark.__path__[0]).parent)},
        cwd=folder,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_what_helm_packed_and_pushed_is_the_chart_of_the_commit(maker: Maker, lab: Lab, tmp_path: Path) -> None:
    chart = tmp_path / "greeter"
    shutil.copytree(maker.build / "render" / "prod" / "greeter", chart)
    repository = f"{lab.registry}/helm-push-{os.getpid()}"

    def audit(digest: str) -> tuple[int, str]:
        reference = f"{repository}/greeter@{digest}"
        return audit_in(lab, reference, "--source", maker.root, "--environment", "prod", folder=tmp_path)

    status, said = audit(helm_push(lab, chart, repository))
    assert status == ExitCode.OK, said
    assert "equivalent" in said
    assert "not recorded: provenance" in said
    # They see that nothing but the packing differs.
    assert "agrees: both charts render the same objects" in said
    template = chart / "templates" / "002-deployment-greeter.yaml"
    template.write_text(template.read_text().replace("replicas: 3", "replicas: 30"))
    status, said = audit(helm_push(lab, chart, repository))
    assert status == ExitCode.REJECTED, said
    assert "Deployment.apps greeter spec.replicas: the rebuild has '3', published was '30'" in said
    # Others see the same: Helm renders other objects, and crane reads the same digest.
    assert "helm template v3" in said, said
    assert "agrees: the charts render different objects" in said
    assert "crane digest" in said


def test_every_tag_of_a_repository_is_audited(maker: Maker, lab: Lab, tmp_path: Path) -> None:
    chart = tmp_path / "greeter"
    shutil.copytree(maker.build / "render" / "prod" / "greeter", chart)
    repository = f"{lab.registry}/helm-tags-{os.getpid()}"
    digests = [helm_push(lab, chart, repository), helm_push(lab, chart, repository, "--version", "9.9.9")]
    record = tmp_path / "audit.json"
    words = ("--source", maker.root, "--environment", "prod", "--record", record)
    status, said = audit_in(lab, f"oci://{repository}/greeter", *words, folder=tmp_path)
    assert status == ExitCode.REJECTED, said
    found = {audit["digest"]: audit for audit in json.loads(record.read_text())["audits"]}
    assert [found[digest]["sameness"] for digest in digests] == ["equivalent", "different"]
    assert found[digests[1]]["differences"][0]["published"] == "9.9.9"
