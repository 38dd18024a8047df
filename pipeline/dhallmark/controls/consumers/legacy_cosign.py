"""What cosign's libraries say of a signature in the older format that they refuse, read into a reason.

Flux falls back to this code where it finds no bundle, and cosign 2 and 3 do.
Source: github.com/sigstore/cosign v2.6.5 and v3.0.6 to v3.1.3, pkg/cosign/verify.go and verifiers.go.
"""

from __future__ import annotations

from typing import Final

from dhallmark.controls.consumers.steps import Steps
from dhallmark.reasons import Reason

_EXPIRY = "checking expiry on certificate with (timestamp|bundle): certificate "

LEGACY: Final = Steps(
    (
        (Reason.TIMESTAMP_INVALID, "unable to verify RFC3161 timestamp bundle: .*"),
        (Reason.LOG_PROMISE, "error verifying bundle: .*"),
        (Reason.LOG_ENTRY_MISSING, "no valid tlog entries found.*"),
        (Reason.LOG_ENTRY_MISSING, "offline verification failed"),
        (Reason.LOG_ENTRY_MISSING, "rekor client not provided for online verification"),
        (Reason.SIGNATURE_KIND, "no certificate found on signature"),
        (Reason.CERTIFICATE_UNTRUSTED, "x509: certificate signed by unknown authority.*"),
        (Reason.CERTIFICATE_SCT, "certificate does not include required embedded SCT and no detached SCT was set"),
        # It says neither which of the two it was, nor what was wanted.
        (
            Reason.IDENTITY_SUBJECT_MISMATCH,
            r"none of the expected identities matched what was in the certificate, got subjects \[.*\] with issuer .*",
        ),
        (Reason.SIGNATURE_INVALID, r"invalid signature when validating ASN\.1 encoded signature"),
        (Reason.SIGNATURE_INVALID, "crypto/rsa: verification error"),
        (Reason.SUBJECT_MISMATCH, "invalid or missing digest in claim: .*"),
        (Reason.SUBJECT_MISMATCH, "no matching subject digest found"),
        (Reason.CERTIFICATE_OUTSIDE_VALIDITY, _EXPIRY + "expired before signatures were entered in log: .*"),
        (Reason.CERTIFICATE_OUTSIDE_VALIDITY, _EXPIRY + "was issued after signatures were entered in log: .*"),
        (Reason.TIMESTAMP_MISSING, "expected a signed timestamp to verify an expired certificate"),
    )
)
