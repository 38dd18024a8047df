"""The controller's conditions, read into checks: nothing but the right word for the right cause passes."""

from __future__ import annotations

from typing import Any

import pytest

from dhallmark.digest import Digest
from dhallmark.prove.conditions import judge
from dhallmark.reasons import Reason
from dhallmark.verdict import Check

GOOD = Digest.of(b"good")
ARTIFACT = {"revision": f"control@{GOOD}", "digest": "sha256:" + "1" * 64, "url": "http://x"}
NONE = "failed to verify the signature using provider 'cosign keyless': no signatures found"
SUBJECT = (
    "failed to verify the signature using provider 'cosign keyless': no matching attestations: failed to verify "
    'certificate identity: no matching CertificateIdentity found, last error: expected SAN value to match regex "^a$", '
    'got "b"'
)


def told(
    verified: str, message: str = "", *, reason: str = "VerificationError", artifact: object = None
) -> dict[str, Any]:
    ready = "True" if verified == "True" else "False"
    return {
        "conditions": [
            {"type": "Ready", "status": ready, "reason": reason, "message": message},
            {"type": "SourceVerified", "status": verified, "reason": reason, "message": message},
        ],
        "artifact": artifact,
    }


def statuses(**changes: dict[str, Any]) -> dict[str, Any]:
    return {
        "good": told("True", reason="Succeeded", artifact=ARTIFACT),
        "S1": told("False", NONE),
        "C1": told("False", SUBJECT),
        "pushed": {**told("False", NONE, artifact=ARTIFACT), "before": ARTIFACT, "served": ARTIFACT["digest"]},
        **changes,
    }


def checks(**changes: dict[str, Any]) -> dict[str, Check]:
    expected = {"S1": Reason.SIGNATURE_NONE, "C1": Reason.IDENTITY_SUBJECT_MISMATCH}
    found = judge(statuses(**changes), good=GOOD, expected=expected, pushed="S1")
    return {one.name: one for one in found}


def test_what_is_as_it_must_be_passes() -> None:
    found = checks()
    assert {one.reason for one in found.values()} == {None}
    assert list(found) == [
        "the good artifact",
        "S1",
        "C1",
        "VerificationError after a bad push",
        "the good revision is served on",
    ]


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("the good artifact", {"good": told("False", NONE)}, Reason.CONTROLLER_VERDICT),
        ("the good artifact", {"good": told("True", artifact={"revision": "x@sha256:0"})}, Reason.CONTROLLER_VERDICT),
        ("the good artifact", {"good": {"conditions": [], "artifact": ARTIFACT}}, Reason.CONTROLLER_VERDICT),
        ("S1", {"S1": told("True", artifact=ARTIFACT)}, Reason.CONTROLLER_VERDICT),
        ("S1", {"S1": told("False", SUBJECT)}, Reason.CONTROLLER_VERDICT),
        ("S1", {"S1": told("False", NONE, reason="OCIArtifactPullFailed")}, Reason.CONTROLLER_VERDICT),
        ("S1", {"S1": told("False", NONE, artifact=ARTIFACT)}, Reason.CONTROLLER_VERDICT),
        (
            "the good revision is served on",
            {"pushed": {**told("False", NONE), "before": ARTIFACT, "served": ARTIFACT["digest"]}},
            Reason.CONTROLLER_SERVED,
        ),
        (
            "the good revision is served on",
            {"pushed": {**told("False", NONE, artifact=ARTIFACT), "before": ARTIFACT, "served": ""}},
            Reason.CONTROLLER_SERVED,
        ),
        (
            "VerificationError after a bad push",
            {"pushed": {**told("True", artifact=ARTIFACT), "before": ARTIFACT, "served": ARTIFACT["digest"]}},
            Reason.CONTROLLER_VERDICT,
        ),
    ],
)
def test_anything_else_is_a_finding(name: str, changes: dict[str, Any], reason: Reason) -> None:
    found = checks(**changes)
    assert found[name].reason is reason
    assert {one.reason for other, one in found.items() if other != name} == {None}
