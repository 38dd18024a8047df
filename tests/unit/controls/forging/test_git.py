"""The forger's Git bundle, as the verifier reads it; and a machine without Git."""

from __future__ import annotations

from pathlib import Path

import pytest

from dhallmark.config.identities import ReachableRule
from dhallmark.control import NotApplicableError
from dhallmark.controls.forging.git import BRANCH, make_bundle
from dhallmark.reasons import Reason
from dhallmark.verify.ancestry import Ancestry
from dhallmark.verify.refusal import Refusal


def test_its_commit_stands_on_the_branch_and_no_other_does(tmp_path: Path) -> None:
    bundle, commit = make_bundle()
    (tmp_path / "source.bundle").write_bytes(bundle)
    rule = ReachableRule(bundle="source.bundle", branches=(BRANCH,))
    ancestry = Ancestry(tmp_path)
    ancestry.require(commit, rule)
    with pytest.raises(Refusal) as caught:
        ancestry.require("0" * 40, rule)
    assert caught.value.reason is Reason.SOURCE_UNREACHABLE
    assert make_bundle()[1] == commit


def test_without_git_the_control_does_not_apply(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotApplicableError, match="git"):
        make_bundle()
    git = tmp_path / "git"
    git.write_text("#!/bin/sh\necho broken >&2\nexit 1\n")
    git.chmod(0o755)
    with pytest.raises(NotApplicableError, match="broken"):
        make_bundle()
