"""Which commits stand on a branch, looked up in a Git bundle: offline, and safe with a bundle that an enemy made.

A commit's id says nothing of where the commit stands: forges serve the commits of a fork under the repository's own
name, so an allow-list of ids, or an expression for them, admits what never was on a branch (C18). The bundle is a file
that `git bundle create FILE refs/heads/main` wrote in a clone that the policy's owner trusts.

Git itself reads it, in an empty repository of its own: no configuration of the user's or the machine's, no hooks, no
template, no network, no lazy fetching, no replaced objects; bounded in time, memory and the size of files.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dhallmark.config.identities import ReachableRule
from dhallmark.reasons import Reason
from dhallmark.rlimits import restrict
from dhallmark.verify.refusal import Refusal

MAX_BUNDLE_BYTES = 1024 * 1024 * 1024
MAX_COMMITS = 1_000_000
"""Most commits of the branches together. The Linux kernel has 1.4 million, a platform's repository some thousand."""
MAX_SECONDS = 120.0
"""For each call of Git."""
_MAX_MEMORY = 4 * 1024 * 1024 * 1024
_LIMITS = {
    resource.RLIMIT_AS: _MAX_MEMORY,
    resource.RLIMIT_FSIZE: 2 * MAX_BUNDLE_BYTES,
    resource.RLIMIT_CORE: 0,
}
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SHA256_HEX = 64
_SETTINGS: Mapping[str, str] = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.bigFileThreshold": "1m",
    "fetch.fsckObjects": "true",
    "fetch.recurseSubmodules": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "protocol.allow": "never",
    "protocol.file.allow": "always",
    "transfer.bundleURI": "false",
}
"""A bundle counts as a file to Git; every other way to fetch is shut."""


@dataclass(slots=True)
class Ancestry:
    """The commits on the branches that a policy names; each bundle is read once, when it is first asked for."""

    folder: Path
    """What the paths of bundles are relative to."""
    _known: dict[tuple[ReachableRule, int], frozenset[bytes] | Refusal] = field(default_factory=dict)

    def require(self, commit: str, rule: ReachableRule) -> None:
        """Refuse a `commit` that is not reachable from one of the rule's branches.

        `source.unreachable` where the bundle does not have it there; `source.unavailable` where there is no telling.
        """
        if not _COMMIT.fullmatch(commit):
            raise Refusal(Reason.SOURCE_UNREACHABLE, "what should be a commit is none", found=commit[:100])
        key = (rule, len(commit))
        if key not in self._known:
            try:
                self._known[key] = read_commits(self.folder / rule.bundle, rule.branches, hex_digits=len(commit))
            except Refusal as refusal:
                self._known[key] = refusal
        found = self._known[key]
        if isinstance(found, Refusal):
            raise Refusal(found.reason, found.detail, **found.evidence)
        if bytes.fromhex(commit) not in found:
            raise Refusal(
                Reason.SOURCE_UNREACHABLE,
                f"the commit is on none of the branches, as {rule.bundle} has them",
                expected=" or ".join(rule.branches),
                found=commit,
            )


def read_commits(bundle: Path, branches: Sequence[str], *, hex_digits: int = 40) -> frozenset[bytes]:
    """Every commit that is reachable from `branches` in the Git bundle. Refuses with `source.unavailable`.

    `hex_digits` is 40 for a repository of SHA-1 ids, 64 for one of SHA-256 ids.
    """
    try:
        size = bundle.stat().st_size if bundle.is_file() else None
    except OSError as error:
        raise _unavailable(f"{bundle.name} cannot be read: {error.strerror}") from error
    if size is None:
        raise _unavailable(f"there is no Git bundle {bundle.name} beside the policy")
    if size > MAX_BUNDLE_BYTES:
        raise _unavailable(f"{bundle.name} has {size} bytes; at most {MAX_BUNDLE_BYTES} are read")
    program = shutil.which("git")
    if program is None:
        raise _unavailable("there is no program git on PATH")
    with tempfile.TemporaryDirectory(prefix="dhallmark-git-") as home:
        git = _Git(program, Path(home), bundle.name)
        kind = "sha256" if hex_digits == _SHA256_HEX else "sha1"
        git.run("init", "--quiet", "--bare", "--template=", f"--object-format={kind}", "repository.git")
        names = [f"refs/dhallmark/{index}" for index in range(len(branches))]
        refs = [f"+{branch}:{name}" for branch, name in zip(branches, names, strict=True)]
        git.run("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", str(bundle.resolve()), *refs, inside=True)
        listed = git.run("rev-list", f"--max-count={MAX_COMMITS + 1}", *names, "--", inside=True)
    commits = frozenset(bytes.fromhex(line) for line in listed.decode("ascii").split())
    if len(commits) > MAX_COMMITS:
        raise _unavailable(f"{bundle.name} has more than {MAX_COMMITS} commits")
    return commits


@dataclass(frozen=True, slots=True)
class _Git:
    """Git in a folder of its own, with nothing of the user's."""

    program: str
    home: Path
    bundle: str
    """The bundle's name, for messages."""

    def run(self, *arguments: str, inside: bool = False) -> bytes:
        """What a Git command prints. Refuses where it fails, or does not end in time."""
        settings = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
        where = [f"--git-dir={self.home / 'repository.git'}"] if inside else []
        # Files, not pipes: a child that outlives Git would hold a pipe open.
        with (
            (self.home / "stdout").open("w+b") as stdout,
            (self.home / "stderr").open("w+b") as stderr,
            subprocess.Popen(
                [self.program, *settings, *where, *arguments],
                cwd=self.home,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            ) as process,
        ):
            try:
                restrict(process.pid, _LIMITS)
                status = process.wait(timeout=MAX_SECONDS)
            except subprocess.TimeoutExpired as error:
                raise _unavailable(f"Git did not end reading {self.bundle} in {MAX_SECONDS:.0f} s") from error
            finally:
                _kill(process)
            stdout.seek(0)
            stderr.seek(0)
            said = stderr.read(2000).decode(errors="replace").strip()
            if status != 0:
                raise _unavailable(f"Git cannot read {self.bundle}: {said or f'exit code {status}'}")
            return stdout.read()

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home),
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CEILING_DIRECTORIES": str(self.home),
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ATTR_NOSYSTEM": "1",
        }


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End Git and what it started, where they still run."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _unavailable(detail: str) -> Refusal:
    return Refusal(Reason.SOURCE_UNAVAILABLE, detail)
