"""Starts, watches and stops the services of a lab. Runs inside the lab's namespaces, or inside a container."""

from __future__ import annotations

import fcntl
import http.client
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import anyio
import anyio.abc
import anyio.to_thread
from anyio.streams.buffered import BufferedByteReceiveStream

from dhallmark.errors import Error, ToolError, UnavailableError, UsageError
from dhallmark.lab.model import LabPaths, read_lab
from dhallmark.lab.programs import Program, programs
from dhallmark.lab.servers import make_servers
from dhallmark.lab.state import LabState, ServiceState, tail, write_state
from dhallmark.progress import Progress, Silent

_READY_TIMEOUT = 60.0
_POLL = 0.02
_GRACE = 3.0
"""Seconds between SIGTERM and SIGKILL. Nothing of a lab needs to survive it."""
_MAX_SOCKET_PATH = 107
"""Bytes of a Unix socket's path (unix(7))."""
_MAX_LINE = 200


async def supervise(
    directory: Path,
    *,
    packages: Path | None = None,
    isolated: bool = False,
    stop_on_death: bool = False,
    owner: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Run the lab in `directory` (absolute) until SIGTERM or SIGINT, or until `owner`, a pipe, is closed.

    `isolated` is only written down. With `stop_on_death` a program that ends by itself ends the lab (for a
    container, which then fails visibly); without it, `state.json` says so and the others go on.

    Raises UsageError where the lab runs already, ToolError with the log's tail where a service does not start or
    died, UnavailableError where a port is taken. No process is left in any case.
    """
    paths = LabPaths(directory)
    if len(bytes(paths.control)) > _MAX_SOCKET_PATH:
        raise UsageError(f"{directory}: the path is too long for a Unix socket", hint="use a shorter path")
    with paths.lock.open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"the lab in {directory} runs already", hint=f"stop it: dhallmark lab down --dir {directory}"
            ) from None
        supervisor = Supervisor(paths, isolated=isolated, stop_on_death=stop_on_death, progress=progress or Silent())
        try:
            await supervisor.run(packages=packages, owner=owner)
        except BaseExceptionGroup as group:
            # Tasks end together; the first error of our own is the cause, the rest follows from it.
            error = _first_error(group)
            supervisor.write("failed", error=str(error))
            raise error from group
        except Exception as error:
            supervisor.write("failed", error=str(error) or type(error).__name__)
            raise
        supervisor.write("stopped")


class Supervisor:
    """The programs of one lab and their states."""

    def __init__(self, paths: LabPaths, *, isolated: bool, stop_on_death: bool, progress: Progress) -> None:
        self._paths = paths
        self._progress = progress
        self._lab = read_lab(paths.root)
        self._isolated = isolated
        self._stop_on_death = stop_on_death
        self._started = time.monotonic()
        self._ready_after: float | None = None
        self._states: dict[str, ServiceState] = {}
        self._processes: dict[str, anyio.abc.Process] = {}
        self._stopping: set[str] = set()

    async def run(self, *, packages: Path | None, owner: int | None) -> None:
        """Everything from the first program's start to the last one's end."""
        self._clean()
        self.write("starting")
        found = {program.name: program for program in programs(self._lab, self._paths)}
        try:
            servers = make_servers(self._lab, self._paths, packages=packages)
        except OSError as error:
            raise UnavailableError(f"a port of the lab's is taken: {error}") from error
        try:
            for server in servers:
                server.start()
            async with anyio.create_task_group() as tasks, self._control(tasks, found):
                tasks.start_soon(self._until_signal, tasks.cancel_scope)
                if owner is not None:
                    tasks.start_soon(self._until_closed, tasks.cancel_scope, owner)
                self._progress.start("lab", total=len(found))
                async with anyio.create_task_group() as starting:
                    for program in found.values():
                        starting.start_soon(self._start, program, tasks)
                self._ready_after = time.monotonic() - self._started
                self.write("ready")
                self._progress.done("lab", summary=f"ready after {self._ready_after:.1f} s")
                await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                async with anyio.create_task_group() as ending:
                    for name in self._processes:
                        ending.start_soon(self._stop, name)
            for server in servers:
                server.stop()
            self._paths.control.unlink(missing_ok=True)

    def write(self, status: str, *, error: str | None = None) -> None:
        """Write `state.json`."""
        state = {
            "status": status,
            "pid": os.getpid(),
            "isolated": self._isolated,
            "ready_after": self._ready_after,
            "services": self._states,
            "error": error,
        }
        write_state(self._paths, LabState.model_validate(state))

    def _clean(self) -> None:
        """Registries and the log start empty: the trust files stay, what was published goes with the run."""
        for name in ("rekor", "registry", "registry-fallback"):
            shutil.rmtree(self._paths.data(name), ignore_errors=True)
            self._paths.data(name).mkdir(mode=0o700)
        self._paths.control.unlink(missing_ok=True)

    async def _start(self, program: Program, tasks: anyio.abc.TaskGroup) -> None:
        """Start a program, watch it from `tasks`, return once it takes requests."""
        name = program.name
        with self._paths.log(name).open("ab") as log:
            process = await self._spawn(program, log)
        self._processes[name] = process
        self._states[name] = ServiceState(status="starting", pid=process.pid)
        tasks.start_soon(self._watch, name, process)
        try:
            with anyio.fail_after(_READY_TIMEOUT):
                while not await anyio.to_thread.run_sync(_answers, program.ready_url):
                    if process.returncode is not None:
                        raise self._death(name)
                    await anyio.sleep(_POLL)
        except TimeoutError:
            raise ToolError(
                f"{name} does not answer after {_READY_TIMEOUT:.0f} s",
                command=program.command,
                stderr=tail(self._paths.log(name)),
            ) from None
        self._states[name] = ServiceState(status="running", pid=process.pid)
        if self._ready_after is None:
            self._progress.advance("lab")

    async def _spawn(self, program: Program, log: IO[bytes]) -> anyio.abc.Process:
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self._paths.data(""))}
        try:
            return await anyio.open_process(
                # A killed supervisor takes its programs with it (prctl(2), PR_SET_PDEATHSIG).
                ["setpriv", "--pdeathsig=KILL", "--", *program.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._paths.root,
                env=environment | dict(program.environment),
                start_new_session=True,
            )
        except OSError as error:
            raise ToolError(f"cannot start {program.name}: {error}", command=program.command) from error

    async def _watch(self, name: str, process: anyio.abc.Process) -> None:
        code = await process.wait()
        if name in self._stopping:
            return
        self._states[name] = ServiceState(
            status="died", pid=process.pid, exit_code=code, log_tail=tail(self._paths.log(name))
        )
        if self._ready_after is None or self._stop_on_death:
            raise self._death(name)
        self.write("ready")

    def _death(self, name: str) -> ToolError:
        process = self._processes[name]
        last = tail(self._paths.log(name))
        return ToolError(
            f"{name} ended with status {process.returncode}; its last lines:\n{last}",
            status=process.returncode,
            stderr=last,
            hint=f"the whole log is {self._paths.log(name)}",
        )

    async def _stop(self, name: str) -> None:
        """Stop one program and wait for its end."""
        process = self._processes[name]
        self._stopping.add(name)
        if process.returncode is None:
            process.terminate()
            with anyio.move_on_after(_GRACE):
                await process.wait()
            if process.returncode is None:
                process.kill()
                await process.wait()
            self._states[name] = ServiceState(status="stopped", pid=process.pid, exit_code=process.returncode)
        await process.aclose()

    async def _until_signal(self, scope: anyio.CancelScope) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for _ in signals:
                scope.cancel()

    async def _until_closed(self, scope: anyio.CancelScope, descriptor: int) -> None:
        await anyio.wait_readable(descriptor)
        scope.cancel()

    @asynccontextmanager
    async def _control(self, tasks: anyio.abc.TaskGroup, found: dict[str, Program]) -> AsyncIterator[None]:
        """Take `stop NAME` and `start NAME`, one line each, on the control socket."""

        async def serve(stream: anyio.abc.SocketStream) -> None:
            # A caller that goes away, or sends anything else than a line, is no reason to end the lab.
            with suppress(anyio.BrokenResourceError, anyio.IncompleteRead, anyio.DelimiterNotFound):
                async with stream:
                    line = await BufferedByteReceiveStream(stream).receive_until(b"\n", _MAX_LINE)
                    verb, _, name = line.decode(errors="replace").partition(" ")
                    try:
                        if name not in found or verb not in ("stop", "start"):
                            raise UsageError(f"cannot {verb} {name!r}; services: {', '.join(found)}")
                        if verb == "stop":
                            await self._stop(name)
                        elif self._processes[name].returncode is None:
                            raise UsageError(f"{name} runs already")
                        else:
                            self._stopping.discard(name)
                            await self._start(found[name], tasks)
                        answer = "ok"
                    except Error as error:
                        answer = error.message
                    self.write("ready")
                    await stream.send(answer.encode())

        async with await anyio.create_unix_listener(self._paths.control, mode=0o600) as listener:
            tasks.start_soon(listener.serve, serve)
            yield


def _answers(url: str) -> bool:
    """True where `url` answers 200."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=1)
    try:
        connection.request("GET", parts.path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error of dhallmark's own, or else the first of all."""
    leaves: list[BaseException] = []
    pending: list[BaseException] = [group]
    while pending:
        error = pending.pop(0)
        if isinstance(error, BaseExceptionGroup):
            pending.extend(error.exceptions)
        else:
            leaves.append(error)
    return next((error for error in leaves if isinstance(error, Error)), leaves[0])
