"""Where a commit stands, by a Git bundle: real bundles made by git, good ones and hostile ones."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dhallmark.config.identities import ReachableRule
from dhallmark.reasons import Reason
from dhallmark.verify import ancestry
from dhallmark.verify.ancestry import Ancestry
from dhallmark.verify.refusal import Refusal

MAIN, FEATURE = "refs/heads/main", "refs/heads/feature"


@dataclass(frozen=True)
class Clone:
    """A repository with two commits on main and one more on a branch that nobody merged."""

    folder: Path
    first: str
    second: str
    unmerged: str


def git(folder: Path, *arguments: str) -> str:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@example.test",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@example.test",
    }
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def commit(folder: Path, message: str) -> str:
    git(folder, "commit", "--quiet", "--allow-empty", "--message", message)
    return git(folder, "rev-parse", "HEAD")


def make_clone(folder: Path, *, kind: str = "sha1") -> Clone:
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main", f"--object-format={kind}")
    first, second = commit(folder, "one"), commit(folder, "two")
    git(folder, "checkout", "--quiet", "-b", "feature")
    unmerged = commit(folder, "three")
    git(folder, "bundle", "create", "--quiet", "main.bundle", MAIN)
    git(folder, "bundle", "create", "--quiet", "both.bundle", MAIN, FEATURE)
    return Clone(folder, first, second, unmerged)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return make_clone(tmp_path_factory.mktemp("git") / "clone")


def refusal_of(folder: Path, commit_id: str, bundle: str, branches: Sequence[str] = (MAIN,)) -> Refusal | None:
    try:
        Ancestry(folder).require(commit_id, ReachableRule(bundle=bundle, branches=tuple(branches)))
    except Refusal as refusal:
        return refusal
    return None


def test_a_commit_on_the_branch_is_found(clone: Clone) -> None:
    assert refusal_of(clone.folder, clone.first, "main.bundle") is None
    assert refusal_of(clone.folder, clone.second, "main.bundle") is None
    assert refusal_of(clone.folder, clone.unmerged, "both.bundle", [MAIN, FEATURE]) is None


@pytest.mark.parametrize("bundle", ["main.bundle", "both.bundle"])
def test_a_commit_beside_the_branch_is_refused(clone: Clone, bundle: str) -> None:
    """Also where the bundle has it on another branch: being there is not being on main."""
    refusal = refusal_of(clone.folder, clone.unmerged, bundle)
    assert refusal is not None
    assert refusal.reason is Reason.SOURCE_UNREACHABLE
    assert refusal.evidence == {"expected": MAIN, "found": clone.unmerged}


@pytest.mark.parametrize("commit_id", ["", "main", "--all", "HEAD", "ab" * 19, "AB" * 20, "ab" * 20])
def test_what_is_no_commit_of_the_branch_is_refused(clone: Clone, commit_id: str) -> None:
    refusal = refusal_of(clone.folder, commit_id, "main.bundle")
    assert refusal is not None
    assert refusal.reason is Reason.SOURCE_UNREACHABLE


def test_a_repository_of_sha256_ids_is_read(tmp_path: Path) -> None:
    clone = make_clone(tmp_path / "clone", kind="sha256")
    assert len(clone.first) == 64
    assert refusal_of(clone.folder, clone.first, "main.bundle") is None
    other = refusal_of(clone.folder, "ab" * 20, "main.bundle")
    assert other is not None
    assert other.reason is Reason.SOURCE_UNAVAILABLE


def test_without_a_bundle_that_can_be_read_there_is_no_telling(clone: Clone, tmp_path: Path) -> None:
    (tmp_path / "empty.bundle").touch()
    (tmp_path / "text.bundle").write_text("# v2 git bundle\n\n")
    (tmp_path / "folder.bundle").mkdir()
    cut = (clone.folder / "main.bundle").read_bytes()[:-30]
    (tmp_path / "cut.bundle").write_bytes(cut)
    git(clone.folder, "bundle", "create", "--quiet", str(tmp_path / "thin.bundle"), f"{clone.first}..{MAIN}")
    for name in ("gone", "empty", "text", "folder", "cut", "thin"):
        refusal = refusal_of(tmp_path, clone.second, f"{name}.bundle")
        assert refusal is not None, name
        assert refusal.reason is Reason.SOURCE_UNAVAILABLE, name


def test_a_branch_that_the_bundle_lacks_is_no_answer(clone: Clone) -> None:
    refusal = refusal_of(clone.folder, clone.first, "main.bundle", ["refs/heads/gone"])
    assert refusal is not None
    assert refusal.reason is Reason.SOURCE_UNAVAILABLE


def test_without_git_there_is_no_answer(clone: Clone, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    refusal = refusal_of(clone.folder, clone.first, "main.bundle")
    assert refusal is not None
    assert refusal.reason is Reason.SOURCE_UNAVAILABLE
    assert "no program git" in refusal.detail


def test_replaced_objects_and_the_users_settings_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replacement that makes the unmerged commit a parent of main's, and hooks in the user's configuration."""
    clone = make_clone(tmp_path / "clone")
    git(clone.folder, "replace", "--graft", clone.second, clone.unmerged)
    git(clone.folder, "bundle", "create", "--quiet", "main.bundle", MAIN, "--all")
    proof = tmp_path / "run"
    hook = tmp_path / "hooks" / "reference-transaction"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\ntouch {proof}\n")
    hook.chmod(0o755)
    (tmp_path / ".gitconfig").write_text(f"[core]\n\thooksPath = {hook.parent}\n[init]\n\ttemplateDir = {tmp_path}\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.hooksPath")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", str(hook.parent))
    assert refusal_of(clone.folder, clone.first, "main.bundle") is None
    refusal = refusal_of(clone.folder, clone.unmerged, "main.bundle")
    assert refusal is not None
    assert refusal.reason is Reason.SOURCE_UNREACHABLE
    assert not proof.exists()


def test_a_bundle_is_read_once(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    known = Ancestry(clone.folder)
    rule = ReachableRule(bundle="main.bundle", branches=(MAIN,))
    known.require(clone.first, rule)
    monkeypatch.setenv("PATH", "")
    known.require(clone.second, rule)
    lost = Ancestry(clone.folder)
    for _ in range(2):
        with pytest.raises(Refusal) as refusal:
            lost.require(clone.first, rule)
        assert refusal.value.reason is Reason.SOURCE_UNAVAILABLE


def test_bounds_hold(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    for bound, value in (("MAX_COMMITS", 1), ("MAX_BUNDLE_BYTES", 10), ("MAX_SECONDS", 0.0)):
        with monkeypatch.context() as patch:
            patch.setattr(ancestry, bound, value)
            refusal = refusal_of(clone.folder, clone.first, "main.bundle")
            assert refusal is not None, bound
            assert refusal.reason is Reason.SOURCE_UNAVAILABLE, bound


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(place=st.integers(0, 600), piece=st.binary(min_size=1, max_size=8))
def test_a_bundle_with_any_piece_replaced_never_puts_a_commit_on_the_branch(
    clone: Clone, tmp_path: Path, place: int, piece: bytes
) -> None:
    content = (clone.folder / "both.bundle").read_bytes()
    where = place % len(content)
    path = tmp_path / "changed.bundle"
    path.write_bytes(content[:where] + piece + content[where + len(piece) :])
    refusal = refusal_of(tmp_path, clone.unmerged, "changed.bundle")
    assert refusal is not None
    assert refusal.reason in (Reason.SOURCE_UNAVAILABLE, Reason.SOURCE_UNREACHABLE)
