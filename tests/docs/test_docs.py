"""The guides: their commands run as they stand, and their links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dhallmark.errors import ExitCode

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
_BLOCK = re.compile(r"^```sh run(?: exit=(\d+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]+\]\(([^)#:]+)(?:#[^)]*)?\)")


@dataclass(frozen=True, slots=True)
class Block:
    """A block of commands that is marked to be run."""

    line: int
    status: int
    """What it must end with."""
    script: str


def blocks(path: Path) -> Iterator[Block]:
    text = path.read_text()
    for match in _BLOCK.finditer(text):
        yield Block(text.count("\n", 0, match.start()) + 2, int(match[1] or 0), match[2])


def as_script(path: Path) -> str:
    """All blocks as one script: a block that must fail runs in a shell of its own."""
    lines = ["set -euo pipefail"]
    for block in blocks(path):
        lines.append(f"echo '== {path.name}:{block.line}' >&2")
        if block.status:
            lines += [f"status=0; ( set +e; {block.script.strip()}\n) || status=$?", f'[ "$status" = {block.status} ]']
        else:
            lines.append(block.script)
    return "\n".join(lines)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A PATH with `dhallmark`, a home of its own, and no CI around it."""
    programs = tmp_path / "bin"
    programs.mkdir()
    wrapper = programs / "dhallmark"
    wrapper.write_text(
        f'#!/bin/sh\nPYTHONPATH="{ROOT / "pipeline"}" exec "{sys.executable}" -m dhallmark.cli.app "$@"\n'
    )
    wrapper.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "CI_", "GITLAB_"))}
    return {**kept, "PATH": f"{programs}:{kept['PATH']}", "HOME": str(tmp_path), "GIT_CONFIG_GLOBAL": os.devnull}


GUIDES = {
    "quickstart.md": ("did you mean 'entry'?", "6 of 6 artifacts accepted", "artifact.content-mismatch"),
    "keyed-signing.md": (
        "-----BEGIN PUBLIC KEY-----",
        "6 of 6 artifacts accepted",
        "key.outside-validity",
        "signature.invalid",
        "identity.key-mismatch",
        "C1 not applicable: no certificate",
        "controls: accepted",
    ),
    "audit.md": (
        "1 audited: 1 equal",
        "4 audited: 4 equal",
        "Deployment.apps greeter spec.replicas: the rebuild has '3', published was '30'",
        "rebuild.sigstore.json: equal",
        "none of 9 changes matters",
    ),
    "controls.md": ("R9-404", "no referrers API"),
    "gitops.md": (
        "matchOIDCIdentity:",
        "not expressed by Flux: a statement of type https://slsa.dev/provenance/v1",
        "nothing found",
        "interval: 3m   # often enough",
        "0 written, 0 removed",
        "kind: Deployment",
        "artifact.content-mismatch",
    ),
    "layouts.md": (
        "step publish: 1 of release",
        "identity.subject-mismatch",
        "layout.rollback",
        "vsa.sigstore.json: PASSED",
    ),
    "prove.md": ("accepted: environment sandbox", "spec.verify.trustedRoot", "accepted: environment prod"),
    "verify.md": ("accepted: files/web-1.0.0.tgz", "check.none", "signature.none", "2 verified: 2 accepted"),
}
"""What the commands of a guide must have said, for each guide that has some."""


@pytest.mark.component
@pytest.mark.parametrize("guide", GUIDES)
def test_the_commands_of_a_guide_work(guide: str, tmp_path: Path, environment: dict[str, str]) -> None:
    work = tmp_path / "work"
    work.mkdir()
    try:
        done = subprocess.run(
            ["bash", "-c", as_script(DOCS / guide)],
            cwd=work,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=1200,
        )
    finally:
        for lab in (work / "lab", tmp_path / "lab"):
            subprocess.run(["dhallmark", "lab", "down", "--dir", lab], env=environment, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-3000:]
    for said in GUIDES[guide]:
        assert said in done.stdout + done.stderr


def test_every_guide_with_commands_is_run() -> None:
    assert {path.name for path in DOCS.glob("*.md") if list(blocks(path))} == set(GUIDES)


@pytest.mark.parametrize("path", [*DOCS.glob("*.md"), *ROOT.glob("*.md")], ids=lambda path: path.name)
def test_links_lead_to_files_that_exist(path: Path) -> None:
    broken = [link for link in _LINK.findall(path.read_text()) if not (path.parent / link).exists()]
    assert broken == []


def test_every_exit_code_is_explained() -> None:
    text = (DOCS / "exit-codes.md").read_text()
    explained = dict(re.findall(r"^\| (\d+) \| ([A-Z]+) \|", text, re.MULTILINE))
    assert explained == {str(int(code)): code.name for code in ExitCode}


def test_the_example_of_a_failing_block_is_not_lost() -> None:
    """A block marked with an exit code that no pattern matched would be skipped in silence."""
    for path in DOCS.glob("*.md"):
        assert path.read_text().count("```sh run") == len(list(blocks(path)))
