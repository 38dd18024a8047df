"""Rules about deploy trees: a chart and the attestation beside it must be about the same files (G6, G7).

No signature is verified here, which needs a trust root and a policy: see `dhallmark verify --tree`. What an attestation
says that it is about can be compared with the files without either.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from dhallmark.digest import Digest
from dhallmark.errors import FormatError
from dhallmark.gitops.attestation import FILE, read_statement
from dhallmark.gitops.lint.model import Finding

_CHART = "Chart.yaml"


def check_trees(root: Path, paths: Sequence[str]) -> Iterator[Finding]:
    """Compare every chart among `paths` that has an attestation beside it."""
    for path in paths:
        if PurePosixPath(path).name != _CHART:
            continue
        attestation = (root / path).with_name(FILE)
        if attestation.is_file():
            yield from _compare(root, path, attestation)


def _compare(root: Path, path: str, attestation: Path) -> Iterator[Finding]:
    name = str(PurePosixPath(path).with_name(FILE))
    try:
        statement = read_statement(attestation.read_bytes(), file=name)
    except (FormatError, OSError) as error:
        yield _finding(name, f"the attestation cannot be read: {error}")
        return
    named = {subject.name: subject.digest for subject in statement.subjects}
    # The tree may stand below the folder that is linted: names are relative to its own root.
    known = next((key for key in named if path == key or path.endswith(f"/{key}")), None)
    if known is None:
        yield _finding(name, f"the attestation is about other files, and not about {path}")
        return
    base = path[: len(path) - len(known)]
    for subject, digest in named.items():
        if ".." in PurePosixPath(subject).parts or subject.startswith("/"):
            yield _finding(name, f"the attestation names {subject!r}, which leads out of the tree")
            continue
        file = root / f"{base}{subject}"
        if file.is_file() and Digest.of_file(file) != digest:
            yield _finding(name, f"{base}{subject} is not the file that the attestation is about")


def _finding(file: str, message: str) -> Finding:
    return Finding(rule="tree.attestation", file=file, line=1, subject=file, message=message)
