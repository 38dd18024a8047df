"""What callers use: make, start, use and stop a lab."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

import anyio.to_thread

import dhallmark
from dhallmark.errors import ToolError, UsageError
from dhallmark.files import write_atomic
from dhallmark.lab.create import create_lab
from dhallmark.lab.model import Issuer, LabModel, LabPaths, read_lab
from dhallmark.lab.namespace import call_inside, entering, isolated
from dhallmark.lab.state import LabState, is_alive, read_state, tail
from dhallmark.lab.tokens import make_claims, sign_token

P = ParamSpec("P")
T = TypeVar("T")

_START_TIMEOUT = 90.0
_STOP_TIMEOUT = 15.0
_POLL = 0.02
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """A running lab."""

    directory: Path
    """Absolute."""
    model: LabModel
    pid: int
    """The supervisor's process."""

    @property
    def paths(self) -> LabPaths:
        return LabPaths(self.directory)

    def trusted_root(self, authority: str | None = None) -> Path:
        """`trusted_root.json`, for verifiers. Without a name, of the first authority."""
        return self._trust(authority) / "trusted_root.json"

    def signing_config(self, authority: str | None = None) -> Path:
        """`signing_config.json`, for `cosign --signing-config`."""
        return self._trust(authority) / "signing_config.json"

    def trust_config(self, authority: str | None = None) -> Path:
        """`trust_config.json`: a ClientTrustConfig, for sigstore-python and `dhallmark sign`."""
        return self._trust(authority) / "trust_config.json"

    @property
    def registry(self) -> str:
        """`host:port` of the registry with the referrers API; plain HTTP."""
        return self.model.registry

    @property
    def registry_fallback(self) -> str:
        """`host:port` of the registry that answers the referrers API with 404; plain HTTP."""
        return self.model.registry_fallback

    def token(
        self,
        issuer: str = "github",
        *,
        claims: Mapping[str, object] | None = None,
        without: Iterable[str] = (),
        signed_by: str | None = None,
    ) -> str:
        """A token of an issuer of this lab; see `tokens.make_claims`. `signed_by` another issuer: a forgery."""
        return make_token(self.directory, issuer, claims=claims, without=without, signed_by=signed_by)

    def github_job(self, *, claims: Mapping[str, object] | None = None) -> dict[str, str]:
        """What GitHub Actions puts into the environment of a job with `id-token: write`."""
        name, request_token = secrets.token_hex(8), secrets.token_urlsafe(24)
        body = {"claims": dict(claims or {}), "requestToken": request_token}
        write_atomic(self.paths.job(name), json.dumps(body), mode=0o600)
        return {
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_URL": (
                f"http://{self.model.hostname}:{self.model.ports.tokens}/jobs/{name}?api-version=2.0"
            ),
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": request_token,
        }

    def gitlab_job(self, *, claims: Mapping[str, object] | None = None) -> dict[str, str]:
        """What GitLab CI puts into the environment of a job with an `id_tokens` entry SIGSTORE_ID_TOKEN."""
        return {"GITLAB_CI": "true", "SIGSTORE_ID_TOKEN": self.token("gitlab", claims=claims)}

    def environment(self) -> dict[str, str]:
        """The environment of a command inside: the caller's, without its proxies, with the lab's CA."""
        environment = {name: value for name, value in os.environ.items() if name not in _PROXY_VARIABLES}
        ca = str(self.paths.tls_ca)
        return environment | {
            "SSL_CERT_FILE": ca,
            "REQUESTS_CA_BUNDLE": ca,
            "CURL_CA_BUNDLE": ca,
            "DHALLMARK_LAB": str(self.directory),
        }

    def run(
        self,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: str | None = None,
        check: bool = True,
        timeout: float = 600,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside the lab's network. `env` adds to `environment`; `timeout` is in seconds.

        Raises ToolError where it ends with a failure, unless `check` is false; subprocess.TimeoutExpired.
        """
        arguments = [str(argument) for argument in command]
        done = subprocess.run(
            entering(self.pid, arguments, directory=cwd or Path.cwd()),
            env=self.environment() | dict(env or {}),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        if check and done.returncode != 0:
            raise ToolError(
                f"{arguments[0]} ended with status {done.returncode} in the lab:\n{done.stderr.strip()}",
                command=tuple(arguments),
                status=done.returncode,
                stderr=done.stderr,
            )
        return done

    def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function of this process in a thread that is in the lab's network; see `namespace.call_inside`."""
        return call_inside(self.pid, function, *args, **kwargs)

    def state(self) -> LabState:
        """What the supervisor says now."""
        state = read_state(self.paths)
        if state is None:
            raise UsageError(f"the lab in {self.directory} was never started")
        return state

    def check(self) -> None:
        """Raise ToolError where the lab or one of its services is gone, with the last lines of the log."""
        state = self.state()
        if not is_alive(self.paths):
            raise ToolError(f"the lab in {self.directory} does not run: {state.error or state.status}")
        for name, service in state.services.items():
            if service.status == "died":
                raise ToolError(
                    f"{name} ended with status {service.exit_code}; its last lines:\n{service.log_tail}",
                    status=service.exit_code,
                    stderr=service.log_tail or "",
                    hint=f"the whole log is {self.paths.log(name)}",
                )

    def stop_service(self, name: str) -> None:
        """Stop one service and leave the others running. Raises ToolError where there is none of the name."""
        self._tell(f"stop {name}")

    def start_service(self, name: str) -> None:
        """Start a service again that was stopped or died; returns once it takes requests."""
        self._tell(f"start {name}")

    def _tell(self, line: str) -> None:
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(_START_TIMEOUT)
            control.connect(str(self.paths.control))
            control.sendall(line.encode() + b"\n")
            answer = control.makefile("r", encoding="utf-8").read()
        if answer != "ok":
            raise ToolError(f"lab: {answer or 'the supervisor went away'}")

    def _trust(self, authority: str | None) -> Path:
        return self.paths.trust(authority or self.model.main_authority)


def make_token(
    directory: Path,
    issuer: str,
    *,
    claims: Mapping[str, object] | None = None,
    without: Iterable[str] = (),
    signed_by: str | None = None,
) -> str:
    """A token of a lab's issuer; the lab need not run. Raises UsageError for an issuer that it has not."""
    lab = read_lab(directory)
    for name in (issuer, signed_by or issuer):
        if name not in lab.issuers:
            raise UsageError(f"no issuer {name!r} in this lab; issuers: {', '.join(lab.issuers)}")
    body = make_claims(lab.issuers[issuer], claims=claims, without=without)
    return sign_token(LabPaths(directory), key=signed_by or issuer, claims=body)


def start_lab(directory: Path, *, packages: Path | None = None) -> Lab:
    """Start the lab in `directory`, made by `create_lab`, in a network of its own, and leave it running.

    Raises UsageError where it runs already; ToolError with the last lines of the log where it does not start.
    """
    directory = directory.absolute()
    _refuse_running(directory)
    with LabPaths(directory).log("supervisor").open("ab") as log:
        process = _launch(directory, log=log.fileno(), packages=packages, owner=None)
    try:
        lab = _wait_ready(directory, process)
    except BaseException:
        process.terminate()
        _wait_end(process)
        raise
    # Should the lab end before this process does, it must not stay as a zombie.
    threading.Thread(target=process.wait, name="lab", daemon=True).start()
    return lab


def stop_lab(directory: Path) -> bool:
    """Stop a lab that `start_lab` left running. False where none runs. Raises ToolError if it will not end."""
    paths = LabPaths(directory.absolute())
    read_lab(paths.root)
    state = read_state(paths)
    if state is None or not is_alive(paths):
        return False
    for number in (signal.SIGTERM, signal.SIGKILL):
        os.kill(state.pid, number)
        deadline = time.monotonic() + _STOP_TIMEOUT
        while time.monotonic() < deadline:
            if not is_alive(paths):
                return True
            time.sleep(_POLL)
    raise ToolError(f"the lab's supervisor (process {state.pid}) does not end")


def attach_lab(directory: Path) -> Lab:
    """The lab that runs in `directory`. Raises UsageError where none does."""
    directory = directory.absolute()
    lab = read_lab(directory)
    paths = LabPaths(directory)
    state = read_state(paths)
    if state is None or not is_alive(paths):
        raise UsageError(f"the lab in {directory} does not run", hint=f"dhallmark lab up --dir {directory}")
    if not state.isolated:
        raise UsageError(f"the lab in {directory} has no network of its own to enter: `lab serve` runs it")
    return Lab(directory=directory, model=lab, pid=state.pid)


@contextmanager
def open_lab(
    directory: Path,
    *,
    hostname: str = "localhost",
    authorities: Iterable[str] = ("main",),
    issuers: Mapping[str, Issuer] | None = None,
    packages: Path | None = None,
) -> Iterator[Lab]:
    """Make a lab in `directory` if there is none yet, run it in a network of its own, stop it at the end.

    The lab ends with this process, however this process ends. Parameters as of `create_lab` and `start_lab`.
    """
    directory = directory.absolute()
    if not LabPaths(directory).model.exists():
        create_lab(directory, hostname=hostname, authorities=authorities, issuers=issuers)
    _refuse_running(directory)
    theirs, ours = os.pipe()
    with os.fdopen(ours, "wb") as owner:
        try:
            with LabPaths(directory).log("supervisor").open("ab") as log:
                process = _launch(directory, log=log.fileno(), packages=packages, owner=theirs)
        finally:
            os.close(theirs)
        try:
            yield _wait_ready(directory, process)
        finally:
            owner.close()
            _wait_end(process)


@asynccontextmanager
async def running_lab(
    directory: Path,
    *,
    hostname: str = "localhost",
    authorities: Iterable[str] = ("main",),
    issuers: Mapping[str, Issuer] | None = None,
    packages: Path | None = None,
) -> AsyncIterator[Lab]:
    """`open_lab` for asynchronous callers."""
    manager = open_lab(directory, hostname=hostname, authorities=authorities, issuers=issuers, packages=packages)
    lab = await anyio.to_thread.run_sync(manager.__enter__)
    try:
        yield lab
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(partial(manager.__exit__, None, None, None))


def _refuse_running(directory: Path) -> None:
    read_lab(directory)
    if is_alive(LabPaths(directory)):
        raise UsageError(f"the lab in {directory} runs already", hint=f"dhallmark lab down --dir {directory}")


def _launch(directory: Path, *, log: int, packages: Path | None, owner: int | None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "dhallmark.lab", "--dir", str(directory)]
    if packages is not None:
        command += ["--packages", str(packages.absolute())]
    if owner is not None:
        command += ["--owner", str(owner)]
    # The same dhallmark as this one, wherever this process found it.
    package = str(Path(str(dhallmark.__file__)).parent.parent)
    search = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH", "")]))
    try:
        return subprocess.Popen(
            isolated(command),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=os.environ | {"PYTHONPATH": search},
            pass_fds=() if owner is None else (owner,),
            # A Ctrl-C in the terminal is for the command that runs there, not for a lab that is left running.
            start_new_session=True,
        )
    except OSError as error:
        raise ToolError(f"cannot start the lab: {error}", command=("unshare",)) from error


def _wait_ready(directory: Path, process: subprocess.Popen[bytes]) -> Lab:
    paths = LabPaths(directory)
    deadline = time.monotonic() + _START_TIMEOUT
    while time.monotonic() < deadline:
        state = read_state(paths)
        ours = state is not None and state.pid == process.pid
        if process.poll() is not None:
            error = state.error if state is not None and ours else None
            raise ToolError(
                f"the lab did not start: {error or tail(paths.log('supervisor'))}",
                status=process.returncode,
                hint=None
                if error
                else "it needs root or user namespaces; inside a container use `dhallmark lab serve`",
            )
        if state is not None and ours and state.status == "ready":
            return Lab(directory=directory, model=read_lab(directory), pid=process.pid)
        time.sleep(_POLL)
    raise ToolError(f"the lab is not ready after {_START_TIMEOUT:.0f} s", stderr=tail(paths.log("supervisor")))


def _wait_end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
