"""`attestation.json`: the provenance bundle that stands beside each chart of the deploy tree."""

from __future__ import annotations

import base64
from pathlib import Path

from dhallmark import strictjson
from dhallmark.errors import FormatError, InputError, Location
from dhallmark.package.model import Artifact
from dhallmark.statement import SLSA_PROVENANCE_V1, Statement, Subject

FILE = "attestation.json"
_MAX_BYTES = 16 * 1024 * 1024


def read_statement(bundle: bytes, *, file: str) -> Statement:
    """The statement in a bundle's envelope. Nothing is verified. Raises FormatError."""
    where = Location(file=file)
    try:
        body = strictjson.parse(bundle, what=file, max_bytes=_MAX_BYTES)
        payload = base64.b64decode(body["dsseEnvelope"]["payload"], validate=True)
        return Statement.parse(payload)
    except FormatError as error:
        raise FormatError(error.message, where=where) from error
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError("not a bundle with a DSSE envelope", where=where) from error


def find_provenance(build: Path, artifact: Artifact) -> bytes:
    """The one provenance bundle of an artifact in a build directory.

    Raises InputError where there is none, several, or one that does not name the artifact's archive, manifest and
    every one of its files with the digests of the record.
    """
    folder = build / "bundles" / artifact.slug
    found: list[tuple[Path, bytes, Statement]] = []
    for path in sorted(folder.glob("*.json")):
        content = path.read_bytes()
        statement = read_statement(content, file=str(path))
        if statement.predicate_type == SLSA_PROVENANCE_V1:
            found.append((path, content, statement))
    if len(found) != 1:
        raise InputError(
            f"{len(found)} provenance bundles of {artifact.slug} where there must be one",
            where=Location(file=str(folder)),
            hint="run `dhallmark attest` and `dhallmark sign`",
        )
    path, content, statement = found[0]
    missing = _expected(artifact) - {(subject.name, subject.digest.hex) for subject in statement.subjects}
    if missing or all(subject.digest != artifact.digest for subject in statement.subjects):
        what = min(missing)[0] if missing else "the manifest"
        raise InputError(
            f"the provenance is of another build: it does not name {what} with its digest",
            where=Location(file=str(path)),
            hint="run `dhallmark attest` and `dhallmark sign` again",
        )
    return content


def _expected(artifact: Artifact) -> set[tuple[str, str]]:
    files = {(file.name, file.sha256) for file in artifact.files}
    return files | {(artifact.archive_name, artifact.archive.sha256)}


def same_subjects(one: Statement, other: Statement) -> bool:
    """Whether two statements are about the same things, whatever order they name them in."""
    return _as_set(one.subjects) == _as_set(other.subjects)


def _as_set(subjects: tuple[Subject, ...]) -> set[tuple[str, str]]:
    return {(subject.name, str(subject.digest)) for subject in subjects}
