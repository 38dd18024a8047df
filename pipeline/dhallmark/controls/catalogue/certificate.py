"""Group "certificate and identity": everything is signed as it should be, by someone else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from dhallmark.control import Bench, Control, Group, Signer
from dhallmark.controls.catalogue.expected import by_all
from dhallmark.digest import Digest
from dhallmark.oci.concurrently import concurrently
from dhallmark.reasons import Reason
from dhallmark.verify.parse import parse_bundle


def _signed_by(signer: Signer) -> Callable[[Bench], Awaitable[Digest]]:
    """A mutation that signs every statement of the good artifact again, as `signer`."""

    async def mutate(bench: Bench) -> Digest:
        digest = await bench.forge.copy()
        envelopes = [envelope for bundle in bench.bundles if (envelope := parse_bundle(bundle).envelope) is not None]
        signed = await concurrently([partial(bench.forge.sign, envelope.payload, signer) for envelope in envelopes])
        for bundle in signed:
            await bench.forge.attach(digest, bundle)
        return digest

    return mutate


CONTROLS = (
    Control(
        id="C1",
        group=Group.CERTIFICATE,
        title="wrong identity: the same statements, signed by a workflow of another repository",
        flaw="A consumer whose identity is missing, a wildcard, or a regular expression that is not anchored.",
        mutate=_signed_by(Signer.STRANGER),
        needs_signer=True,
        expect=by_all(Reason.IDENTITY_SUBJECT_MISMATCH),
    ),
    Control(
        id="C2",
        group=Group.CERTIFICATE,
        title="wrong issuer: the same statements, signed by the same subject of another OIDC issuer",
        flaw="A consumer that compares the subject alone: any issuer that Fulcio trusts can say that name.",
        mutate=_signed_by(Signer.FOREIGN),
        needs_signer=True,
        expect=by_all(Reason.IDENTITY_ISSUER_MISMATCH),
    ),
)
