"""A folder of artifacts and bundles: which bundle is about which file.

1. What ends like a bundle (`.sigstore.json`, `.sigstore`) is one; every other file is an artifact.
2. A bundle belongs to the file beside it whose name its own starts with, the longest such name: `web.tgz.sigstore.json`
   and `web.tgz.provenance.sigstore.json` to `web.tgz`.
3. A bundle without such a neighbour belongs to every file of the folder whose digest is among its subjects.
4. A file without a bundle is an unsigned artifact, and a bundle without a file is about something that cannot be
   looked at. Links, pipes and names that cannot be printed are findings, too: nothing in the folder is passed over.
"""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from dhallmark.digest import Digest
from dhallmark.files import UnreadableFileError, digest_regular, read_regular
from dhallmark.reasons import Reason
from dhallmark.verdict import Check, Verdict
from dhallmark.verify.claimed import claimed_digests
from dhallmark.verify.files import MAX_FILE_BYTES, FileTarget, is_bundle, unreadable
from dhallmark.verify.parse import MAX_BUNDLE_BYTES

MAX_FILES: Final = 200_000
MAX_DEPTH: Final = 64


def read_folder(folder: Path, *, name: str | None = None) -> Iterator[FileTarget | Verdict]:
    """What is to be verified in `folder`, in the order of names, and verdicts on what cannot be. Never raises.

    `name` is what statements must call the artifacts. Nothing comes of an empty folder: whoever asked for it must say
    that nothing was checked.
    """
    files: list[str] = []
    problems: list[Verdict] = []
    try:
        for path, problem in _walk(folder, depth=0):
            if len(files) + len(problems) >= MAX_FILES:
                problems.append(unreadable(str(folder), f"more than {MAX_FILES} files"))
                break
            if problem:
                problems.append(unreadable(_shown(path), problem))
            else:
                files.append(path)
    except OSError as error:
        problems.append(unreadable(_shown(error.filename or str(folder)), error.strerror or "cannot be listed"))
    yield from problems
    artifacts = [path for path in files if not is_bundle(path)]
    beside, alone = _neighbours(artifacts, [path for path in files if is_bundle(path)])
    about, lost = _by_subject(artifacts, alone) if alone else ({}, [])
    for path in artifacts:
        yield FileTarget(
            subject=path, artifact=path, bundles=tuple(sorted({*beside[path], *about.get(path, ())})), name=name
        )
    yield from lost


def has_more_files(folder: Path, *, than: int) -> bool:
    """True for a folder with more artifacts than that; it is not looked through any further. Never raises."""
    try:
        artifacts = (path for path, problem in _walk(folder, depth=0) if not problem and not is_bundle(path))
        return next(islice(artifacts, than, None), None) is not None
    except OSError:
        return False


def _walk(folder: Path | str, *, depth: int) -> Iterator[tuple[str, str]]:
    """Path of each entry below `folder`, and what is wrong with it, if anything. Raises OSError."""
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        mode = entry.stat(follow_symlinks=False).st_mode
        if not entry.name.isprintable():
            yield entry.path, "a name that cannot be printed"
        elif stat.S_ISREG(mode):
            yield entry.path, ""
        elif not stat.S_ISDIR(mode):
            yield entry.path, "neither a file nor a folder"
        elif depth == MAX_DEPTH:
            yield entry.path, f"nested deeper than {MAX_DEPTH}"
        else:
            yield from _walk(entry.path, depth=depth + 1)


def _neighbours(artifacts: Sequence[str], bundles: Sequence[str]) -> tuple[Mapping[str, list[str]], list[str]]:
    """The bundles of each artifact by name, and those that no artifact stands beside."""
    known = set(artifacts)
    found: dict[str, list[str]] = defaultdict(list)
    alone: list[str] = []
    for bundle in bundles:
        name = bundle
        while name and name not in known:
            head, dot, last = name.rpartition(".")
            name = head if dot and "/" not in last else ""
        if name:
            found[name].append(bundle)
        else:
            alone.append(bundle)
    return found, alone


def _by_subject(artifacts: Sequence[str], bundles: Sequence[str]) -> tuple[Mapping[str, list[str]], list[Verdict]]:
    """The bundles of each artifact by what they claim to be about, and verdicts on those about none of them."""
    claimed: dict[Digest, list[str]] = defaultdict(list)
    for bundle in bundles:
        try:
            content = read_regular(Path(bundle), max_bytes=MAX_BUNDLE_BYTES)
        except UnreadableFileError:
            continue  # Told below, with those that are about nothing here.
        for digest in set(claimed_digests(content)):
            claimed[digest].append(bundle)
    found: dict[str, list[str]] = {}
    for artifact in artifacts:
        try:
            digest, _ = digest_regular(artifact, max_bytes=MAX_FILE_BYTES)
            found[artifact] = claimed.get(digest, [])
        except UnreadableFileError:
            continue  # Told when it is verified.
    used = {bundle for some in found.values() for bundle in some}
    return found, [_about_nothing(bundle) for bundle in bundles if bundle not in used]


def _about_nothing(bundle: str) -> Verdict:
    detail = "it is about no file of the folder: give its artifact, or the artifact's digest"
    return Verdict.of(bundle, checks=[Check(name="artifact.content", reason=Reason.FILE_UNREADABLE, detail=detail)])


def _shown(path: str) -> str:
    return path if path.isprintable() else ascii(path)
