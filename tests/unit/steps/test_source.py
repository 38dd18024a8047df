"""The state of the source: what makes it dirty, and who can hide that."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from dhallmark.errors import InputError, ToolError
from dhallmark.steps.source import SourceState, read_source, require_committed, source_files, uncommitted

_TIME = "1700000000 +0200"


def git(folder: Path, *arguments: str) -> str:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_DATE": _TIME,
        "GIT_COMMITTER_DATE": _TIME,
    }
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "safe.directory=*")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with the project in its folder `platform`."""
    top = tmp_path / "repository"
    project = top / "platform"
    (project / "apps").mkdir(parents=True)
    git(top, "init", "--quiet", "--initial-branch=main")
    (top / "README").write_text("top\n")
    (top / ".gitignore").write_text("*.tmp\nbuild/\n")
    (project / "dhallmark.yaml").write_text("schemaVersion: 1\n")
    (project / "apps" / "web.dhall").write_text("[] : List {}\n")
    git(top, "add", ".")
    git(top, "commit", "--quiet", "--message=first")
    return top


def state(project: Path, *, allow_dirty: bool = True, build: Path | None = None) -> SourceState:
    return read_source(project, allow_dirty=allow_dirty, build=build)


def test_a_clean_folder_of_a_repository_names_commit_tree_and_time(repository: Path) -> None:
    found = read_source(repository / "platform", allow_dirty=False, repository="https://git.example.org/acme/platform")
    assert found == SourceState(
        repository="https://git.example.org/acme/platform",
        revision=git(repository, "rev-parse", "HEAD"),
        tree=git(repository, "rev-parse", "HEAD:platform"),
        folder="platform",
        dirty=False,
        commit_time=1700000000,
    )
    assert found.to_json() == {
        "repository": "https://git.example.org/acme/platform",
        "revision": found.revision,
        "tree": found.tree,
        "folder": "platform",
        "dirty": False,
    }


def test_the_top_of_a_repository_is_a_project_too(repository: Path) -> None:
    found = state(repository)
    assert (found.folder, found.tree, found.dirty) == ("", git(repository, "rev-parse", "HEAD^{tree}"), False)
    assert "folder" not in found.to_json()


def _edit(project: Path) -> None:
    (project / "apps" / "web.dhall").write_text("[1]\n")


def _remove(project: Path) -> None:
    (project / "apps" / "web.dhall").unlink()


def _add(project: Path) -> None:
    (project / "apps" / "new.dhall").write_text("1\n")


def _stage(project: Path) -> None:
    _add(project)
    git(project, "add", "apps/new.dhall")


def _executable(project: Path) -> None:
    (project / "apps" / "web.dhall").chmod(0o755)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (_edit, "apps/web.dhall"),
        (_remove, "apps/web.dhall"),
        (_add, "apps/new.dhall"),
        (_stage, "apps/new.dhall"),
        (_executable, "apps/web.dhall"),
    ],
)
def test_a_changed_tree_is_refused_unless_allowed_and_then_marked(
    repository: Path, change: Callable[[Path], None], path: str
) -> None:
    project = repository / "platform"
    change(project)
    with pytest.raises(InputError, match=path) as caught:
        read_source(project, allow_dirty=False)
    assert "--allow-dirty" in str(caught.value)
    found = state(project)
    assert (found.dirty, found.changes) == (True, (path,))
    assert found.to_json()["dirty"] is True


def test_changes_beside_the_project_and_in_its_build_directory_do_not_count(repository: Path) -> None:
    project = repository / "platform"
    (repository / "README").write_text("changed\n")
    (repository / "beside.dhall").write_text("1\n")
    (project / "out").mkdir()
    (project / "out" / "plan.json").write_text("{}\n")
    assert not state(project, build=project / "out").dirty
    assert state(project, build=project / "build").changes == ("out/plan.json",)
    assert state(repository).dirty


def test_a_build_directory_with_the_letters_of_a_pattern_hides_nothing_else(repository: Path) -> None:
    project = repository / "platform"
    _add(project)
    (project / "*").mkdir()
    assert state(project, build=project / "*").changes == ("apps/new.dhall",)


def test_ignore_lists_of_the_user_hide_no_file(
    repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(f"[core]\n\texcludesFile = {home}/ignore\n")
    (home / "ignore").write_text("*.dhall\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(home / ".gitconfig"))
    _add(repository / "platform")
    assert state(repository / "platform").changes == ("apps/new.dhall",)


def test_the_environment_of_a_git_hook_does_not_lead_elsewhere(
    repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "--quiet")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / "index"))
    assert state(repository / "platform").revision == git(repository, "rev-parse", "HEAD")


