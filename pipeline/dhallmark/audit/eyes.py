"""Programs of others that look at the same two artifacts: diffoscope, Helm and crane, where they are installed.

They decide nothing. A reader who does not trust the comparison here sees what theirs says, and where it disagrees: on
what is different, and on what was set aside as packing.

What was published may be made to harm whoever unpacks it. So each program has a folder of its own that goes with it,
and bounds on time, memory and the size of files.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dhallmark.audit.compare import Comparison, Side
from dhallmark.audit.diffoscope import Differs, Seen
from dhallmark.audit.model import Look
from dhallmark.audit.rebuilt import Rebuilt
from dhallmark.audit.subject import Subject
from dhallmark.errors import FormatError
from dhallmark.files import UnreadableFileError, read_regular
from dhallmark.package.model import HELM_CONTENT, Artifact
from dhallmark.package.reader import DEFAULT_LIMITS
from dhallmark.rlimits import restrict

_SECONDS: Final = 300.0
_MAX_SAID: Final = 4000
"""Characters of what a program prints that are kept."""
_MAX_PRINTED: Final = 64 << 20
"""Bytes that a program may print: more is no answer."""
_LIMITS: Final = {
    # A chart's own limit, and the headers of its archive.
    resource.RLIMIT_FSIZE: DEFAULT_LIMITS.expanded + (16 << 20),
    resource.RLIMIT_DATA: 2 << 30,
    resource.RLIMIT_CORE: 0,
}
_DIFFOSCOPE: Final = (
    "diffoscope",
    "--no-progress",
    # A file that only one side has is shown, and not only listed.
    "--new-file",
    # gzip, tar, and the files in it: an archive inside a chart is one of them, and is not unpacked.
    "--max-container-depth=3",
    "--max-diff-block-lines=100",
    "--max-text-report-size=65536",
)
_FOREIGN_CONTENTS: Final = frozenset({"yaml.formatting", "files.layout", "chart.extras"})
"""Ways that are set aside for other tools' artifacts although the files have other bytes."""
ALL: Final = ("diffoscope", "helm", "crane")


@dataclass(frozen=True, slots=True)
class Eyes:
    """Which programs are asked; those that are not installed are passed over."""

    programs: tuple[str, ...] = ALL

    def look(self, rebuilt: Rebuilt, artifact: Artifact, subject: Subject, found: Comparison) -> tuple[Look, ...]:
        """What each says of the archives, of which `found` was found here. Never raises for what a program does."""
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
                looks += _diffoscope(*places, found=_differs(found, same=side.layer == published.layer))
            if "helm" in there and artifact.archive.media_type == HELM_CONTENT:
                looks += _helm(*places, found=found)
            if "crane" in there:
                looks += _crane(subject, Path(folder))
        return tuple(looks)


def _lay_out(folder: Path, rebuilt: Side, published: Side) -> tuple[Path, Path]:
    places = folder / "rebuilt.tgz", folder / "published.tgz"
    for place, side in zip(places, (rebuilt, published), strict=True):
        place.write_bytes(side.layer)
    return places


def _differs(comparison: Comparison, *, same: bool) -> Differs:
    """What the comparison here found of the archives, in the words for what diffoscope finds."""
    kinds = {one.kind for one in comparison.differences}
    if kinds & {"object", "file"} or _FOREIGN_CONTENTS & {way.name for way in comparison.ways}:
        return Differs.CONTENTS
    if "archive" in kinds:
        return Differs.UNREADABLE
    return Differs.NOTHING if same else Differs.PACKING


