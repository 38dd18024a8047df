"""Signatures in cosign's older format, as the verifier reads them."""

from __future__ import annotations

from dhallmark.controls.forging.authorities import Forgers
from dhallmark.controls.forging.legacy import legacy_signature, legacy_tag
from dhallmark.digest import Digest
from dhallmark.identity import Identity
from dhallmark.verdict import Outcome
from dhallmark.verify.legacy import LegacySignature, legacy_layers, verify_legacy
from dhallmark.verify.terms import Terms
from dhallmark.verify.trust import TrustRoot


def test_it_is_accepted_and_names_the_artifact(forgers: Forgers, trust: TrustRoot, signer: Identity) -> None:
    artifact = Digest.of(b"web")
    manifest, (_, document) = legacy_signature(forgers, signer, repository="registry.test/web", digest=artifact)
    (layer,) = legacy_layers([manifest])
    legacy = LegacySignature(media_type=layer.media_type, annotations=layer.annotations, content=document)
    result = verify_legacy(legacy, Terms(trust), name="signature")
    assert result.verdict.outcome is Outcome.ACCEPTED, result.verdict.summary()
    assert result.statement is not None
    assert [subject.digest for subject in result.statement.subjects] == [artifact]
    assert isinstance(result.identity, Identity)
    assert result.identity.subject == signer.subject
    assert legacy_tag(artifact) == f"sha256-{artifact.hex}.sig"