def test_a_checkout_that_another_user_owns_is_read_without_configuring_git(repository: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    for folder, _, names in os.walk(repository):
        for path in (folder, *(os.path.join(folder, name) for name in names)):  # noqa: PTH118
            os.chown(path, 12345, 12345)
    plain = subprocess.run(
        ["git", "-c", "safe.directory=", "status"],
        cwd=repository,
        env={"PATH": os.environ["PATH"], "HOME": "/nowhere", "GIT_CONFIG_NOSYSTEM": "1"},
        capture_output=True,
        check=False,
    )
    assert b"dubious ownership" in plain.stderr
    assert not state(repository / "platform").dirty


def test_what_the_checkout_configures_is_not_run(repository: Path, tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {trace}\n")
    program.chmod(0o755)
    git(repository, "config", "core.fsmonitor", str(program))
    git(repository, "config", "core.hooksPath", str(tmp_path))
    state(repository / "platform")
    assert not trace.exists()


def test_an_unpacked_archive_has_no_commit(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not in a Git work tree") as caught:
        state(tmp_path)
    assert "clone" in str(caught.value.hint)


def test_a_repository_without_a_commit_is_refused(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    with pytest.raises(InputError, match="no commit yet"):
        state(tmp_path)


def test_a_folder_that_the_commit_lacks_is_refused(repository: Path) -> None:
    (repository / "new").mkdir()
    (repository / "new" / "dhallmark.yaml").write_text("a: 1\n")
    with pytest.raises(InputError, match="not in the commit"):
        state(repository / "new")


def test_a_machine_without_git_is_told_so(repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match="git is not installed"):
        state(repository / "platform")


def test_source_files_are_those_that_git_tracks_or_would_track(repository: Path) -> None:
    project = repository / "platform"
    _add(project)
    (project / "ignored.tmp").write_text("x\n")
    (project / "out").mkdir()
    (project / "out" / "x").write_text("x\n")
    assert source_files(project, build=project / "out") == ("apps/new.dhall", "apps/web.dhall", "dhallmark.yaml")
    (project / "apps" / "web.dhall").unlink()
    assert "apps/web.dhall" not in source_files(project, build=project / "out")


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_a_change_that_the_index_hides_is_seen_in_a_material(repository: Path, flag: str) -> None:
    project = repository / "platform"
    git(project, "update-index", flag, "apps/web.dhall")
    _edit(project)
    found = state(project)
    assert not found.dirty, "a status cannot see it"
    assert uncommitted(project, ["apps/web.dhall", "dhallmark.yaml"], state=found) == ("apps/web.dhall",)
    with pytest.raises(InputError, match=r"apps/web\.dhall"):
        require_committed(project, ["apps/web.dhall"], state=found, allow_dirty=False)
    marked = require_committed(project, ["apps/web.dhall"], state=found, allow_dirty=True)
    assert (marked.dirty, marked.changes, marked.revision) == (True, ("apps/web.dhall",), found.revision)


def test_an_ignored_material_is_not_the_commits(repository: Path) -> None:
    project = repository / "platform"
    (project / "secret.tmp").write_text("x\n")
    assert uncommitted(project, ["secret.tmp"], state=state(project)) == ("secret.tmp",)


def test_a_material_that_is_a_link_is_not_the_commits(repository: Path) -> None:
    project = repository / "platform"
    content = (project / "apps" / "web.dhall").read_bytes()
    (repository / "elsewhere").write_bytes(content)
    (project / "apps" / "web.dhall").unlink()
    (project / "apps" / "web.dhall").symlink_to(repository / "elsewhere")
    assert uncommitted(project, ["apps/web.dhall"], state=state(project)) == ("apps/web.dhall",)


def test_committed_materials_leave_the_state_as_it_is(repository: Path) -> None:
    project = repository / "platform"
    found = state(project)
    assert require_committed(project, ["apps/web.dhall"], state=found, allow_dirty=False) is found


def test_a_repository_with_sha256_objects_is_read(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--object-format=sha256")
    (tmp_path / "a").write_text("a\n")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "--quiet", "--message=first")
    found = state(tmp_path)
    assert (len(found.revision), len(found.tree)) == (64, 64)
    assert uncommitted(tmp_path, ["a"], state=found) == ()


def test_a_worktree_is_read(repository: Path, tmp_path: Path) -> None:
    git(repository, "worktree", "add", "--quiet", str(tmp_path / "tree"), "--detach", "HEAD")
    assert state(tmp_path / "tree" / "platform").revision == git(repository, "rev-parse", "HEAD")


def test_two_clones_have_the_same_state(repository: Path, tmp_path: Path) -> None:
    git(repository, "clone", "--quiet", "--depth=1", f"file://{repository}", str(tmp_path / "clone"))
    assert state(tmp_path / "clone" / "platform") == state(repository / "platform")
    shutil.rmtree(tmp_path / "clone")
