"""Group "certificate and identity": everything is signed as it should be, by someone else."""

from __future__ import annotations

from dhallmark.control import Control, Group
from dhallmark.controls.catalogue.expected import by_all
from dhallmark.controls.forging.bundle import Recipe
from dhallmark.controls.mutations import foreigner, resigned, stranger
from dhallmark.reasons import Reason

CONTROLS = (
    Control(
        id="C1",
        group=Group.CERTIFICATE,
        title="wrong identity: the same statements, signed by a workflow of another owner's repository",
        flaw="A consumer whose identity is missing, a wildcard, or a regular expression that is not anchored.",
        mutate=resigned(Recipe(identity=stranger)),
        release=True,
        expect=by_all(Reason.IDENTITY_SUBJECT_MISMATCH),
    ),
    Control(
        id="C2",
        group=Group.CERTIFICATE,
        title="wrong issuer: the same statements, signed by the same subject of another OIDC issuer",
        flaw="A consumer that compares the subject alone: any issuer that Fulcio trusts can say that name.",
        mutate=resigned(Recipe(identity=foreigner)),
        release=True,
        expect=by_all(Reason.IDENTITY_ISSUER_MISMATCH),
    ),
)
