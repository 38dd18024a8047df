"""Reading cosign's answers: recorded from cosign 3.1.3, and answers that it never gave."""

from __future__ import annotations

import pytest

from dhallmark.controls.consumers.cosign_answers import read_answer
from dhallmark.reasons import Reason
from dhallmark.verdict import Outcome

SAN = (
    "failed to verify certificate identity: no matching CertificateIdentity found, last error: expected SAN value "
    '"https://github.com/x/y", got "https://github.com/acme/platform/.github/workflows/release.yml@refs/heads/main"'
)
SAN_REGEX = (
    "failed to verify certificate identity: no matching CertificateIdentity found, last error: expected SAN value to "
    'match regex "^(?:x)$", got "https://github.com/acme/platform"'
)
ISSUER = (
    "failed to verify certificate identity: no matching CertificateIdentity found, last error: expected issuer value "
    '"https://other", got "https://token.actions.githubusercontent.com"'
)
DIGEST = "failed to verify signature: provided artifact digest does not match any digest in statement"
LEAF = "failed to verify leaf certificate: leaf certificate verification failed"
INCLUSION = (
    "failed to verify log inclusion: verifying log entry: verifying inclusion: calculated root:\n"
    "[122 179 233]\n does not match expected root:\n[120 184 108]"
)
TYPES = (
    "none of the attestations matched the predicate type: https://slsa.dev/provenance/v1, "
    "found: https://sigstore.dev/cosign/sign/v1,https://in-toto.io/attestation/link/v0.3"
)
REFUSED = (
    'Get "https://localhost:5999/v2/": dial tcp 127.0.0.1:5999: connect: connection refused; '
    'Get "http://localhost:5999/v2/": dial tcp 127.0.0.1:5999: connect: connection refused'
)


def said(message: str) -> str:
    return f"Error: {message}\nerror during command execution: {message}\n"


RECORDED: list[tuple[int, str, Reason]] = [
    (10, said("no signatures found"), Reason.SIGNATURE_NONE),
    (1, said("no valid bundles exist in registry"), Reason.SIGNATURE_NONE),
    (1, said("no matching attestations: "), Reason.SIGNATURE_NONE),
    (1, said(f"no matching attestations: {SAN}"), Reason.IDENTITY_SUBJECT_MISMATCH),
    (1, said(f"no matching attestations: {DIGEST}\n{SAN}\n{DIGEST}"), Reason.IDENTITY_SUBJECT_MISMATCH),
    (1, said(f"no matching attestations: {SAN_REGEX}"), Reason.IDENTITY_SUBJECT_MISMATCH),
    (1, said(f"no matching attestations: {ISSUER}\n{DIGEST}"), Reason.IDENTITY_ISSUER_MISMATCH),
    (1, said(f"no matching attestations: {DIGEST}\n{DIGEST}"), Reason.SUBJECT_MISMATCH),
    (1, said(f"no matching attestations: {LEAF}\n{LEAF}"), Reason.CERTIFICATE_UNTRUSTED),
    (1, said(f"no matching attestations: {INCLUSION}\n{INCLUSION}"), Reason.LOG_INCLUSION),
    (1, said(TYPES), Reason.STATEMENT_MISSING),
    (1, said(REFUSED), Reason.REGISTRY_UNAVAILABLE),
]


@pytest.mark.parametrize(("status", "stderr", "reason"), RECORDED)
def test_a_recorded_answer_is_read_into_its_reason(status: int, stderr: str, reason: Reason) -> None:
    assert read_answer(status, stderr).reason is reason


@pytest.mark.parametrize(
    ("status", "stderr"),
    [
        (1, ""),
        (1, said("something new")),
        (1, said("no signatures found")),  # with another exit code than cosign's own
        (10, said("something new")),
        (1, "no matching attestations: " + SAN),  # not said as cosign says it
        (1, said(f"no matching attestations: {SAN}\nfailed to verify timestamps: something new")),
        (1, said("no matching attestations: [1 2 3]")),
        (-9, ""),
        (139, said("no matching attestations: ")[:20]),
    ],
)
def test_an_answer_that_is_not_known_is_unreadable(status: int, stderr: str) -> None:
    check = read_answer(status, stderr)
    assert (check.reason, check.outcome) == (Reason.CONSUMER_UNREADABLE, Outcome.INDETERMINATE)


def test_exit_code_0_is_acceptance_whatever_is_said() -> None:
    assert read_answer(0, "warning: x").outcome is Outcome.ACCEPTED
