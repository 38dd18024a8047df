"""Attaching signed statements to an artifact that is published already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from dhallmark.config.policy import Policy
from dhallmark.errors import FormatError, VerdictError
from dhallmark.identity import Signatory
from dhallmark.oci.client import Attachment, Registry
from dhallmark.oci.descriptor import BUNDLE_V0_3, bundle_annotations, split_repository
from dhallmark.statement import Statement
from dhallmark.verdict import Verdict
from dhallmark.verify.bundle import verify_bundle
from dhallmark.verify.identities import managed_keys
from dhallmark.verify.policy import demands
from dhallmark.verify.reference import Reference, verify_in
from dhallmark.verify.terms import Terms
from dhallmark.verify.trust import TrustRoot

Permit = Callable[[Statement, Signatory, Policy], None]
"""Raises where this statement, by this signer, is not to be attached under this policy."""


async def attach_statements(
    bundles: Sequence[bytes],
    reference: Reference,
    *,
    name: str,
    permit: Permit,
    policy: Policy,
    trust: TrustRoot | None,
    subject_name: str = "",
    plain_http: bool = False,
    registry_ca: Path | None = None,
) -> Verdict:
    """Attach `bundles` to what `reference` names by digest; the verdict on the artifact afterwards.

    Nothing is attached unless all may be. `name` is what a bundle is called in what is said of it. Raises VerdictError
    where a bundle does not verify, FormatError where one is about another artifact, RegistryError, and what `permit`
    raises.
    """
    digest = reference.digest
    if digest is None:
        raise FormatError(f"a {name} is about a digest, not a tag")
    terms = Terms(trust, tuple(managed_keys(policy).values()), demands(policy))
    attachments: list[Attachment] = []
    for bundle in bundles:
        result = verify_bundle(bundle, terms, name=name)
        if result.statement is None or result.identity is None:
            raise VerdictError(result.verdict, hint="nothing was attached")
        permit(result.statement, result.identity, policy)
        if digest not in {subject.digest for subject in result.statement.subjects}:
            raise FormatError(f"the {name} is about another artifact than {reference}")
        # Its time is that of the first moment of all: attached twice, it is there once.
        annotations = bundle_annotations(predicate_type=result.statement.predicate_type, created=0)
        attachments.append(Attachment(artifact_type=BUNDLE_V0_3, layer=bundle, annotations=annotations))
    host, path = split_repository(reference.repository)
    async with Registry(host, plain_http=plain_http, ca=registry_ca) as registry:
        subject = (await registry.get_manifest(path, digest)).descriptor
        await registry.attach_all(path, subject, attachments)
        return await verify_in(registry, reference, policy, trust, subject_name=subject_name)
