"""Verify an environment of a deploy tree, then render it: what a config-management plug-in of Argo CD does.

What is rendered is a copy that was judged, so that no file changes in between. Nothing of the caller decides what is
rendered but the name, the namespace and what the cluster can do: values, plug-ins and settings of Helm's would change
what was signed. The output is whole or absent: on any failure there is none.
"""

from __future__ import annotations

import os
import re
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dhallmark.config.policy import Policy
from dhallmark.errors import FormatError, InputError, Location, ToolError, UsageError, VerdictError
from dhallmark.files import read_regular
from dhallmark.gitops.tree import ROOT
from dhallmark.verdict import Outcome
from dhallmark.verify.tree import verify_tree
from dhallmark.verify.trust import TrustRoot

_MOST_FILES = 20_000
_MOST_BYTES = 256 * 1024 * 1024
_MOST_OF_ONE = 32 * 1024 * 1024
_TIMEOUT = 60
"""Seconds. Argo CD waits 90 for a plug-in."""
_STDERR_LINES = 20
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,51}[a-z0-9])?")
_VERSION = re.compile(r"v?[0-9]{1,4}\.[0-9]{1,4}[A-Za-z0-9.+-]{0,40}")
_API = re.compile(r"[A-Za-z0-9./-]{1,300}")
_OBJECT = re.compile(rb"^kind:", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """For which cluster an environment is rendered. Raises UsageError for what Helm would read as something else."""

    release: str
    """Name of the Helm release."""
    namespace: str = "default"
    kube_version: str = ""
    """Such as `1.34.2`; Helm's default where it is empty."""
    api_versions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for what, value, pattern in (
            ("release name", self.release, _NAME),
            ("namespace", self.namespace, _NAME),
            *((("Kubernetes version", self.kube_version, _VERSION),) if self.kube_version else ()),
            *(("API version", one, _API) for one in self.api_versions),
        ):
            if not pattern.fullmatch(value):
                raise UsageError(f"{value!r} is no {what}")

    def arguments(self) -> list[str]:
        """As `helm template` takes them."""
        return [
            f"--namespace={self.namespace}",
            *([f"--kube-version={self.kube_version}"] if self.kube_version else []),
            *(f"--api-versions={one}" for one in self.api_versions),
        ]


def render_verified(folder: Path, policy: Policy, trust: TrustRoot | None, *, target: Target) -> bytes:
    """The objects of the environment in `folder`, which is `…/environments/<env>` of a deploy tree.

    Raises VerdictError unless every file in it is what was signed for this environment; InputError for a folder that is
    none or has too much in it; ToolError where helm is missing or fails; FormatError where nothing is rendered.
    """
    if folder.parent.name != ROOT or not folder.is_dir():
        raise InputError(
            f"not an environment of a deploy tree: {ROOT}/<environment>",
            where=Location(file=str(folder)),
            hint="the Application's path names the environment's folder",
        )
    with tempfile.TemporaryDirectory(prefix="dhallmark-template-") as temporary:
        tree = Path(temporary) / "tree"
        copied = tree / ROOT / folder.name
        _copy(folder, copied)
        _copy_strays(folder.parent, copied.parent)
        verdict = verify_tree(tree, policy, trust)
        if verdict.outcome is not Outcome.ACCEPTED:
            raise VerdictError(verdict, hint="nothing was rendered; `dhallmark verify --tree` shows every check")
        return _helm(copied, target, home=Path(temporary) / "home")


def _copy(folder: Path, to: Path) -> None:
    """Copy what is in `folder`; links as links, for the verdict to refuse. Raises InputError."""
    to.mkdir(parents=True)
    size = 0
    for files, entry in enumerate(_walk(folder), start=1):
        target = to / Path(entry.path).relative_to(folder)
        mode = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            target.mkdir()
        elif stat.S_ISLNK(mode):
            target.symlink_to(Path(entry.path).readlink())
        elif stat.S_ISREG(mode):
            content = read_regular(entry.path, max_bytes=_MOST_OF_ONE)
            size += len(content)
            target.write_bytes(content)
        else:
            raise InputError("neither a file nor a folder", where=Location(file=entry.path))
        if files > _MOST_FILES or size > _MOST_BYTES:
            raise InputError(f"more than {_MOST_FILES} files or {_MOST_BYTES} bytes", where=Location(file=str(folder)))


def _copy_strays(environments: Path, to: Path) -> None:
    """Copy what lies beside the environments and is none, for the verdict to refuse: nobody signed it. Another
    environment is not looked at: that it is broken must not stop this one."""
    for path in sorted(environments.iterdir()):
        if path.is_symlink():
            (to / path.name).symlink_to(path.readlink())
        elif not path.is_dir():
            (to / path.name).write_bytes(read_regular(path, max_bytes=_MOST_OF_ONE))


def _walk(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Everything below a folder, each folder before what is in it. Links are not followed."""
    waiting = [folder]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                yield entry
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))


def _helm(chart: Path, target: Target, *, home: Path) -> bytes:
    home.mkdir()
    command = ("helm", "template", target.release, str(chart), "--include-crds", *target.arguments())
    # Nothing of the caller's: settings of Helm's in the environment could name plug-ins, values and repositories.
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(home), "LANG": "C.UTF-8"}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            check=False,
            timeout=_TIMEOUT,
            env=environment,
            cwd=home,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError as error:
        raise ToolError("helm is not there", command=command, hint="install Helm 3 beside dhallmark") from error
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"helm did not end in {_TIMEOUT} s", command=command) from error
    if done.returncode:
        lines: Sequence[str] = done.stderr.decode(errors="replace").splitlines()[-_STDERR_LINES:]
        said = next((line for line in lines if line.startswith("Error: ")), f"it ended with {done.returncode}")
        raise ToolError(
            f"helm cannot render {chart.name}: {said.removeprefix('Error: ')}",
            command=command,
            status=done.returncode,
            stderr="\n".join(lines),
        )
    if not _OBJECT.search(done.stdout):
        # Argo CD would take away everything that runs.
        raise FormatError(f"helm rendered no object of {chart.name}")
    return done.stdout
