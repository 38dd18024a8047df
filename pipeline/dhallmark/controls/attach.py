"""Attaching the signed evidence of a run of controls to the artifact that it is about."""

from __future__ import annotations

from pathlib import Path

from dhallmark.config.policy import Policy
from dhallmark.controls.evidence import require_other_signer
from dhallmark.errors import FormatError, VerdictError
from dhallmark.oci.client import Attachment, Registry
from dhallmark.oci.descriptor import BUNDLE_V0_3, bundle_annotations, split_repository
from dhallmark.verdict import Verdict
from dhallmark.verify.bundle import verify_bundle
from dhallmark.verify.identities import managed_keys
from dhallmark.verify.policy import demands
from dhallmark.verify.reference import Reference, verify_in
from dhallmark.verify.terms import Terms
from dhallmark.verify.trust import TrustRoot


async def attach_evidence(
    bundle: bytes,
    reference: Reference,
    *,
    policy: Policy,
    trust: TrustRoot,
    subject_name: str = "",
    plain_http: bool = False,
    registry_ca: Path | None = None,
) -> Verdict:
    """Attach `bundle`, a signed test result, to the artifact `reference` names by digest; the verdict on it afterwards.

    Raises VerdictError where the bundle does not verify, or its result is not good and whoever signed it deploys;
    FormatError where it is about another artifact, or no test result; RegistryError.
    """
    terms = Terms(trust, tuple(managed_keys(policy).values()), demands(policy))
    result = verify_bundle(bundle, terms, name="test result")
    if result.statement is None or result.identity is None:
        raise VerdictError(result.verdict, hint="nothing was attached")
    require_other_signer(result.statement, result.identity, policy)
    host, path = split_repository(reference.repository)
    digest = reference.digest
    if digest is None or digest not in {subject.digest for subject in result.statement.subjects}:
        raise FormatError(f"the test result is about another artifact than {reference}")
    async with Registry(host, plain_http=plain_http, ca=registry_ca) as registry:
        subject = (await registry.get_manifest(path, digest)).descriptor
        # Its time is that of the first moment of all: attached twice, it is there once.
        annotations = bundle_annotations(predicate_type=result.statement.predicate_type, created=0)
        attachment = Attachment(artifact_type=BUNDLE_V0_3, layer=bundle, annotations=annotations)
        await registry.attach_all(path, subject, [attachment])
        return await verify_in(registry, reference, policy, trust, subject_name=subject_name)
