"""An API server for as long as it is needed, in namespaces of its own; what is asked of it is done inside.

Nothing of it is reachable from outside, nothing outside is reachable from it, and nothing of it is left when the
process that asked ends, however it ends.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import anyio.to_thread

import dhallmark
from dhallmark.errors import ToolError, UnavailableError
from dhallmark.gitops.lint.fields import Flux
from dhallmark.kubernetes.crds import definitions_of
from dhallmark.kubernetes.servers import API_SERVER, ETCD, find_server
from dhallmark.lab.namespace import isolated

Json = dict[str, Any]
_GRACE_SECONDS: Final = 20.0
_LOG_BYTES: Final = 4000


class IsolationError(UnavailableError):
    """The kernel, or the engine of a container, refuses the namespaces."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """An API server that runs."""

    pid: int
    """Of a process in its network and mount namespaces."""
    kubeconfig: Path


async def ask(task: str, request: Mapping[str, Any], *, flux: Flux, definitions: Sequence[Mapping[str, Any]]) -> Json:
    """Start an API server with the definitions of `flux` and `definitions`, let it do `task`, and stop it.

    Raises ToolError, UnavailableError, IsolationError.
    """

    def run() -> Json:
        with _inside(task, request, flux=flux, definitions=definitions) as inside:
            return inside.listen()

    return await anyio.to_thread.run_sync(run, abandon_on_cancel=False)


@contextmanager
def open_cluster(*, flux: Flux, definitions: Sequence[Mapping[str, Any]] = ()) -> Iterator[Cluster]:
    """An API server with these definitions while the block runs. Raises as `ask`."""
    with _inside("serve", {}, flux=flux, definitions=definitions) as inside:
        ready = inside.listen()
        yield Cluster(pid=inside.process.pid, kubeconfig=Path(ready["kubeconfig"]))


@contextmanager
def _inside(
    task: str, request: Mapping[str, Any], *, flux: Flux, definitions: Sequence[Mapping[str, Any]]
) -> Iterator[_Inside]:
    """The process inside, which has been asked."""
    for name in (ETCD, API_SERVER):
        find_server(name)  # a missing program is a plainer error out here
    body = {
        **request,
        "task": task,
        "isolated": True,
        "definitions": [*definitions_of(flux).objects, *definitions],
    }
    with tempfile.TemporaryDirectory(prefix="dhallmark-prove-", ignore_cleanup_errors=True) as folder:
        home = Path(folder) / "cluster"
        home.mkdir(mode=0o700)
        with (Path(folder) / "inside.log").open("w+b") as log:
            inside = _Inside(_start(home, log.fileno()), log)
            try:
                inside.tell(body)
                yield inside
            finally:
                inside.end()


def _start(home: Path, log: int) -> subprocess.Popen[bytes]:
    package = str(Path(str(dhallmark.__file__)).parent.parent)
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "KUBEBUILDER_ASSETS": os.environ.get("KUBEBUILDER_ASSETS", ""),
        "PYTHONPATH": os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH", "")])),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LANG": "C.UTF-8",
        **{name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")},
    }
    command = [sys.executable, "-m", "dhallmark.prove.inside", str(home)]
    try:
        return subprocess.Popen(
            isolated(command, processes=True),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            cwd=home,
            start_new_session=True,
        )
    except OSError as error:
        raise ToolError(f"cannot start a process in namespaces of its own: {error}", command=("unshare",)) from error


@dataclass(frozen=True, slots=True)
class _Inside:
    """The process inside. Its standard input is its leash."""

    process: subprocess.Popen[bytes]
    log: IO[bytes]

    def tell(self, request: Mapping[str, Any]) -> None:
        """Ask. Raises as `listen`."""
        assert self.process.stdin is not None  # noqa: S101 - it was asked for
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise self._failure() from None

    def listen(self) -> Json:
        """The one line that it says. Raises ToolError, IsolationError."""
        assert self.process.stdout is not None  # noqa: S101 - it was asked for
        line = self.process.stdout.readline()
        if not line.endswith(b"\n"):
            raise self._failure()
        answer = json.loads(line)
        if "error" in answer:
            raise ToolError(str(answer["error"]), command=(API_SERVER,), stderr=str(answer.get("stderr", "")))
        return dict(answer)

    def end(self) -> None:
        """Let go of the leash, and wait until everything inside is gone."""
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()
        try:
            self.process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _failure(self) -> UnavailableError:
        """Why it said nothing."""
        status = self.process.wait(_GRACE_SECONDS)
        self.log.seek(0)
        words = self.log.read()[-_LOG_BYTES:].decode(errors="replace").strip()
        if words.startswith("unshare:"):
            return IsolationError(
                f"no namespaces of its own: {words.splitlines()[0]}",
                hint="run it as root, where user namespaces are allowed, or in a privileged container",
            )
        return ToolError("the process with the API server ended without an answer", status=status, stderr=words)
