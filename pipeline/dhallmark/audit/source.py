"""A commit that the auditor names, as the materials of a rebuild, or as what a release's own are compared with."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from dhallmark.audit.materials import Materials
from dhallmark.audit.record import BuildRecord
from dhallmark.config.load import parse_config
from dhallmark.config.model import Config
from dhallmark.errors import InputError, Location, ToolError
from dhallmark.reasons import Reason
from dhallmark.steps.source import SourceState, read_commit
from dhallmark.verify.refusal import Refusal

_CLONE_SECONDS = 300
_MAX_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A commit of the project, read whole."""

    state: SourceState
    files: Mapping[str, bytes]
    """Those below the project's folder, by their path in it."""
    config: str
    """The name of `dhallmark.yaml` in that folder."""

    def settings(self) -> Config:
        """The configuration at that commit. Raises ConfigError."""
        return parse_config(self.files[self.config], file=self.config)

    def materials(self) -> Materials:
        """The commit's files. What its frozen imports yield is not among them."""
        return Materials(self.files, {}, None, f"commit {self.state.revision}")


def open_commit(repository: Path, *, commit: str, config: str) -> Commit:
    """Read `commit` of the clone `repository`. `config` is the path of `dhallmark.yaml` in the repository.

    Raises InputError where there is none of them, ToolError where Git fails.
    """
    folder, _, name = config.rpartition("/")
    state, files = read_commit(repository, commit=commit, folder=folder)
    if name not in files:
        raise InputError(
            f"the commit {state.revision} has no {config}",
            where=Location(file=str(repository)),
            hint="name the path of dhallmark.yaml in the repository with --config",
        )
    return Commit(state=state, files=files, config=name)


@contextmanager
def clone_of(source: str) -> Iterator[Path]:
    """A folder that Git can be asked in: `source` itself, or a bare clone of the URL that it is. Raises ToolError."""
    if "://" not in source and not source.startswith("git@"):
        yield Path(source)
        return
    with TemporaryDirectory(prefix="dhallmark-source-") as folder:
        command = ("git", "clone", "--quiet", "--bare", "--", source, folder)
        environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1"}
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=_CLONE_SECONDS, check=False
            )
        except FileNotFoundError as error:
            raise ToolError("git is not installed", command=command, hint="install Git") from error
        except subprocess.TimeoutExpired as error:
            raise ToolError(f"git did not clone within {_CLONE_SECONDS} s", command=command) from error
        if done.returncode != 0:
            raise ToolError("git cannot clone the source", command=command, status=done.returncode, stderr=done.stderr)
        yield Path(folder)


def require_commit(commit: Commit, record: BuildRecord, materials: Materials | None) -> None:
    """Refuse a record, or materials, that are not of `commit`: another revision or tree, a file that differs."""
    said = record.summary
    for expected, found, what in (
        (commit.state.revision, said.revision, "commit"),
        (commit.state.tree, said.tree, "source tree"),
    ):
        if found and found != expected:
            raise Refusal(
                Reason.MATERIAL_MISMATCH, f"the record is of another {what}", expected=expected, found=found
            )  # fmt: skip
    if materials is None or materials.closure is None:
        return
    odd = [name for name, content in sorted(materials.source.items()) if commit.files.get(name) != content]
    if odd:
        shown = ", ".join(odd[:_MAX_SHOWN]) + (" …" if len(odd) > _MAX_SHOWN else "")
        raise Refusal(Reason.MATERIAL_MISMATCH, f"files of the materials bundle are not the commit's: {shown}")
