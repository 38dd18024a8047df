"""Attaching an auditor's signed statements to the artifact that they are about."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dhallmark.audit.predicate import REBUILD_V1
from dhallmark.audit.statement import require_auditor
from dhallmark.config.policy import Policy
from dhallmark.errors import FormatError, VerdictError
from dhallmark.oci.client import Attachment, Registry
from dhallmark.oci.descriptor import BUNDLE_V0_3, bundle_annotations, split_repository
from dhallmark.statement import VSA_V1, Statement
from dhallmark.verdict import Verdict
from dhallmark.verify.bundle import verify_bundle
from dhallmark.verify.identities import managed_keys
from dhallmark.verify.policy import demands
from dhallmark.verify.reference import Reference, verify_in
from dhallmark.verify.terms import Terms
from dhallmark.verify.trust import TrustRoot


async def attach_audit(
    bundles: Sequence[bytes],
    reference: Reference,
    *,
    policy: Policy,
    trust: TrustRoot | None,
    subject_name: str = "",
    plain_http: bool = False,
    registry_ca: Path | None = None,
) -> Verdict:
    """Attach `bundles`, signed summaries and rebuild statements, to what `reference` names by digest; the verdict then.

    Nothing is attached unless all may be. Raises VerdictError where a bundle does not verify, SigningError where one
    that is not good was signed by an identity that deploys, FormatError where one is about another artifact or of
    another type, RegistryError.
    """
    digest = reference.digest
    terms = Terms(trust, tuple(managed_keys(policy).values()), demands(policy))
    attachments: list[Attachment] = []
    for bundle in bundles:
        result = verify_bundle(bundle, terms, name="audit")
        if result.statement is None or result.identity is None:
            raise VerdictError(result.verdict, hint="nothing was attached")
        _require(result.statement, reference)
        require_auditor(result.statement, result.identity, policy)
        # Its time is that of the first moment of all: attached twice, it is there once.
        annotations = bundle_annotations(predicate_type=result.statement.predicate_type, created=0)
        attachments.append(Attachment(artifact_type=BUNDLE_V0_3, layer=bundle, annotations=annotations))
    if digest is None:
        raise FormatError("an audit is about a digest, not a tag")
    host, path = split_repository(reference.repository)
    async with Registry(host, plain_http=plain_http, ca=registry_ca) as registry:
        subject = (await registry.get_manifest(path, digest)).descriptor
        await registry.attach_all(path, subject, attachments)
        return await verify_in(registry, reference, policy, trust, subject_name=subject_name)


def _require(statement: Statement, reference: Reference) -> None:
    if statement.predicate_type not in (REBUILD_V1, VSA_V1):
        raise FormatError(f"a statement of type {statement.predicate_type}, which is no auditor's")
    if reference.digest not in {subject.digest for subject in statement.subjects}:
        raise FormatError(f"the statement is about another artifact than {reference}")
