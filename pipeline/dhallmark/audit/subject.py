"""What is audited, with all that was gathered about it: the artifact, the verdict on its statements, its provenance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio.to_thread

from dhallmark.audit.compare import Side
from dhallmark.config.policy import Format
from dhallmark.digest import Digest
from dhallmark.errors import FormatError, RegistryError
from dhallmark.oci.descriptor import Manifest, split_repository
from dhallmark.oci.store import Store, StoreError
from dhallmark.reasons import Reason
from dhallmark.statement import SLSA_PROVENANCE_V1, Statement
from dhallmark.verdict import Check, Outcome, Verdict
from dhallmark.verify.artifact import gather
from dhallmark.verify.claimed import claimed_payload, claimed_type
from dhallmark.verify.judge import Evidence, Judge
from dhallmark.verify.reference import Reference, Registries, judge_reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One artifact to audit."""

    subject: str
    """The reference by digest, or the chart's folder in a deploy tree."""
    name: str = ""
    """Its name in its statements: its repository, with the registry."""
    digest: Digest | None = None
    """Of its manifest, where that is known."""
    verification: Verdict | None = None
    """On its statements; None where no policy was given."""
    provenance: Mapping[str, Any] | None = None
    """The predicate of its provenance. None where there is none, or where a policy was given and did not accept it."""
    verified: bool = False
    """Whether `provenance` was accepted."""
    provenance_digest: Digest | None = None
    """Of the bundle that holds it."""
    published: Side | None = None
    """The artifact as it was published; None where it was not read."""
    files: Mapping[str, bytes] | None = None
    """Of a chart in a deploy tree, its files by their path there."""
    failure: Check | None = None
    """Why it could not be read."""
    store: Store | None = field(default=None, repr=False)
    """Where it is, and with it its materials."""
    repository: str = ""
    """Its repository in the store, without the registry."""


async def registry_subject(
    reference: Reference, registries: Registries, judge: Judge | None, *, name: str = ""
) -> Subject:
    """Gather everything about an artifact in a registry. Raises nothing but cancellation."""
    _, path = split_repository(reference.repository)
    name = name or reference.repository
    registry = await registries.of(reference)
    gathered: list[Evidence] = []

    async def judging(evidence: Evidence) -> Verdict:
        gathered.append(evidence)
        if judge is None:
            return Verdict.of(evidence.subject, checks=evidence.checks)
        return await anyio.to_thread.run_sync(judge.judge, evidence)

    verdict = await judge_reference(
        registry,
        reference,
        judging,
        subject_name=name,
        unpack=judge is not None and judge.needs_layer,
        formats=judge.policy.formats if judge is not None else (Format.BUNDLE,),
    )
    return await _subject(
        str(reference), verdict, gathered[0] if gathered else None, registry, path, name=name, judged=judge is not None
    )  # fmt: skip


async def layout_subject(store: Store, digest: Digest, judge: Judge | None, *, subject: str, name: str) -> Subject:
    """Gather everything about an artifact of an OCI image layout. Raises nothing but cancellation."""
    evidence = await gather(
        store, "", digest, subject=subject, name=name or None, unpack=judge is not None and judge.needs_layer
    )
    verdict = (
        Verdict.of(subject, checks=evidence.checks)
        if judge is None
        else await anyio.to_thread.run_sync(judge.judge, evidence)
    )
    return await _subject(subject, verdict, evidence, store, "", name=name, judged=judge is not None)


async def _subject(
    called: str, verdict: Verdict, evidence: Evidence | None, store: Store, path: str, *, name: str, judged: bool
) -> Subject:
    facts = evidence.facts if evidence is not None else None
    verification = verdict if judged else None
    if evidence is None or facts is None:
        failure = next((check for check in verdict.walk() if check.reason is not None), None)
        return Subject(
            subject=evidence.subject if evidence else called, name=name, verification=verification, failure=failure,
            store=store, repository=path,
        )  # fmt: skip
    source = accepted_provenance(verdict) if judged else _any_provenance(evidence)
    bundle = evidence.bundles.get(source) if source else None
    payload = claimed_payload(bundle) if isinstance(bundle, bytes) else None
    failure = None
    published = None
    statement = Statement.parse(payload) if payload is not None else None
    try:
        published = await read_side(store, path, facts.digest)
    except (RegistryError, StoreError) as error:
        failure = Check(name="published", reason=Reason.REGISTRY_UNAVAILABLE, detail=error.message)
    except FormatError as error:
        failure = Check(name="published", reason=Reason.FORMAT_UNSUPPORTED, detail=error.message)
    return Subject(
        subject=evidence.subject,
        name=name or _named(statement, facts.digest),
        digest=facts.digest,
        verification=verification,
        provenance=statement.predicate if statement is not None else None,
        verified=judged and statement is not None,
        provenance_digest=Digest(source.removeprefix("bundle ")) if statement is not None and source else None,
        published=published,
        failure=failure,
        store=store,
        repository=path,
    )


def _named(statement: Statement | None, digest: Digest) -> str:
    """What a statement calls the artifact: a copy in an image layout has no name of its own."""
    subjects = statement.subjects if statement is not None else ()
    return next((subject.name for subject in subjects if subject.digest == digest), "")


async def read_side(store: Store, repository: str, digest: Digest) -> Side:
    """An artifact of one layer, whole. Raises what the store raises, and FormatError for anything but one layer."""
    manifest: Manifest = await store.get_manifest(repository, digest)
    blobs = manifest.blobs()
    if len(blobs) != 2:  # noqa: PLR2004  config and layer
        raise FormatError(f"{digest} is no artifact of one layer: nothing that is rebuilt here is like it")
    config, layer = [await store.get_blob(repository, blob.digest) for blob in blobs]
    return Side(manifest, config, layer)


def accepted_provenance(verdict: Verdict) -> str | None:
    """Where the provenance was found that the policy accepted, as the verdict calls it."""
    for rule in _below(verdict):
        if rule.subject == SLSA_PROVENANCE_V1 and rule.outcome is Outcome.ACCEPTED:
            return next((part.subject for part in rule.parts), None)
    return None


def _any_provenance(evidence: Evidence) -> str | None:
    """Where a bundle was found that claims to be provenance of this artifact; nobody vouches for it."""
    for source, bundle in evidence.bundles.items():
        if isinstance(bundle, bytes) and claimed_type(bundle) == SLSA_PROVENANCE_V1:
            return source
    return None


def _below(verdict: Verdict) -> list[Verdict]:
    return [verdict, *(inner for part in verdict.parts for inner in _below(part))]
