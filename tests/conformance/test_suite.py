"""Every public case of Sigstore's conformance suite; nothing of them is in this repository.

Where the suite is not at hand, `test_own.py` has cases of the same kinds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dhallmark.conformance.verify import load_trust_root, read_artifact, verify
from dhallmark.digest import Digest
from dhallmark.errors import Error
from dhallmark.identity import Identity
from dhallmark.reasons import Reason
from dhallmark.verdict import Outcome, Verdict
from dhallmark.verify.bundle import verify_bundle
from dhallmark.verify.keys import ManagedKey
from dhallmark.verify.terms import Terms

if TYPE_CHECKING:
    from tests.conformance.conftest import Case

FLAWS = {
    "bundle-malformed-json_fail": {Reason.BUNDLE_MALFORMED},
    "checkpoint-bad-keyhint_fail": {Reason.LOG_CHECKPOINT},
    "checkpoint-wrong-roothash_fail": {Reason.LOG_INCLUSION},
    "dsse-invalid-sig_fail": {Reason.SIGNATURE_INVALID, Reason.LOG_ENTRY_MISMATCH},
    "dsse-mismatch-envelope_fail": {Reason.LOG_ENTRY_MISMATCH},
    "dsse-mismatch-sig_fail": {Reason.LOG_ENTRY_MISMATCH},
    "incorrect-public-key_fail": {
        Reason.LOG_PROMISE,
        Reason.TIMESTAMP_MISSING,
        Reason.LOG_INCLUSION,
        Reason.LOG_ENTRY_MISMATCH,
    },
    "intoto-missing-inclusion-proof_fail": {Reason.LOG_INCLUSION},
    "invalid-ct-key_fail": {Reason.CERTIFICATE_SCT},
    "managed-key-no-key_fail": {Reason.KEY_UNKNOWN},
    "rekor2-checkpoint-missing-log-signature_fail": {Reason.LOG_CHECKPOINT},
    "rekor2-checkpoint-missing-origin_fail": {Reason.LOG_CHECKPOINT},
    "rekor2-checkpoint-missing-root-hash_fail": {Reason.LOG_CHECKPOINT},
    "rekor2-dsse-mismatch-envelope_fail": {Reason.LOG_ENTRY_MISMATCH},
    "rekor2-no-inclusion-proof_fail": {Reason.LOG_INCLUSION},
    "rekor2-timestamp-outside-trust-root-tsa-validity_fail": {Reason.TIMESTAMP_INVALID},
    "rekor2-timestamp-payload-mismatch_fail": {Reason.TIMESTAMP_INVALID},
    "rekor2-timestamp-untrusted-tsa-with-embedded-cert_fail": {Reason.TIMESTAMP_INVALID},
    "wrong-hashedrekord-entry_fail": {Reason.LOG_ENTRY_MISMATCH},
    "wrong-material_fail": {Reason.MESSAGE_MISMATCH},
}
"""What must be found, and nothing else."""


def judge(case: Case, artifact: Digest | bytes) -> Verdict | None:
    """The verdict on a case. None where one of its files cannot be read."""
    folder = case.folder
    root, key = folder / "trusted_root.json", folder / "key.pub"
    try:
        return verify(
            (folder / "bundle.sigstore.json").read_bytes(),
            load_trust_root(root if root.is_file() else None),
            artifact=artifact,
            identity=None if key.is_file() else case.identity,
            key=ManagedKey.load(key) if key.is_file() else None,
        )
    except Error:
        return None


@pytest.mark.parametrize("by", ["file", "digest"])
def test_a_case_is_judged_as_its_name_says(public_case: Case, by: str) -> None:
    artifact = read_artifact(str(public_case.artifact))
    assert isinstance(artifact, bytes)
    verdict = judge(public_case, artifact if by == "file" else Digest.of(artifact))
    assert (verdict is not None and verdict.outcome is Outcome.ACCEPTED) is public_case.good, verdict
    if verdict is not None and public_case.folder.name in FLAWS:
        assert verdict.reasons == FLAWS[public_case.folder.name]


def test_what_is_signed_is_read_from_a_real_bundle(public_envelope: Case) -> None:
    bundle = (public_envelope.folder / "bundle.sigstore.json").read_bytes()
    result = verify_bundle(bundle, Terms(load_trust_root(public_envelope.folder / "trusted_root.json")))
    assert isinstance(result.identity, Identity)
    assert (result.identity.subject, result.identity.issuer) == public_envelope.identity
    assert result.identity.extensions["buildTrigger"] == "workflow_dispatch"
    assert result.statement is not None
    assert result.statement.subjects
    assert len(result.times) == 1
    # A trust root without the log and the authority is told from a bad bundle.
    reasons = verify_bundle(bundle, Terms(load_trust_root(None))).verdict.reasons
    assert {Reason.LOG_ENTRY_MISSING, Reason.TIMESTAMP_INVALID} <= reasons
