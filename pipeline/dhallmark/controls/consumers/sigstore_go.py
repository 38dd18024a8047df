"""What sigstore-go says of a bundle that it refuses, read into a reason. cosign, Flux and Kyverno all verify with it.

Where several bundles were refused, the one that came furthest decides: links are about files, and fail for their
subject whatever else is wrong.
Source: github.com/sigstore/sigstore-go v1.1.4 to v1.3.0, pkg/verify; cosign's additions to it in v2.6.5 to v3.1.3.
"""

from __future__ import annotations

import re
from typing import Final

from dhallmark.controls.consumers.steps import Steps
from dhallmark.reasons import Reason

_LOG = "failed to verify log inclusion: "
_ENTRY = _LOG + "verifying log entry: "
_TIME = "failed to verify timestamps: "
_THRESHOLD = _TIME + r"threshold not met for verified signed( & log entry integrated)? timestamps: \d+ < \d+; error: "
_SCT = r"only able to verify \d+ SCT entries; unable to meet threshold of \d+"
_SIGNATURE = "failed to verify signature: "
_ENVELOPE = _SIGNATURE + "could not verify envelope: "
_STATEMENT = _SIGNATURE + "could not verify artifact: unable to "
_IDENTITY = "failed to verify certificate identity: no matching CertificateIdentity found, last error: expected "
_NOT_FOUND = r' value (to match regex )?".*", got ".*"'

BUNDLE: Final = Steps(
    (
        (Reason.CERTIFICATE_PROFILE, _LOG + "validation error: x509: .*"),
        (Reason.LOG_ENTRY_MISSING, _LOG + r"not enough verified log entries from transparency log: \d+ < \d+"),
        (Reason.LOG_ENTRY_MISSING, _LOG + "duplicate tlog entries found"),
        (Reason.LOG_ENTRY_MISSING, _LOG + r"too many tlog entries: \d+ > \d+"),
        (Reason.LOG_INCLUSION, _LOG + "rekor v2 entries must have an inclusion proof"),
        (Reason.LOG_INCLUSION, _LOG + "entry must contain an inclusion proof and/or promise"),
        (Reason.KEY_UNKNOWN, _LOG + "public key not found in trusted material: .*"),
        (Reason.LOG_CHECKPOINT, _ENTRY + "unverified checkpoint signature: .*"),
        (Reason.LOG_INCLUSION, _ENTRY + "invalid index: .*"),
        (Reason.LOG_INCLUSION, _ENTRY + "verifying inclusion: .*"),
        (Reason.LOG_ENTRY_MISMATCH, _LOG + "transparency log (signature|certificate) does not match"),
        (Reason.LOG_ENTRY_MISMATCH, _LOG + "transparency log (hashedrekord|dsse/intoto) entry .* does not match .*"),
        (Reason.CERTIFICATE_OUTSIDE_VALIDITY, _LOG + "integrated time outside certificate validity"),
        (Reason.TIMESTAMP_MISSING, _TIME + r"threshold not met for verified log entry integrated timestamps: 0 < \d+"),
        (Reason.TIMESTAMP_MISSING, _TIME + "no valid observer timestamps found"),
        (Reason.TIMESTAMP_MISSING, _THRESHOLD + r"%!w\(<nil>\)"),
        (Reason.TIMESTAMP_INVALID, _TIME + r"too many signed timestamps: \d+ > \d+"),
        (Reason.TIMESTAMP_INVALID, _THRESHOLD + "unable to verify signed timestamps.*"),
        (Reason.TIMESTAMP_INVALID, _THRESHOLD + "duplicate timestamps from the same authority.*"),
        (Reason.CERTIFICATE_UNTRUSTED, "failed to verify leaf certificate: leaf certificate verification failed"),
        (Reason.CERTIFICATE_SCT, "failed to verify signed certificate timestamp: " + _SCT),
        (Reason.ENVELOPE_MALFORMED, _SIGNATURE + "exactly one signature is required"),
        (Reason.ENVELOPE_MALFORMED, _ENVELOPE + "illegal base64 data .*"),
        (Reason.SIGNATURE_INVALID, _ENVELOPE + r"accepted signatures do not match threshold, Found: \d+, Expected \d+"),
        (Reason.STATEMENT_MALFORMED, _STATEMENT + "(extract statement from envelope|decode subject digest): .*"),
        (Reason.SUBJECT_TOO_MANY, _SIGNATURE + r"too many (subjects|digests): \d+ > \d+"),
        (Reason.SUBJECT_MISMATCH, _SIGNATURE + "provided artifact digests? do(es)? not match .*digests? in statement"),
        (Reason.STATEMENT_MALFORMED, "failed to fetch envelope statement: .*"),
        (Reason.IDENTITY_SUBJECT_MISMATCH, _IDENTITY + "SAN" + _NOT_FOUND),
        (Reason.IDENTITY_ISSUER_MISMATCH, _IDENTITY + "issuer" + _NOT_FOUND),
        # cosign's own, about a bundle that sigstore-go has accepted.
        (Reason.SIGNATURE_KIND, "bundle does not contain a DSSE envelope"),
        (Reason.SUBJECT_MISMATCH, "no matching subject digest found"),
    )
)
_BEGINNING: Final = re.compile(
    r"^(?=failed to |must provide |expected key |SCTs required|bundle does not |no matching )", re.MULTILINE
)
"""How a message begins: some go on over several lines."""


def split_messages(text: str) -> list[str]:
    """The messages about single bundles, which errors.Join has put one below the other."""
    return [part.rstrip("\n") for part in _BEGINNING.split(text) if part.strip()]
