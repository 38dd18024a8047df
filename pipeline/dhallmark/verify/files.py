"""Files on a disk, or digests of files that are elsewhere, with the bundles that are said to be about them.

A file's bundles stand beside it: `web.tgz.sigstore.json`, or `web.tgz.<anything>.sigstore.json` where it has several.
The digest binds a bundle to a file; names of files say only where to look (P16).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from dhallmark.digest import Digest
from dhallmark.files import UnreadableFileError, digest_regular, read_regular
from dhallmark.reasons import Reason
from dhallmark.verdict import Check, Verdict
from dhallmark.verify.judge import Evidence
from dhallmark.verify.parse import MAX_BUNDLE_BYTES
from dhallmark.verify.policy import ArtifactFacts

SUFFIXES: Final = (".sigstore.json", ".sigstore")
"""Ends of the names of bundles. Source: sigstore's client specification, "Bundle", and what clients wrote before it."""
MAX_FILE_BYTES: Final = 64 * 1024**3
"""Of an artifact. A file that says it is larger has holes, and hashing it would not end."""
MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
"""Of a file that is kept for signatures over its bytes that no SHA-256 digest will do for, such as Ed25519's."""
MAX_BUNDLES: Final = 256
"""Of one file."""
MAX_BUNDLES_BYTES: Final = 64 * 1024 * 1024
"""Of all bundles of one file."""


class FileTarget(NamedTuple):
    """A file, or the digest of one, with its bundles. Paths are text: thousands of these go to other processes."""

    subject: str
    """What the verdict calls it."""
    artifact: str | Digest
    """Path of the file, or the digest where the file is elsewhere."""
    bundles: tuple[str, ...]
    """Paths of the bundles."""
    name: str | None = None
    """The name that the statements must give it; any where this is None."""


def is_bundle(name: str) -> bool:
    """True for the name of a bundle."""
    return name.endswith(SUFFIXES)


def bundles_beside(path: Path) -> tuple[str, ...]:
    """The bundles of the file `path` that stand in its folder, sorted. Raises UnreadableFileError."""
    try:
        with os.scandir(path.parent) as entries:
            names = [entry.name for entry in entries]
    except OSError as error:
        raise UnreadableFileError(f"{path.parent} cannot be listed: {error.strerror}") from error
    beside = sorted(name for name in names if name.startswith(f"{path.name}.") and is_bundle(name))
    odd = next((name for name in beside if not name.isprintable()), None)
    if odd is not None:
        raise UnreadableFileError(f"the name of a bundle beside {path} cannot be printed: {odd!a}")
    return tuple(str(path.parent / name) for name in beside)


def gather_file(target: FileTarget, *, stopped: Callable[[], bool] = lambda: False) -> Evidence:
    """What there is about a file: its digest and its bundles. Never raises.

    `stopped` is asked while a large file is read: once it says so, nobody waits for the answer any more.
    """
    checks: list[Check] = []
    try:
        digest, content = (
            (target.artifact, None)
            if isinstance(target.artifact, Digest)
            else digest_regular(target.artifact, max_bytes=MAX_FILE_BYTES, keep=MAX_MESSAGE_BYTES, stopped=stopped)
        )
        checks.append(Check(name="artifact.content", evidence={"digest": digest}))
        found = dict(_bundles(target))
    except UnreadableFileError as error:
        name = "bundle.file" if checks else "artifact.content"
        checks.append(Check(name=name, reason=Reason.FILE_UNREADABLE, detail=str(error)))
        return Evidence(subject=target.subject, checks=tuple(checks))
    if not found:
        detail = "no bundle was given, and none stands beside the file"
        checks.append(Check(name="bundle.file", reason=Reason.SIGNATURE_NONE, detail=detail))
    facts = ArtifactFacts(name=target.name, digest=digest, archive=None)
    return Evidence(subject=target.subject, checks=tuple(checks), facts=facts, bundles=found, content=content)


def _bundles(target: FileTarget) -> Iterator[tuple[str, bytes]]:
    """Each bundle by its path. One that cannot be read leaves the rest without weight: it may be a failed test."""
    if len(target.bundles) > MAX_BUNDLES:
        raise UnreadableFileError(f"{len(target.bundles)} bundles; at most {MAX_BUNDLES} are read")
    left = MAX_BUNDLES_BYTES
    for path in target.bundles:
        content = read_regular(path, max_bytes=min(MAX_BUNDLE_BYTES, left))
        left -= len(content)
        yield f"bundle {path}", content


def unreadable(subject: str, detail: str) -> Verdict:
    """The verdict on something that cannot be read."""
    return Verdict.of(subject, checks=[Check(name="artifact.content", reason=Reason.FILE_UNREADABLE, detail=detail)])
