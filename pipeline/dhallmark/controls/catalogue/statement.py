"""Group "statement, layout, policy": signed by the right identity, about the right artifact, saying the wrong thing."""

from __future__ import annotations

from dhallmark.control import Control, Group, NotApplicableError
from dhallmark.controls.catalogue.expected import by_all
from dhallmark.controls.forge import Bench
from dhallmark.controls.mutations import note, of_type
from dhallmark.digest import Digest
from dhallmark.reasons import Reason
from dhallmark.statement import SLSA_PROVENANCE_V1

NOTE_TYPE = "https://dhallmark.dev/control/note/v1"
"""A predicate type that no policy asks for."""


async def _provenance_absent(bench: Bench) -> Digest:
    of_type(bench, SLSA_PROVENANCE_V1)
    digest = await bench.forge.copy()
    others = [one for one in bench.signed if one.statement.predicate_type != SLSA_PROVENANCE_V1]
    if not others:
        raise NotApplicableError("the provenance is all that is signed about the artifact")
    for one in others:
        await bench.forge.attach(digest, one.bundle)
    return digest


async def _other_type_alone(bench: Bench) -> Digest:
    digest = await bench.forge.copy()
    payload = note(bench, predicate_type=NOTE_TYPE, predicate={"note": "says nothing about how the artifact was made"})
    await bench.forge.attach(digest, bench.forge.sign(payload, bench.signer))
    return digest


CONTROLS = (
    Control(
        id="P1-absent",
        group=Group.STATEMENT,
        title="wrong predicate: all statements but the provenance",
        flaw="An attestation of any type taken for the one that is required (CVE-2022-35929).",
        mutate=_provenance_absent,
        release=True,
        expect=by_all(Reason.STATEMENT_MISSING),
    ),
    Control(
        id="P1-other",
        group=Group.STATEMENT,
        title="wrong predicate: nothing but a note of another type, by the right identity",
        flaw="Any statement by an authorised identity authorises a deployment.",
        mutate=_other_type_alone,
        release=True,
        expect=by_all(Reason.STATEMENT_MISSING),
    ),
)
