"""A folder of artifacts and bundles: which belongs to which, and that nothing in it is passed over."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dhallmark.reasons import Reason
from dhallmark.verdict import Outcome, Verdict
from dhallmark.verify import folder as module
from dhallmark.verify.basis import verdict_on
from dhallmark.verify.folder import read_folder

if TYPE_CHECKING:
    from tests.unit.verify.conftest import SignedFiles


def judge(files: SignedFiles) -> dict[str, Verdict]:
    """The verdicts on a folder, by the name below it of what each is on."""
    judged = files.basis.judge()
    found = [item if isinstance(item, Verdict) else verdict_on(item, judged) for item in read_folder(files.folder)]
    return {verdict.subject.removeprefix(f"{files.folder}/"): verdict for verdict in found}


def reasons(files: SignedFiles) -> dict[str, Reason | None]:
    return {name: verdict.reason for name, verdict in judge(files).items()}


def test_bundles_are_found_by_neighbouring_name_and_by_subject(signed_files: SignedFiles) -> None:
    signed_files.add("web.tgz")
    signed_files.add("prod/net.tgz", bundle="prod/net.tgz.provenance.sigstore.json")
    signed_files.add("a/b/far.tgz", bundle="bundles/anything.sigstore.json")
    signed_files.add("net.tar.gz", bundle="net.tar.gz.sigstore")
    assert reasons(signed_files) == dict.fromkeys(["web.tgz", "prod/net.tgz", "a/b/far.tgz", "net.tar.gz"])


def test_the_longest_name_takes_the_bundle(signed_files: SignedFiles) -> None:
    signed_files.add("web")
    signed_files.add("web.tgz")
    assert reasons(signed_files) == {"web": None, "web.tgz": None}


@pytest.mark.parametrize(
    ("change", "name", "reason"),
    [
        (lambda files: files.add("unsigned", bundle=""), "unsigned", Reason.SIGNATURE_NONE),
        (lambda files: files.add("replayed", about=b"web.tgz"), "replayed", Reason.SUBJECT_MISMATCH),
        (lambda files: files.add("lost", bundle="b.sigstore.json").unlink(), "b.sigstore.json", Reason.FILE_UNREADABLE),
        (lambda files: (files.folder / "x.sigstore.json").write_bytes(b"{"), "x.sigstore.json", Reason.FILE_UNREADABLE),
        (lambda files: (files.folder / "link").symlink_to("web.tgz"), "link", Reason.FILE_UNREADABLE),
        (lambda files: os.mkfifo(files.folder / "pipe"), "pipe", Reason.FILE_UNREADABLE),
        (lambda files: os.mkfifo(files.folder / "p.sigstore.json"), "p.sigstore.json", Reason.FILE_UNREADABLE),
    ],
)
def test_nothing_in_the_folder_is_passed_over(
    signed_files: SignedFiles, change: Callable[[SignedFiles], object], name: str, reason: Reason
) -> None:
    signed_files.add("web.tgz")
    change(signed_files)
    assert reasons(signed_files) == {"web.tgz": None, name: reason}


@pytest.mark.parametrize("name", [b"line\nfeed", b"\xff", "\u202egz".encode(), b"\x1b[31m"])
def test_a_name_that_cannot_be_printed_is_a_finding_that_can(signed_files: SignedFiles, name: bytes) -> None:
    Path(os.fsdecode(os.fsencode(signed_files.folder) + b"/" + name)).write_bytes(b"")
    (verdict,) = judge(signed_files).values()
    assert verdict.reason is Reason.FILE_UNREADABLE
    assert verdict.subject.isprintable()


def test_an_empty_folder_yields_nothing(signed_files: SignedFiles) -> None:
    (signed_files.folder / "empty").mkdir()
    assert judge(signed_files) == {}


def test_a_folder_is_bounded_in_files_and_depth(signed_files: SignedFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_DEPTH", 2)
    signed_files.add("1/2/fits")
    signed_files.add("1/2/3/deep")
    assert reasons(signed_files) == {"1/2/fits": None, "1/2/3": Reason.FILE_UNREADABLE}
    monkeypatch.setattr(module, "MAX_FILES", 1)
    verdicts = judge(signed_files)
    assert verdicts[str(signed_files.folder)].outcome is Outcome.INDETERMINATE


def test_a_folder_that_cannot_be_listed_is_no_success(tmp_path: Path) -> None:
    (verdict,) = read_folder(tmp_path / "missing")
    assert isinstance(verdict, Verdict)
    assert verdict.reason is Reason.FILE_UNREADABLE
