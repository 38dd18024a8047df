"""Group "statement, layout, policy": signed by the right identity, about the right artifact, saying the wrong thing."""

from __future__ import annotations

from dhallmark.control import Bench, Control, Group, Signer
from dhallmark.controls.catalogue.expected import by_all
from dhallmark.digest import Digest
from dhallmark.reasons import Reason
from dhallmark.statement import SLSA_PROVENANCE_V1, Statement, Subject
from dhallmark.verify.parse import parse_bundle

NOTE_TYPE = "https://dhallmark.dev/control/note/v1"
"""A predicate type that no policy asks for."""


def predicate_type(bundle: bytes) -> str:
    """The type of the statement in one of the bench's bundles."""
    envelope = parse_bundle(bundle).envelope
    return Statement.parse(envelope.payload).predicate_type if envelope else ""


async def _provenance_absent(bench: Bench) -> Digest:
    digest = await bench.forge.copy()
    for bundle in bench.bundles:
        if predicate_type(bundle) != SLSA_PROVENANCE_V1:
            await bench.forge.attach(digest, bundle)
    return digest


async def _other_type_alone(bench: Bench) -> Digest:
    digest = await bench.forge.copy()
    note = Statement.build(
        predicate_type=NOTE_TYPE,
        subjects=[Subject(bench.name, bench.good)],
        predicate={"note": "says nothing about how the artifact was made"},
    )
    await bench.forge.attach(digest, await bench.forge.sign(note.payload, Signer.RELEASE))
    return digest


CONTROLS = (
    Control(
        id="P1-absent",
        group=Group.STATEMENT,
        title="wrong predicate: all statements but the provenance",
        flaw="An attestation of any type taken for the one that is required (CVE-2022-35929).",
        mutate=_provenance_absent,
        expect=by_all(Reason.STATEMENT_MISSING),
    ),
    Control(
        id="P1-other",
        group=Group.STATEMENT,
        title="wrong predicate: nothing but a note of another type, by the right identity",
        flaw="Any statement by an authorised identity authorises a deployment.",
        mutate=_other_type_alone,
        needs_signer=True,
        expect=by_all(Reason.STATEMENT_MISSING),
    ),
)
