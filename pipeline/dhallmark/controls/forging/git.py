"""Git bundles of the forger's: a branch with one commit, for policies that want to see a commit on a branch."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from dhallmark.control import NotApplicableError

BRANCH = "refs/heads/main"
_PERSON = "Control <control@forge.test> 0 +0000"


def make_bundle() -> tuple[bytes, str]:
    """A bundle with the branch `refs/heads/main`, and the id of its commit. Raises NotApplicableError without Git."""
    with tempfile.TemporaryDirectory(prefix="dhallmark-git-") as folder:
        repository = Path(folder) / "repository.git"
        _git(repository, "init", "--quiet", "--bare", "--template=", str(repository))
        tree = _git(repository, "hash-object", "-t", "tree", "-w", "--stdin").decode().strip()
        commit = f"tree {tree}\nauthor {_PERSON}\ncommitter {_PERSON}\n\nA commit of a control\n".encode()
        name = _git(repository, "hash-object", "-t", "commit", "-w", "--stdin", given=commit).decode().strip()
        _git(repository, "update-ref", BRANCH, name)
        bundle = Path(folder) / "source.bundle"
        _git(repository, "bundle", "create", "--quiet", str(bundle), BRANCH)
        return bundle.read_bytes(), name


def _git(repository: Path, *arguments: str, given: bytes = b"") -> bytes:
    # None of the user's own settings, which could sign commits or run hooks.
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(repository.parent),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_DIR": str(repository),
    }
    try:
        return subprocess.run(["git", *arguments], input=given, capture_output=True, check=True, env=environment).stdout
    except FileNotFoundError as error:
        raise NotApplicableError("there is no program git to make a branch with") from error
    except subprocess.CalledProcessError as error:
        raise NotApplicableError(f"git made no branch: {error.stderr.decode(errors='replace')[:200]}") from error
