"""Files with their bundles: what is looked at, and what is never taken for an answer."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dhallmark.config.load import load_policy
from dhallmark.digest import Digest
from dhallmark.files import UnreadableFileError
from dhallmark.reasons import Reason
from dhallmark.verdict import Outcome, Verdict
from dhallmark.verify import files
from dhallmark.verify.basis import Basis, verdict_on
from dhallmark.verify.files import FileTarget, bundles_beside

if TYPE_CHECKING:
    from tests.unit.verify.conftest import SignedFiles


def judge(basis: Basis, path: Path | Digest, *bundles: str, name: str | None = None) -> Verdict:
    artifact = path if isinstance(path, Digest) else str(path)
    return verdict_on(FileTarget(subject="it", artifact=artifact, bundles=bundles, name=name), basis.judge())


def test_a_file_is_accepted_with_the_bundle_beside_it(signed_files: SignedFiles) -> None:
    path = signed_files.add("web.tgz")
    verdict = judge(signed_files.basis, path, *bundles_beside(path))
    assert verdict.outcome is Outcome.ACCEPTED, verdict.to_json()
    assert verdict.checks[0].evidence == {"digest": Digest.of(b"web.tgz")}


def test_a_digest_stands_for_a_file_that_is_elsewhere(signed_files: SignedFiles) -> None:
    path = signed_files.add("web.tgz")
    bundle = f"{path}.sigstore.json"
    assert judge(signed_files.basis, Digest.of(b"web.tgz"), bundle).outcome is Outcome.ACCEPTED
    assert judge(signed_files.basis, Digest.of(b"other"), bundle).reason is Reason.SUBJECT_MISMATCH


@pytest.mark.parametrize(("name", "reason"), [(None, None), ("web.tgz", None), ("other", Reason.SUBJECT_NAME)])
def test_a_name_is_demanded_where_it_was_given(
    signed_files: SignedFiles, name: str | None, reason: Reason | None
) -> None:
    signed_files.add("web.tgz")
    renamed = (signed_files.folder / "web.tgz").rename(signed_files.folder / "renamed.tgz")
    verdict = judge(signed_files.basis, renamed, f"{signed_files.folder}/web.tgz.sigstore.json", name=name)
    assert verdict.reason is reason


def test_bundles_beside_a_file_are_found_by_its_name_and_by_nothing_shorter(signed_files: SignedFiles) -> None:
    path = signed_files.add("web.tgz", bundle="web.tgz.provenance.sigstore.json")
    for other in ("web.tgz.sigstore", "web.tgz2.sigstore.json", "web.sigstore.json", "web.tgz.json", "x.sigstore.json"):
        (signed_files.folder / other).write_bytes(b"")
    assert [Path(name).name for name in bundles_beside(path)] == [
        "web.tgz.provenance.sigstore.json",
        "web.tgz.sigstore",
    ]


@pytest.mark.parametrize("name", [b"web.tgz.\xff.sigstore.json", b"web.tgz.\x1b[2J.sigstore.json"])
def test_a_name_that_cannot_be_printed_stands_in_no_verdict(signed_files: SignedFiles, name: bytes) -> None:
    path = signed_files.add("web.tgz")
    (signed_files.folder / os.fsdecode(name)).write_bytes(b"")
    with pytest.raises(UnreadableFileError, match="cannot be printed"):
        bundles_beside(path)


def test_a_file_without_bundles_is_unsigned(signed_files: SignedFiles) -> None:
    verdict = judge(signed_files.basis, signed_files.add("web.tgz", bundle=""))
    assert (verdict.outcome, verdict.reason) == (Outcome.REJECTED, Reason.SIGNATURE_NONE)


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "large"])
@pytest.mark.parametrize("which", ["artifact", "bundle", "one bundle of two"])
def test_what_cannot_be_read_is_no_rejection_and_no_wait(
    signed_files: SignedFiles, monkeypatch: pytest.MonkeyPatch, kind: str, which: str
) -> None:
    path = signed_files.add("web.tgz")
    good = f"{path}.sigstore.json"
    odd = signed_files.folder / "odd"
    if kind == "folder":
        odd.mkdir()
    elif kind == "pipe":
        os.mkfifo(odd)
    elif kind == "large":
        odd.write_bytes(bytes(10_000))
        monkeypatch.setattr(files, "MAX_FILE_BYTES" if which == "artifact" else "MAX_BUNDLE_BYTES", 9_000)
    artifact, bundles = (odd, [good]) if which == "artifact" else (path, [str(odd)])
    if which == "one bundle of two":
        bundles.insert(0, good)
    verdict = judge(signed_files.basis, artifact, *bundles)
    assert (verdict.outcome, verdict.reason) == (Outcome.INDETERMINATE, Reason.FILE_UNREADABLE)
    assert verdict.parts == ()


def test_bundles_are_bounded_in_number_and_in_all_their_bytes(
    signed_files: SignedFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = signed_files.add("web.tgz")
    bundle = f"{path}.sigstore.json"
    assert judge(signed_files.basis, path, *[bundle] * (files.MAX_BUNDLES + 1)).reason is Reason.FILE_UNREADABLE
    size = Path(bundle).stat().st_size
    monkeypatch.setattr(files, "MAX_BUNDLES_BYTES", 2 * size - 1)
    assert judge(signed_files.basis, path, bundle).outcome is Outcome.ACCEPTED
    assert judge(signed_files.basis, path, bundle, bundle).reason is Reason.FILE_UNREADABLE


@pytest.mark.parametrize("elsewhere", [True, False])
def test_a_signature_that_needs_the_bytes_gets_those_of_a_file(signed_files: SignedFiles, *, elsewhere: bool) -> None:
    """Ed25519 signs the message itself: where only the digest is known, it cannot be told."""
    key = ed25519.Ed25519PrivateKey.generate()
    path = signed_files.add("web.tgz", bundle="")
    bundle = signed_files.instance.sign_message(b"web.tgz", key=key, kind=None)
    (signed_files.folder / "web.tgz.sigstore.json").write_text(json.dumps(bundle))
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (signed_files.folder / "key.pem").write_bytes(pem)
    (signed_files.folder / "policy.yaml").write_text(
        "schemaVersion: 1\nidentities: {site: {key: key.pem}}\n"
        "signature: {identities: [site]}\nevidence: {logEntries: 0}\n"
    )
    basis = Basis(policy=load_policy(signed_files.folder / "policy.yaml"), trusted_root=None)
    verdict = judge(basis, Digest.of(b"web.tgz") if elsewhere else path, *bundles_beside(path))
    assert (verdict.outcome is Outcome.ACCEPTED) is not elsewhere, verdict.to_json()
    path.write_bytes(b"changed")
    assert judge(basis, path, *bundles_beside(path)).reason is Reason.MESSAGE_MISMATCH
