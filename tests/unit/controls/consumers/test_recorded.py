"""Reading what the pinned versions of the consumers answered to the catalogue's mutants, and what they never would.

`recorded/` holds answers of the real programs, about mutants of an artifact that was made in a lab. Of messages that
were the same for several bundles one is kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dhallmark.controls.consumers import cosign_answers, flux_answers, kyverno_answers
from dhallmark.reasons import Reason
from dhallmark.verdict import Check, Outcome

RECORDED = Path(__file__).parent / "recorded"
Read = Callable[[int, bytes, str], Check]


def _cosign(status: int, _: bytes, stderr: str) -> Check:
    return cosign_answers.read_answer(status, stderr)


READERS: dict[str, Read] = {
    "cosign2": _cosign,
    "flux-1.8": flux_answers.read_answer,
    "flux-1.9": flux_answers.read_answer,
    "kyverno": kyverno_answers.read_answer,
}
ANSWERS = [
    pytest.param(name, answer, id=f"{name}-{answer['control']}")
    for name in READERS
    for answer in json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))
]


def read(name: str, answer: dict[str, Any]) -> Check:
    said = answer["stdout"]
    stdout = said if isinstance(said, str) else json.dumps(said)
    return READERS[name](answer["status"], stdout.encode(), answer["stderr"])


@pytest.mark.parametrize(("name", "answer"), ANSWERS)
def test_a_recorded_answer_is_read_as_the_reason_that_it_was(name: str, answer: dict[str, Any]) -> None:
    check = read(name, answer)
    assert (check.reason.value if check.reason else None) == answer["reason"]
    assert bool(check.detail) is (check.reason is not None)


@pytest.mark.parametrize(("name", "answer"), ANSWERS)
def test_a_word_more_in_a_message_makes_the_answer_unreadable(name: str, answer: dict[str, Any]) -> None:
    if answer["reason"] in (None, "signature.none", "statement.missing"):
        return
    changed = json.loads(json.dumps(answer).replace("failed to verify ", "failed quietly to verify "))
    changed = json.loads(json.dumps(changed).replace("failed to fetch ", "failed quietly to fetch "))
    changed = json.loads(json.dumps(changed).replace("bundle does not ", "bundle perhaps does not "))
    check = read(name, changed)
    assert check.reason is Reason.CONSUMER_UNREADABLE
    assert check.outcome is Outcome.INDETERMINATE


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    ("status", "stdout", "stderr"),
    [
        (1, b"", ""),
        (2, b"", "flux-verify: the question cannot be read"),
        (-9, b"", ""),
        (1, b"null", "Error: \nerror during command execution: \n"),
        (1, b'{"ready": 1}', "Error: no signatures\nerror during command execution: no signatures\n"),
        (1, b'{"results": []}', "panic: runtime error"),
        (1, b'{"results": [{"result": "error"}]}', ""),
        (1, b'{"results": [{"result": "fail", "message": "signature"}]}', ""),
        (1, b"\xff", "\ufffd"),
    ],
)
def test_anything_else_is_no_answer(name: str, status: int, stdout: bytes, stderr: str) -> None:
    assert read_raw(name, status, stdout, stderr).reason is Reason.CONSUMER_UNREADABLE


def read_raw(name: str, status: int, stdout: bytes, stderr: str) -> Check:
    return READERS[name](status, stdout, stderr)


FLUX_OTHER = [
    (
        (
            "failed to copy layer from artifact: error verifying sha256 checksum after reading 225 bytes; got "
            '"sha256:bc21e700f0dc76bcc7a4e4fe561282dbc23151c8061647805dfc306dd225047a", want '
            '"sha256:19cc6ef7acceb78e987df1b3f37effea323e704885d92ba3f76a60612aac8d77"'
        ),
        [],
        Reason.ARTIFACT_DIGEST_MISMATCH,
    ),
    (
        (
            "failed to verify the signature using provider 'cosign': no matching signatures were found for "
            "'127.0.0.1:5000/web@sha256:fb563b87071506061164eefe226b19b5173b39b1a5057ad22449cf5441f0fb82'"
        ),
        [],
        Reason.SIGNATURE_INVALID,
    ),
    ("failed to determine artifact digest: GET http://x/v2/: 401", ["Registry"], Reason.REGISTRY_UNAVAILABLE),
    ("failed to verify: context deadline exceeded", ["Timeout"], Reason.REGISTRY_UNAVAILABLE),
    ("failed to parse artifact layers: of some kind", [], Reason.CONSUMER_UNREADABLE),
    ("no matching attestations: ", ["NoMatchingAttestations"], Reason.CONSUMER_UNREADABLE),
    (
        (
            "failed to verify the signature using provider 'cosign keyless': no matching signatures: "
            "certificate does not include required embedded SCT and no detached SCT was set"
        ),
        ["NoMatchingSignatures"],
        Reason.CERTIFICATE_SCT,
    ),
]


@pytest.mark.parametrize(("message", "kinds", "reason"), FLUX_OTHER)
def test_flux_says_by_type_or_message_what_else_went_wrong(message: str, kinds: list[str], reason: Reason) -> None:
    answer = {"ready": False, "verified": False, "message": message, "kinds": kinds, "condition": "FetchFailed"}
    check = flux_answers.read_answer(0, json.dumps(answer).encode(), "")
    assert check.reason is reason
    assert check.evidence["condition"] == "FetchFailed"


def test_a_source_without_verification_accepts_whatever_is_there() -> None:
    check = flux_answers.read_answer(0, b'{"ready": true, "verified": false}', "")
    assert check.outcome is Outcome.ACCEPTED
