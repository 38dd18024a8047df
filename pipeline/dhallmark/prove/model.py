"""The proof as a file: schema `dhallmark.dev/proof/v1`. It holds no clock, no host of this machine, no secret."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field

from dhallmark.config.base import Model, Name
from dhallmark.controls.report import Finding, Status
from dhallmark.digest import Digest
from dhallmark.package.model import DigestText
from dhallmark.prove.prove import CONSUMERS, Proof, controllers_of
from dhallmark.record import Record
from dhallmark.report.model import ControlStatus
from dhallmark.report.records import VerdictRecord
from dhallmark.verdict import Outcome

SCHEMA = "dhallmark.dev/proof/v1"


class FluxRecord(Model):
    """One version of Flux."""

    version: str
    controllers: dict[str, str]
    """The versions of the controllers whose definitions the API server had."""
    consumer: str
    """Its verification code."""


class ControllerRecord(Model):
    """Whether the controller itself ran."""

    ran: bool
    """False where its verification code alone was asked."""
    version: str = ""
    substitution: str = ""
    """What of it is not what is released; empty where nothing is known to differ."""


class ProvedRecord(Model):
    """One artifact that the proof is about."""

    source: str
    repository: str
    digest: DigestText


class RefusalRecord(Model):
    """One artifact that had to be refused, by one version of Flux's code."""

    source: str
    control: str
    title: str
    consumer: str
    version: str
    status: ControlStatus
    found: str
    """What was said, as a verdict: `rejected(signature.none)`."""
    words: str
    """The consumer's own."""

    @classmethod
    def of(cls, source: str, finding: Finding) -> Self:
        return cls(
            source=source,
            control=finding.case.id,
            title=finding.case.title,
            consumer=finding.consumer,
            version=finding.version,
            status=finding.status.value,
            found=str(finding.mutant),
            words=finding.mutant.words if finding.status is Status.PASSED else finding.explanation,
        )


class ProofRecord(Record):
    """What `dhallmark prove` prints."""

    schema_: Annotated[Literal["dhallmark.dev/proof/v1"], Field(alias="schema")] = "dhallmark.dev/proof/v1"
    environment: Name
    outcome: Outcome
    reason: str | None = None
    """The stable code of the first reason that decided; not there where it was accepted."""
    kubernetes: str
    """Version of the API server; empty where it did not answer."""
    flux: tuple[FluxRecord, ...]
    controller: ControllerRecord
    manifests: DigestText
    """Of the names and digests of all files, in order."""
    policy: DigestText
    trusted_root: DigestText
    artifacts: tuple[ProvedRecord, ...]
    refusals: tuple[RefusalRecord, ...]
    unproved: tuple[str, ...]
    """What is among the manifests and nothing is proved of."""
    verdict: VerdictRecord

    @classmethod
    def of(cls, proof: Proof) -> Self:
        question = proof.question
        controller = question.controller
        return cls(
            environment=question.environment,
            outcome=proof.verdict.outcome,
            reason=proof.verdict.reason,
            kubernetes=proof.kubernetes,
            flux=tuple(
                FluxRecord(version=flux.value, controllers=dict(controllers_of(flux)), consumer=CONSUMERS[flux])
                for flux in question.flux
            ),
            controller=ControllerRecord(ran=False)
            if controller is None
            else ControllerRecord(ran=True, version=controller.version, substitution=controller.substitution),
            manifests=question.manifests.digest,
            policy=Digest.of_file(question.policy),
            trusted_root=Digest.of_file(question.trusted_root),
            artifacts=tuple(
                ProvedRecord(source=one.source, repository=one.repository, digest=one.digest) for one in proof.proved
            ),
            refusals=tuple(RefusalRecord.of(source, finding) for source, finding in proof.findings),
            unproved=proof.unproved,
            verdict=VerdictRecord.model_validate(proof.verdict.to_json()),
        )
