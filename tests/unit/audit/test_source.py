"""A commit that an auditor names: read as it is committed, and compared with the record."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from dhallmark.audit.materials import Materials
from dhallmark.audit.model import RecordSummary
from dhallmark.audit.record import BuildRecord
from dhallmark.audit.source import Commit, clone_of, open_commit, require_commit
from dhallmark.errors import InputError, ToolError
from dhallmark.reasons import Reason
from dhallmark.render.closure import Closure
from dhallmark.verify.refusal import Refusal


def git(folder: Path, *words: str) -> str:
    who = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER")
           for key, value in (("NAME", "A"), ("EMAIL", "a@example"), ("DATE", "1700000000 +0000"))}  # fmt: skip
    env = {**os.environ, **who, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    return subprocess.run(["git", *words], cwd=folder, env=env, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository whose attributes would change files where Git is let."""
    folder = tmp_path / "clone"
    (folder / "deploy" / "apps").mkdir(parents=True)
    git(tmp_path, "init", "--quiet", "--initial-branch=main", str(folder))
    (folder / "deploy" / "dhallmark.yaml").write_bytes(b"a: 1\r\n$Id$\n")
    (folder / "deploy" / "apps" / "web.dhall").write_bytes(b"[]\n\xff\x00")
    (folder / "deploy" / "apps" / "empty").write_bytes(b"")
    (folder / "deploy" / "link").symlink_to("dhallmark.yaml")
    (folder / ".gitattributes").write_text("* export-subst ident eol=crlf\ndeploy/apps export-ignore\n")
    git(folder, "-c", "core.autocrlf=false", "add", "--all")
    git(folder, "commit", "--quiet", "--message=first")
    return folder


def test_files_are_those_of_the_commit_byte_for_byte_whatever_lies_in_the_clone(clone: Path) -> None:
    (clone / "deploy" / "dhallmark.yaml").write_text("changed: true\n")
    commit = open_commit(clone, commit="HEAD", config="deploy/dhallmark.yaml")
    assert set(commit.files) == {"dhallmark.yaml", "apps/web.dhall", "apps/empty"}
    assert commit.files["apps/web.dhall"] == b"[]\n\xff\x00"
    assert commit.files["apps/empty"] == b""
    assert commit.state.commit_time == 1700000000
    assert commit.state.tree == git(clone, "rev-parse", "HEAD:deploy").strip()


@pytest.mark.parametrize(
    ("commit", "config"),
    [("0" * 40, "deploy/dhallmark.yaml"), ("HEAD", "elsewhere/dhallmark.yaml"), ("HEAD", "deploy/other.yaml"),
     ("--help", "deploy/dhallmark.yaml")],
)  # fmt: skip
def test_what_is_not_in_the_clone_is_an_error_of_the_auditors(clone: Path, commit: str, config: str) -> None:
    with pytest.raises(InputError):
        open_commit(clone, commit=commit, config=config)


def test_a_url_is_cloned_and_a_path_is_not(clone: Path, tmp_path: Path) -> None:
    with clone_of(str(clone)) as found:
        assert found == clone
    with clone_of(f"file://{clone}") as found:
        assert found != clone
        assert open_commit(found, commit="main", config="deploy/dhallmark.yaml").files
    assert not found.exists()
    with pytest.raises(ToolError), clone_of(f"file://{tmp_path}/nowhere"):
        pass


def record(commit: Commit, **changes: str) -> BuildRecord:
    said = {"revision": commit.state.revision, "tree": commit.state.tree, **changes}
    return BuildRecord(summary=RecordSummary(**said), lacks=(), needs=())


def test_a_record_or_a_bundle_of_something_else_is_refused(clone: Path) -> None:
    commit = open_commit(clone, commit="HEAD", config="deploy/dhallmark.yaml")
    closure = Closure(dhall="1.42.1", imports=(), units=())
    same = Materials({"apps/web.dhall": commit.files["apps/web.dhall"]}, {}, closure)
    require_commit(commit, record(commit), same)
    require_commit(commit, record(commit, revision=""), None)
    cases = [
        (record(commit, revision="0" * 40), same),
        (record(commit, tree="0" * 40), same),
        (record(commit), Materials({"apps/web.dhall": b"[1]\n"}, {}, closure)),
        (record(commit), Materials({"apps/new.dhall": b"[]\n"}, {}, closure)),
    ]
    for said, materials in cases:
        with pytest.raises(Refusal) as refused:
            require_commit(commit, said, materials)
        assert refused.value.reason is Reason.MATERIAL_MISMATCH
