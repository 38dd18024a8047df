"""The state of the source: which commit a release is made from, and whether the files are that commit's.

Git is asked, never changed, and asked alike everywhere: no configuration of the user's or the system's is read (an
ignore list of theirs would hide an untracked file), and a checkout that another user owns is read too, as in a CI
container. Both are set by the environment of the one call, so nobody's configuration changes.
"""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dhallmark.errors import InputError, Location, ToolError

_SHOWN = 5
_SHA1_LENGTH = 40
_TIMEOUT = 120.0

_SETTINGS = (
    # The owner of the checkout is often not the user of the container. Only the command scope is read for this key.
    ("safe.directory", "*"),
    # Nothing that the checkout's own configuration names is run.
    ("core.fsmonitor", "false"),
    ("core.hooksPath", os.devnull),
    ("core.quotePath", "false"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """What a release is made from."""

    repository: str | None
    """URI of the repository, as `dhallmark.yaml` gives it; a checkout cannot prove its own address."""
    revision: str
    """The commit, in hex (SHA-1 or SHA-256, as the repository has it)."""
    tree: str
    """The tree object of the project's folder in that commit, in hex."""
    folder: str
    """The project's folder in the repository, with `/`; empty at the top."""
    dirty: bool
    """True where a file below the folder differs from the commit's, is not in it, or is missing."""
    commit_time: int
    """Committer's time of the commit, seconds since 1970: the SOURCE_DATE_EPOCH of everything that is made."""
    changes: tuple[str, ...] = ()
    """The paths that make it dirty, relative to the project, sorted."""

    def to_json(self) -> dict[str, object]:
        """The state as `plan.json` records it."""
        body: dict[str, object] = {"revision": self.revision, "tree": self.tree, "dirty": self.dirty}
        if self.repository is not None:
            body["repository"] = self.repository
        if self.folder:
            body["folder"] = self.folder
        return body


def read_source(
    root: Path, *, allow_dirty: bool, repository: str | None = None, build: Path | None = None
) -> SourceState:
    """The state of the project in the folder `root`.

    `build`, if it lies below `root`, is what the release itself writes, and is not looked at. Raises InputError where
    there is no commit to name, or where the tree is dirty and `allow_dirty` is not set; ToolError where Git fails.
    """
    root = root.resolve()
    git = _Git(root)
    folder = git.folder()
    revision = git.line("rev-parse", "--verify", "--end-of-options", "HEAD^{commit}")
    try:
        tree = git.line("rev-parse", "--verify", "--end-of-options", f"{revision}:{folder}")
    except ToolError as error:
        raise InputError(
            "this folder is not in the commit that is checked out",
            where=Location(file=str(root)),
            hint="commit it; a release names the commit that it is made from",
        ) from error
    changes = git.changes(folder, build=build)
    state = SourceState(
        repository=repository,
        revision=revision,
        tree=tree,
        folder=folder,
        dirty=bool(changes),
        commit_time=int(git.line("show", "--no-patch", "--format=%ct", revision)),
        changes=changes,
    )
    if state.dirty and not allow_dirty:
        raise _dirty(changes, root=root)
    return state


def source_files(root: Path, *, build: Path | None = None) -> tuple[str, ...]:
    """The files of the project that Git tracks or would track, relative to `root`, sorted; not those in `build`.

    Files that the project's own ignore lists name are left out. Raises InputError without a repository.
    """
    root = root.resolve()
    git = _Git(root)
    git.folder()
    found = git.paths("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *_below(root, build))
    return tuple(sorted(path for path in set(found) if os.path.lexists(root / path)))


def read_commit(root: Path, *, commit: str, folder: str = "") -> tuple[SourceState, dict[str, bytes]]:
    """The state of `commit` in the clone `root` (bare or not), and the files below its `folder`, as they are committed.

    Neither attributes nor filters of the repository change a byte. Links and submodules are left out: no release reads
    them. Raises InputError where there is no such commit or folder, ToolError where Git fails.
    """
    git = _Git(root)
    try:
        revision = git.line("rev-parse", "--verify", "--end-of-options", f"{commit}^{{commit}}")
        tree = git.line("rev-parse", "--verify", "--end-of-options", f"{revision}:{folder}")
    except ToolError as error:
        if error.status is None:
            raise
        raise InputError(
            f"no commit {commit!r}" + (f" with a folder {folder!r}" if folder else ""),
            where=Location(file=str(root)),
            hint="fetch it first, with all of its history: `git fetch --unshallow`",
        ) from error
    names = {}
    for entry in git.paths("ls-tree", "-r", "-z", "--full-tree", "--end-of-options", tree):
        description, _, path = entry.partition("\t")
        mode, _, name = description.split(" ")
        if stat.S_ISREG(int(mode, 8)):
            names[path] = name
    state = SourceState(
        repository=None,
        revision=revision,
        tree=tree,
        folder=folder,
        dirty=False,
        commit_time=int(git.line("show", "--no-patch", "--format=%ct", revision)),
    )
    return state, dict(zip(names, git.contents(list(names.values())), strict=True))


def uncommitted(root: Path, paths: Collection[str], *, state: SourceState) -> tuple[str, ...]:
    """Those of `paths` (relative to `root`) that are not, byte for byte, files of the commit; sorted.

    This sees what a status can be told to overlook: ignored files, and files marked as unchanged in the index.
    """
    root = root.resolve()
    committed: dict[str, str] = {}
    for entry in _Git(root).paths("ls-tree", "-r", "-z", "--full-tree", "--end-of-options", state.tree):
        description, _, path = entry.partition("\t")
        mode, _, name = description.split(" ")
        if stat.S_ISREG(int(mode, 8)):
            committed[path] = name
    return tuple(sorted(path for path in set(paths) if not _is_blob(root / path, committed.get(path))))


def require_committed(root: Path, paths: Collection[str], *, state: SourceState, allow_dirty: bool) -> SourceState:
    """`state`, made dirty where one of `paths` is not the commit's. Raises InputError unless `allow_dirty`."""
    changes = uncommitted(root, paths, state=state)
    if not changes:
        return state
    if not allow_dirty:
        raise _dirty(changes, root=root)
    return SourceState(
        repository=state.repository,
        revision=state.revision,
        tree=state.tree,
        folder=state.folder,
        dirty=True,
        commit_time=state.commit_time,
        changes=tuple(sorted({*state.changes, *changes})),
    )


def _dirty(changes: Sequence[str], *, root: Path) -> InputError:
    # A name may hold bytes that are no UTF-8; the message must be printable all the same.
    shown = ", ".join(os.fsencode(change).decode(errors="backslashreplace") for change in changes[:_SHOWN])
    if len(changes) > _SHOWN:
        shown += f" and {len(changes) - _SHOWN} more"
    return InputError(
        f"the source differs from its commit: {shown}",
        where=Location(file=str(root)),
        hint="commit or remove them; --allow-dirty goes on, marks the release as dirty, and the default policy "
        "rejects it",
    )


def _is_blob(path: Path, name: str | None) -> bool:
    """Whether the file's bytes are those of the Git blob `name`."""
    if name is None or path.is_symlink() or not path.is_file():
        return False
    content = path.read_bytes()
    algorithm = "sha1" if len(name) == _SHA1_LENGTH else "sha256"
    digest = hashlib.new(algorithm, b"blob %d\0" % len(content), usedforsecurity=False)
    digest.update(content)
    return digest.hexdigest() == name


def _below(root: Path, build: Path | None) -> list[str]:
    """Pathspecs of the project without its build directory, relative to the project."""
    specs = ["."]
    if build is not None and (build := build.resolve()).is_relative_to(root) and build != root:
        specs.append(f":(exclude,literal){build.relative_to(root).as_posix()}")
    return specs


class _Git:
    """Calls of the `git` program in one folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        environment |= {
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_COUNT": str(len(_SETTINGS)),
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C",
        }
        for index, (key, value) in enumerate(_SETTINGS):
            environment[f"GIT_CONFIG_KEY_{index}"] = key
            environment[f"GIT_CONFIG_VALUE_{index}"] = value
        self._environment = environment

    def folder(self) -> str:
        """The folder below the top of its work tree. Raises InputError where there is no work tree or no commit."""
        try:
            prefix = self.line("rev-parse", "--show-prefix")
        except ToolError as error:
            if error.status is None:
                raise
            raise InputError(
                "this folder is not in a Git work tree",
                where=Location(file=str(self._root)),
                hint="release from a clone: an unpacked archive has no commit that the provenance could name",
            ) from error
        try:
            self.line("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        except ToolError as error:
            raise InputError(
                "this repository has no commit yet",
                where=Location(file=str(self._root)),
                hint="commit the project; a release names the commit that it is made from",
            ) from error
        return prefix.rstrip("/")

    def changes(self, folder: str, *, build: Path | None) -> tuple[str, ...]:
        records = self.paths(
            "status",
            "--porcelain=v1",
            "-z",
            "--no-renames",
            "--untracked-files=all",
            "--ignore-submodules=none",
            "--",
            *_below(self._root, build),
        )
        # Paths of this format start at the top of the work tree; three characters of status precede them.
        start = 3 + (len(folder) + 1 if folder else 0)
        return tuple(sorted({record[start:] for record in records}))

    def line(self, *arguments: str) -> str:
        return self._run(*arguments).rstrip("\n")

    def paths(self, *arguments: str) -> list[str]:
        return [part for part in self._run(*arguments).split("\0") if part]

    def contents(self, names: Sequence[str]) -> Iterator[bytes]:
        """The blobs `names`, in that order (git-cat-file(1), "Batch output")."""
        output = os.fsencode(self._run("cat-file", "--batch", given="\n".join(names).encode()))
        start = 0
        for name in names:
            end = output.index(b"\n", start)
            found, kind, size = output[start:end].decode().split(" ")
            if (found, kind) != (name, "blob"):
                raise ToolError(f"git cat-file answered with {found} for {name}", command=("git", "cat-file"))
            yield output[end + 1 : end + 1 + int(size)]
            start = end + 1 + int(size) + 1

    def _run(self, *arguments: str, given: bytes = b"") -> str:
        command = ("git", "-C", str(self._root), *arguments)
        try:
            done = subprocess.run(
                command,
                env=self._environment,
                input=given,
                capture_output=True,
                timeout=_TIMEOUT,
                check=False,
            )
        except FileNotFoundError as error:
            raise ToolError("git is not installed", command=command, hint="install Git") from error
        except subprocess.TimeoutExpired as error:
            raise ToolError(f"git did not end within {_TIMEOUT:.0f} s", command=command) from error
        stderr = done.stderr.decode(errors="replace").strip()
        if done.returncode != 0:
            raise ToolError(
                f"git {arguments[0]} failed: {stderr or done.returncode}",
                command=command,
                status=done.returncode,
                stderr=stderr,
            )
        return os.fsdecode(done.stdout)
