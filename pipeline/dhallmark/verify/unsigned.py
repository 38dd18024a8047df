"""The policy on a release before its first signature: on the unsigned statements and the files they are about.

Any statement by an authorised identity lets a deployment through in Flux and cosign, whatever it says (ADR 1,
point 6). So what the policy would refuse must never be signed: this runs first, with the code that runs last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dhallmark.config.policy import Policy
from dhallmark.digest import Digest
from dhallmark.errors import FormatError
from dhallmark.package.model import Artifact
from dhallmark.reasons import Reason
from dhallmark.statement import LINK_V0_3, SLSA_PROVENANCE_V1, DigestAlgorithmError, Statement
from dhallmark.verdict import Verdict
from dhallmark.verify.layouts.inspections import Product
from dhallmark.verify.layouts.layer import Layer, read_layer
from dhallmark.verify.layouts.unsigned import judge_unsigned
from dhallmark.verify.policy import ArtifactFacts, PolicyJudge, Unsigned
from dhallmark.verify.refusal import Refusal, border
from dhallmark.verify.run import Run


def evaluate_unsigned(
    statements: Mapping[str, bytes],
    policy: Policy,
    artifact: Artifact,
    *,
    build: Path,
    name: str,
    layout: bytes | None = None,
) -> Verdict:
    """The verdict that `artifact` would get if `statements` were signed by an identity that the policy allows.

    `statements` maps where each came from (for the report) to its payload, the shared links among them; `build` is the
    build directory; `name` the artifact's name in its statements: its final repository with the registry; `layout` the
    bundle of the layout that it will be judged by, where the policy wants one. Never raises: a file that is missing or
    a statement that cannot be read is a finding.
    """
    run = Run()
    run.step("artifact.archive", lambda: _require_file(build, artifact))
    claims = []
    for source, payload in statements.items():
        statement = run.step("statement.read", lambda source=source, payload=payload: _read(source, payload))  # type: ignore[misc]
        if statement is not None:
            run.step("subject.own", lambda statement=statement: _require_own(statement, artifact))  # type: ignore[misc]
            claims.append(Unsigned(source=source, statement=statement))
    provenance = [claim.statement for claim in claims if claim.statement.predicate_type == SLSA_PROVENANCE_V1]
    run.step("provenance.files", lambda: _require_subjects(provenance, artifact))
    facts = ArtifactFacts(name=name, digest=artifact.manifest_digest, archive=artifact.archive.digest)
    rules = PolicyJudge(policy)
    judgement = rules.judge(claims, facts)
    parts = list(judgement.rules)
    if policy.layout is not None:
        product = Product(
            name=name, digest=facts.digest, archive=facts.archive, layer=_layer(build / artifact.archive.path)
        )
        found = [claim.statement for claim in claims]
        parts.append(judge_unsigned(layout, policy.layout, found, product, now=rules.clock()))
    return Verdict.of(
        f"{name}@{artifact.manifest_digest} (unsigned)",
        checks=[*run.checks, *judgement.checks],
        parts=parts,
        ignored=judgement.ignored,
    )


def _layer(archive: Path) -> Layer | None:
    try:
        return read_layer(archive.read_bytes())
    except OSError:
        return None  # `artifact.archive` has said so


def _read(source: str, payload: bytes) -> Statement:
    try:
        return Statement.parse(payload)
    except DigestAlgorithmError as error:
        raise Refusal(Reason.SUBJECT_ALGORITHM, f"{source}: {error.message}") from error
    except FormatError as error:
        raise Refusal(Reason.STATEMENT_MALFORMED, f"{source}: {error.message}") from error


def _require_own(statement: Statement, artifact: Artifact) -> None:
    """Refuse a statement that is also about something else: once signed, it would let that be deployed, too (P5).

    The products of links are files of the whole release: who makes them compares them with what was recorded.
    """
    if statement.predicate_type == LINK_V0_3:
        return
    own = {
        artifact.manifest_digest,
        artifact.archive.digest,
        *(Digest.from_hex(file.sha256) for file in artifact.files),
    }
    stray = next((subject for subject in statement.subjects if subject.digest not in own), None)
    if stray is not None:
        raise Refusal(
            Reason.SUBJECT_MISMATCH,
            f"a statement of type {statement.predicate_type} is also about {stray.name[:200]!r}, which is another's",
            expected=artifact.manifest_digest,
            found=stray.digest,
        )


def _require_file(build: Path, artifact: Artifact) -> None:
    """Refuse an archive that is not the one that was packaged."""
    with border(Reason.ARTIFACT_CONTENT_MISMATCH, artifact.archive.path):
        found = Digest.of_file(build / artifact.archive.path)
        if found != artifact.archive.digest:
            raise Refusal(
                Reason.ARTIFACT_CONTENT_MISMATCH,
                f"{artifact.archive.path} changed after it was packaged",
                expected=artifact.archive.digest,
                found=found,
            )


def _require_subjects(provenance: Sequence[Statement], artifact: Artifact) -> None:
    """Refuse provenance that leaves out a file of the artifact, or names it with another digest."""
    wanted = {(file.name, Digest.from_hex(file.sha256)) for file in artifact.files}
    for statement in provenance:
        missing = wanted - {(subject.name, subject.digest) for subject in statement.subjects}
        if missing:
            file, digest = min(missing)
            raise Refusal(
                Reason.ARTIFACT_CONTENT_MISMATCH,
                f"the provenance does not name {file} with its digest",
                expected=digest,
            )
