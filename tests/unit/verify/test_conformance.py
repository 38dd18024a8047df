"""The public conformance suite's bundles as an oracle, read where they stand: nothing of them is in this repository.

`DHALLMARK_CONFORMANCE` names the suite's folder; without it, `shared/conformance` beside the repository. Cases of a
format that is not read (bundles before v0.3, managed keys) must be `indeterminate`; a bare message signature is
refused for that alone where the case is good, and for its flaw besides where it is not.
"""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

import pytest

from dhallmark.reasons import Reason
from dhallmark.verdict import Outcome
from dhallmark.verify.bundle import BundleResult, verify_bundle
from dhallmark.verify.trust import TrustRoot

_BESIDE = Path(__file__).resolve().parents[4] / "shared" / "conformance"
FOLDER = Path(os.environ.get("DHALLMARK_CONFORMANCE", _BESIDE)) / "bundle-verify"
IDENTITY = (
    "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/"
    ".github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main"
)
ISSUER = "https://token.actions.githubusercontent.com"
CASES = sorted(path.name for path in FOLDER.iterdir() if path.is_dir()) if FOLDER.is_dir() else []

pytestmark = pytest.mark.skipif(not CASES, reason=f"no conformance cases in {FOLDER}")

FLAWS = {
    "bundle-malformed-json_fail": Reason.BUNDLE_MALFORMED,
    "dsse-invalid-sig_fail": Reason.SIGNATURE_INVALID,
    "dsse-mismatch-envelope_fail": Reason.LOG_ENTRY_MISMATCH,
    "dsse-mismatch-sig_fail": Reason.LOG_ENTRY_MISMATCH,
    "rekor2-checkpoint-missing-log-signature_fail": Reason.LOG_CHECKPOINT,
    "rekor2-checkpoint-missing-origin_fail": Reason.LOG_CHECKPOINT,
    "rekor2-checkpoint-missing-root-hash_fail": Reason.LOG_CHECKPOINT,
    "rekor2-dsse-mismatch-envelope_fail": Reason.LOG_ENTRY_MISMATCH,
    "rekor2-no-inclusion-proof_fail": Reason.LOG_INCLUSION,
    "rekor2-timestamp-outside-trust-root-tsa-validity_fail": Reason.TIMESTAMP_INVALID,
    "rekor2-timestamp-payload-mismatch_fail": Reason.TIMESTAMP_INVALID,
    "rekor2-timestamp-untrusted-tsa-with-embedded-cert_fail": Reason.TIMESTAMP_INVALID,
}
"""What must be found, beside `signature.kind`."""


def trust_root(name: str) -> bytes:
    """The case's own trust root, or the public instance's, which the sigstore library carries."""
    own = FOLDER / name / "trusted_root.json"
    if own.is_file():
        return own.read_bytes()
    store = resources.files("sigstore._store") / "https%3A%2F%2Ftuf-repo-cdn.sigstore.dev"
    return (store / "trusted_root.json").read_bytes()


def verify(name: str) -> BundleResult:
    bundle = (FOLDER / name / "bundle.sigstore.json").read_bytes()
    return verify_bundle(bundle, TrustRoot.parse(trust_root(name)), name=name)


@pytest.mark.parametrize("name", [name for name in CASES if name.endswith("_fail")])
def test_a_bad_bundle_is_never_accepted(name: str) -> None:
    result = verify(name)
    assert result.verdict.outcome is not Outcome.ACCEPTED
    assert result.statement is None
    assert result.identity is None


@pytest.mark.parametrize("name", [name for name in CASES if not name.endswith("_fail")])
def test_a_good_bundle_is_accepted_or_of_another_kind(name: str) -> None:
    assert verify(name).verdict.reasons <= {Reason.SIGNATURE_KIND, Reason.FORMAT_UNSUPPORTED}


@pytest.mark.parametrize(("name", "flaw"), [item for item in FLAWS.items() if item[0] in CASES])
def test_a_flaw_is_named(name: str, flaw: Reason) -> None:
    reasons = verify(name).verdict.reasons
    assert flaw in reasons
    # A signature that is invalid is not the one that was logged either.
    assert reasons - {flaw} <= {Reason.SIGNATURE_KIND, Reason.LOG_ENTRY_MISMATCH}


def test_the_envelope_of_the_happy_path_yields_its_statement_and_identity() -> None:
    name = "rekor2-dsse-happy-path"
    if name not in CASES:
        pytest.skip("the case is not there")
    result = verify(name)
    assert result.verdict.outcome is Outcome.ACCEPTED
    assert result.identity is not None
    assert (result.identity.subject, result.identity.issuer) == (IDENTITY, ISSUER)
    assert result.identity.extensions["buildTrigger"] == "workflow_dispatch"
    assert result.statement is not None
    assert result.statement.subjects
    assert len(result.times) == 1


def test_a_trust_root_without_the_log_is_told_from_a_bad_bundle() -> None:
    name = "rekor2-dsse-happy-path"
    if name not in CASES:
        pytest.skip("the case is not there")
    bundle = (FOLDER / name / "bundle.sigstore.json").read_bytes()
    production = resources.files("sigstore._store") / "https%3A%2F%2Ftuf-repo-cdn.sigstore.dev" / "trusted_root.json"
    reasons = verify_bundle(bundle, TrustRoot.parse(production.read_bytes())).verdict.reasons
    assert Reason.LOG_ENTRY_MISSING in reasons
    assert Reason.TIMESTAMP_INVALID in reasons
