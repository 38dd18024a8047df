"""The controller's words alone say what its words and the types of its errors say together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dhallmark.controls.consumers.flux_messages import reason_of
from dhallmark.reasons import Reason

RECORDED = Path(__file__).parent / "recorded"
UNVERIFIED = "failed to verify the signature using provider 'cosign keyless': "
URL = "http://127.0.0.1:5000/v2/mutant/manifests/control"
REFUSED = [
    pytest.param(answer["stdout"]["message"], Reason(answer["reason"]), id=f"{name}-{answer['control']}")
    for name in ("flux-1.8", "flux-1.9")
    for answer in json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))
    if answer["reason"] is not None
]


@pytest.mark.parametrize(("message", "reason"), REFUSED)
def test_what_flux_verify_said_is_read_alike_without_the_types(message: str, reason: Reason) -> None:
    assert reason_of(message) is reason


@pytest.mark.parametrize(
    "message",
    [
        f"failed to determine artifact digest: GET {URL}: unexpected status code 500 Internal Server Error: ",
        f"failed to determine artifact digest: GET {URL}: UNAUTHORIZED: authentication required; [map[a:b]]",
        f'failed to determine artifact digest: Get "{URL}": dial tcp 127.0.0.1:5000: connect: connection refused',
        f"failed to pull artifact from 'oci://127.0.0.1:5000/mutant': GET {URL}: MANIFEST_UNKNOWN: none of that name",
        f'failed to copy layer from artifact: Get "{URL}": EOF',
        f"{UNVERIFIED}GET {URL}: unexpected status code 503 Service Unavailable: no signatures found",
        f'{UNVERIFIED}Get "{URL}": net/http: timeout awaiting response headers',
        f"{UNVERIFIED}context deadline exceeded",
        f"{UNVERIFIED}image tag not found: entity not found in registry",
    ],
)
def test_an_outage_is_no_refusal(message: str) -> None:
    assert reason_of(message) is Reason.REGISTRY_UNAVAILABLE


@pytest.mark.parametrize(
    "message",
    [
        "",
        "something else",
        "no signatures found",
        f"{UNVERIFIED}no signatures found, and more",
        f"{UNVERIFIED}no matching attestations: ",
        f"{UNVERIFIED}no matching attestations: something else",
        f"{UNVERIFIED}no matching signatures: something else",
        f"failed to parse artifact layers: whoever wrote this knows GET {URL}: 500",
        "failed to determine artifact digest: no signatures found",
    ],
)
def test_a_message_that_is_not_known_has_no_reason(message: str) -> None:
    assert reason_of(message) is None


def test_the_older_formats_causes_are_read_line_by_line() -> None:
    found = reason_of(
        f"{UNVERIFIED}no matching signatures: certificate does not include required embedded SCT and no detached SCT "
        "was set\n no certificate found on signature"
    )
    assert found is Reason.CERTIFICATE_SCT
