"""Rebuilds that were made elsewhere, by the program that is run in the recorded image."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.component.audit.conftest import Command
from tests.component.audit.releases import Maker

import dhallmark

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
    assert said.audit["rebuild"]["conditions"] == {"hostname": "rebuild.invalid"}
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
