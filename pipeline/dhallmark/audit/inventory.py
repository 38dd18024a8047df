"""What there is to audit: the charts of a deploy tree, the artifacts that references and image layouts lead to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dhallmark.audit.subject import Subject
from dhallmark.digest import Digest
from dhallmark.errors import FormatError, InputError, Location
from dhallmark.files import UnreadableFileError, read_regular
from dhallmark.reasons import Reason
from dhallmark.statement import SLSA_PROVENANCE_V1, Statement
from dhallmark.verdict import Check, Outcome, Verdict
from dhallmark.verify.claimed import claimed_payload
from dhallmark.verify.judge import Judge
from dhallmark.verify.parse import MAX_BUNDLE_BYTES
from dhallmark.verify.reference import Reference, Registries
from dhallmark.verify.tree import ATTESTATION, CHART, ENVIRONMENTS, judge_tree

_MAX_FILE = 64 << 20


@dataclass(frozen=True, slots=True)
class Inventory:
    """A deploy tree, read."""

    charts: tuple[Subject, ...]
    """Every chart, umbrellas among them, by its folder; sorted."""
    checks: tuple[Check, ...]
    """Those that are about the tree as a whole."""


def read_tree(tree: Path, judge: Judge | None) -> Inventory:
    """Every chart below `environments/` of the deploy tree `tree`, with the verdict on it. Raises InputError."""
    root = tree / ENVIRONMENTS
    if not root.is_dir():
        raise InputError(
            f"there is no folder {ENVIRONMENTS}",
            where=Location(file=str(tree)),
            hint="`dhallmark gitops write` writes a deploy tree",
        )
    verdict = judge_tree(tree, judge.rules) if judge is not None else None
    parts = {part.subject: part for part in verdict.parts} if verdict is not None else {}
    charts = sorted(path.parent.relative_to(tree).as_posix() for path in root.rglob(CHART))
    found = tuple(_chart(tree, chart, charts, parts.get(chart), judged=judge is not None) for chart in charts)
    return Inventory(found, verdict.checks if verdict is not None else ())


def _chart(tree: Path, chart: str, charts: Sequence[str], verdict: Verdict | None, *, judged: bool) -> Subject:
    inner = [other for other in charts if other.startswith(f"{chart}/")]
    try:
        files = _files(tree, chart, inner)
        bundle = _bundle(tree / chart / ATTESTATION)
    except (UnreadableFileError, OSError) as error:
        failure = Check(name="published", reason=Reason.FILE_UNREADABLE, detail=str(error))
        return Subject(subject=chart, verification=verdict, failure=failure)
    # A chart that the tree's own checks stopped at has no verdict of its own.
    accepted = verdict is not None and verdict.outcome is Outcome.ACCEPTED
    statement = _statement(bundle) if bundle is not None else None
    if statement is None or (judged and not accepted):
        return Subject(subject=chart, verification=verdict, files=files)
    name, digest = _artifact(statement)
    return Subject(
        subject=chart,
        name=name,
        digest=digest,
        verification=verdict,
        provenance=statement.predicate,
        verified=judged,
        provenance_digest=Digest.of(bundle) if bundle is not None else None,
        files=files,
    )


def _files(tree: Path, chart: str, inner: Sequence[str]) -> Mapping[str, bytes]:
    """The chart's own files by their path in the tree: not those of charts in it, nor its attestation."""
    found: dict[str, bytes] = {}
    for path in sorted((tree / chart).rglob("*")):
        name = path.relative_to(tree).as_posix()
        if path.is_dir() or name == f"{chart}/{ATTESTATION}" or any(name.startswith(f"{one}/") for one in inner):
            continue
        found[name] = read_regular(path, max_bytes=_MAX_FILE)
    return found


def _bundle(path: Path) -> bytes | None:
    return read_regular(path, max_bytes=MAX_BUNDLE_BYTES) if path.exists() else None


def _statement(bundle: bytes) -> Statement | None:
    payload = claimed_payload(bundle)
    try:
        statement = Statement.parse(payload) if payload is not None else None
    except FormatError:
        return None
    return statement if statement is not None and statement.predicate_type == SLSA_PROVENANCE_V1 else None


def _artifact(statement: Statement) -> tuple[str, Digest | None]:
    """Name and digest of the artifact in a registry: of its subjects, the one that is no file of the tree."""
    for subject in statement.subjects:
        host = subject.name.partition("/")[0]
        if "/" in subject.name and not subject.name.startswith(f"{ENVIRONMENTS}/") and ("." in host or ":" in host):
            return subject.name, subject.digest
    return "", None


async def with_registry(subject: Subject, registries: Registries) -> Subject:
    """`subject`, knowing where its artifact is in a registry: its materials are there."""
    if not subject.name or subject.digest is None:
        return subject
    reference = Reference(subject.name, "", subject.digest)
    store = await registries.of(reference)
    return replace(subject, store=store, repository=subject.name.partition("/")[2])
