"""Programs of others that look at the same two artifacts: diffoscope, Helm and crane, where they are installed.

They decide nothing. A reader who does not trust the comparison here sees what theirs says, and where it disagrees.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dhallmark.audit.compare import Side
from dhallmark.audit.model import Look
from dhallmark.audit.rebuilt import Rebuilt
from dhallmark.audit.subject import Subject
from dhallmark.package.model import HELM_CONTENT, Artifact

_SECONDS: Final = 300
_MAX_SAID: Final = 4000
"""Characters of what a program prints that are kept."""
ALL: Final = ("diffoscope", "helm", "crane")


@dataclass(frozen=True, slots=True)
class Eyes:
    """Which programs are asked; those that are not installed are passed over."""

    programs: tuple[str, ...] = ALL

    def look(self, rebuilt: Rebuilt, artifact: Artifact, subject: Subject) -> tuple[Look, ...]:
        """What each says of a difference. Never raises for what a program does."""
        published = subject.published
        if published is None:
            return ()
        there = [name for name in self.programs if shutil.which(name)]
        if not there:
            return ()
        side = rebuilt.side(artifact)
        looks: list[Look] = []
        with tempfile.TemporaryDirectory(prefix="dhallmark-eyes-") as folder:
            places = _lay_out(Path(folder), side, published)
            if "diffoscope" in there:
                looks += _diffoscope(*places)
            if "helm" in there and artifact.archive.media_type == HELM_CONTENT:
                looks += _helm(*places)
            if "crane" in there:
                looks += _crane(subject)
        return tuple(looks)


def _lay_out(folder: Path, rebuilt: Side, published: Side) -> tuple[Path, Path]:
    places = folder / "rebuilt.tgz", folder / "published.tgz"
    for place, side in zip(places, (rebuilt, published), strict=True):
        place.write_bytes(side.layer)
    return places


def _diffoscope(rebuilt: Path, published: Path) -> Sequence[Look]:
    done = _run(["diffoscope", "--no-progress", "--text", "-", rebuilt.name, published.name], rebuilt.parent)
    if done is None or done.returncode not in (0, 1):
        return [Look(program="diffoscope")]
    # The rebuilt layer differs from the published one, or the manifests do.
    differs = rebuilt.read_bytes() != published.read_bytes()
    agrees = (done.returncode == 1) == differs
    return [
        Look(program="diffoscope", version=_version("diffoscope", "--version"), agrees=agrees, said=_cut(done.stdout))
    ]


def _helm(rebuilt: Path, published: Path) -> Sequence[Look]:
    """What both charts render, by Helm itself."""
    sides = [_run(["helm", "template", "audit", place.name], place.parent) for place in (rebuilt, published)]
    if sides[0] is None or sides[1] is None:
        return [Look(program="helm template", said=f"it did not end in {_SECONDS} s")]
    version = _version("helm", "version", "--template", "{{.Version}}")
    if sides[1].returncode != 0:
        return [Look(program="helm template", version=version, agrees=True, said=_cut(sides[1].stderr))]
    same = sides[0].stdout == sides[1].stdout
    said = "both charts render the same objects" if same else "the charts render different objects"
    return [Look(program="helm template", version=version, agrees=not same, said=said)]


def _crane(subject: Subject) -> Sequence[Look]:
    """The digest that the registry serves for the reference, by another client; of a registry without TLS as well."""
    if subject.digest is None or "@" not in subject.subject:
        return ()
    done = _run(["crane", "digest", "--insecure", subject.subject], Path("/"))
    if done is None or done.returncode != 0:
        return [Look(program="crane digest", said=_cut(done.stderr.strip()) if done is not None else "")]
    said = done.stdout.strip()
    return [
        Look(program="crane digest", version=_version("crane", "version"), agrees=said == subject.digest, said=said)
    ]


def _run(command: Sequence[str], directory: Path) -> subprocess.CompletedProcess[str] | None:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(directory), "LANG": "C.UTF-8"}
    try:
        return subprocess.run(
            command, cwd=directory, env=environment, capture_output=True, text=True, errors="replace",
            timeout=_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None


def _version(*command: str) -> str:
    done = _run(command, Path("/"))
    return done.stdout.strip().splitlines()[0][:100] if done is not None and done.stdout.strip() else ""


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_SAID else f"{text[:_MAX_SAID]}\n… ({len(text)} characters)"