def _diffoscope(rebuilt: Path, published: Path, *, found: Differs) -> Sequence[Look]:
    seen = rebuilt.parent / "seen.json"
    done = _run([*_DIFFOSCOPE, f"--json={seen.name}", "--text=-", rebuilt.name, published.name], rebuilt.parent)
    if done is None:
        return [Look(program="diffoscope", said=_NO_ANSWER)]
    try:
        # It writes no file where it finds nothing.
        told = Seen(Differs.NOTHING) if done.status == 0 else Seen.read(read_regular(seen, max_bytes=_MAX_PRINTED))
    except (FormatError, UnreadableFileError) as error:
        return [Look(program="diffoscope", said=_cut(f"it ended with {done.status}: {done.complaint or error}"))]
    version = _version(rebuilt.parent, "diffoscope", "--version").removeprefix("diffoscope ")
    said = f"{told.headline}\n{done.printed}".strip()
    return [Look(program="diffoscope", version=version, agrees=told.differs is found, said=_cut(said))]


def _helm(rebuilt: Path, published: Path, *, found: Comparison) -> Sequence[Look]:
    """What both charts render, by Helm itself."""
    sides = [_run(["helm", "template", "audit", place.name], place.parent) for place in (rebuilt, published)]
    if sides[0] is None or sides[1] is None:
        return [Look(program="helm template", said=_NO_ANSWER)]
    version = _version(rebuilt.parent, "helm", "version", "--template", "{{.Version}}")
    different = _differs(found, same=False) is not Differs.PACKING
    if sides[0].status != 0:
        # What Helm cannot render on either side says nothing of their difference.
        return [Look(program="helm template", version=version, said=_cut(sides[0].complaint))]
    if sides[1].status != 0:
        return [Look(program="helm template", version=version, agrees=different, said=_cut(sides[1].complaint))]
    if sides[0].printed != sides[1].printed:
        said, agrees = "the charts render different objects", different
    else:
        said, agrees = "both charts render the same objects", all(one.kind != "object" for one in found.differences)
    return [Look(program="helm template", version=version, agrees=agrees, said=said)]


def _crane(subject: Subject, folder: Path) -> Sequence[Look]:
    """The digest that the registry serves for the reference, by another client; of a registry without TLS as well."""
    if subject.digest is None or "@" not in subject.subject:
        return ()
    done = _run(["crane", "digest", "--insecure", subject.subject], folder)
    if done is None or done.status != 0:
        return [Look(program="crane digest", said=_NO_ANSWER if done is None else _cut(done.complaint))]
    said = done.printed.strip()
    version = _version(folder, "crane", "version")
    return [Look(program="crane digest", version=version, agrees=said == subject.digest, said=said)]


_NO_ANSWER: Final = f"no answer: it did not end in {_SECONDS:.0f} s, or printed more than {_MAX_PRINTED >> 20} MiB"


@dataclass(frozen=True, slots=True)
class _Done:
    status: int
    printed: str
    complaint: str
    """What it wrote to standard error."""


def _run(command: Sequence[str], folder: Path) -> _Done | None:
    """Run a program in `folder`; None where it gave no whole answer."""
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "TMPDIR": str(temporary),
        "LANG": "C.UTF-8",
    }
    # Files, whose size is bounded, and not pipes, whose reader would hold it all.
    with tempfile.TemporaryFile(dir=folder) as stdout, tempfile.TemporaryFile(dir=folder) as stderr:
        try:
            process = subprocess.Popen(
                command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
                start_new_session=True,
            )  # fmt: skip
        except OSError:
            return None
        try:
            restrict(process.pid, _LIMITS)
            process.wait(timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            return None
        finally:
            # It, and the programs that it started in turn.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if os.fstat(stdout.fileno()).st_size > _MAX_PRINTED:
            return None
        stdout.seek(0)
        stderr.seek(0)
        return _Done(
            status=process.returncode,
            printed=stdout.read().decode(errors="replace"),
            complaint=stderr.read(_MAX_SAID).decode(errors="replace").strip(),
        )


def _version(folder: Path, *command: str) -> str:
    done = _run(command, folder)
    return done.printed.strip().splitlines()[0][:100] if done is not None and done.printed.strip() else ""


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_SAID else f"{text[:_MAX_SAID]}\n… ({len(text)} characters)"
