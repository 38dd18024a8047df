"""The `dhall` program (Haskell): found, its version checked, run in an environment of its own and within limits.

Nothing of the user's leaks in: the environment holds only what this module puts there, so no `env:` import can see
anything, no `headers.dhall` adds to a request, and the cache is the directory that the caller gives.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream, Process

from dhallmark.errors import RenderError, ToolError
from dhallmark.rlimits import restrict

MINIMUM_VERSION = (1, 42)
"""Older ones, and other implementations, cannot read today's Prelude (temporal types)."""
_TRANSPORT = tuple(
    name
    for base in ("http_proxy", "https_proxy", "no_proxy", "ssl_cert_file", "ssl_cert_dir")
    for name in (base, base.upper())
)
"""How a remote import is fetched. What is fetched is fixed by its hash, so these change no result."""
_MEGABYTE = 1 << 20
_RUNTIME = "-A256m"
"""GHC's runtime: memory that is filled before the collector runs. Its default collects thousands of times, which takes
half of the time of a large release."""
_MEMORY_FOR_RUNTIME = 1024 * _MEGABYTE
"""With a lower limit than this, its default is used."""
_POLL = 0.01
"""Seconds between two looks at whether a run has done its work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one run of Dhall may use. An expression can be tiny and its normal form beyond any disk (control H3)."""

    seconds: float = 300
    memory: int = 4096 * _MEGABYTE
    """Bytes of private memory (RLIMIT_DATA)."""
    file: int = 512 * _MEGABYTE
    """Bytes of the largest file that it may write (RLIMIT_FSIZE)."""
    output: int = 64 * _MEGABYTE
    """Bytes on its standard output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended."""

    status: int
    """Exit code."""
    stdout: bytes
    stderr: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dhall:
    """A `dhall` program of a version that will do. Make one with `find_dhall`."""

    program: str
    """Absolute path."""
    version: str
    """Such as `1.42.1`."""
    runtime: str = ""
    """Options for its runtime (GHCRTS), where it takes any."""
    limits: Limits = field(default_factory=Limits)

    async def run(
        self, *arguments: str, source: str, directory: Path, cache: Path, until: Callable[[], bool] | None = None
    ) -> Outcome:
        """Run with the expression `source` on standard input; its imports are relative to `directory`.

        `cache` becomes XDG_CACHE_HOME. `until` is asked every few milliseconds: once it is true, what the run is for
        is there, and Dhall is ended with the status 0. A failure of Dhall's is an Outcome. Raises RenderError where a
        limit is hit, and ToolError where the program cannot be run.
        """
        return await _run(
            (self.program, "--plain", *arguments),
            source=source,
            directory=directory,
            cache=cache,
            limits=self.limits,
            runtime=self.runtime,
            until=until,
        )


async def find_dhall(*, program: str | None = None, limits: Limits | None = None) -> Dhall:
    """Find `dhall` (on PATH, unless `program` is given) and check its version. Raises ToolError."""
    path = _which(program or "dhall")
    hint = "install the Haskell implementation, 1.42 or newer (Debian 13: the package dhall)"
    if path is None:
        raise ToolError(f"no program {program or 'dhall'!r} on PATH", command=(program or "dhall",), hint=hint)
    limits = limits or Limits()
    runtime = _RUNTIME if limits.memory >= _MEMORY_FOR_RUNTIME else ""
    outcome = await _version(path, limits, runtime)
    if runtime and outcome.status != 0:
        # A program built without `-rtsopts` refuses to start with options.
        runtime = ""
        outcome = await _version(path, limits, runtime)
    text = outcome.stdout.decode(errors="replace").strip()
    match = re.fullmatch(r"(\d+)\.(\d+)(\.\d+)*", text)
    if outcome.status != 0 or match is None:
        raise ToolError(
            f"{path} does not say its version; is it the Haskell implementation?",
            command=(path, "version"),
            status=outcome.status,
            stderr=outcome.stderr[-2000:],
            hint=hint,
        )
    if (int(match[1]), int(match[2])) < MINIMUM_VERSION:
        raise ToolError(f"{path} is dhall {text}; 1.42 or newer is needed", command=(path, "version"), hint=hint)
    return Dhall(program=path, version=text, limits=limits, runtime=runtime)


async def _version(path: str, limits: Limits, runtime: str) -> Outcome:
    nowhere = Path("/nonexistent")
    return await _run((path, "version"), source="", directory=Path("/"), cache=nowhere, limits=limits, runtime=runtime)


def _which(program: str) -> str | None:
    """Its absolute path: it is run from another folder than this one."""
    path = shutil.which(program)
    return None if path is None else str(Path(path).absolute())


def _environment(cache: Path, runtime: str, environ: Mapping[str, str]) -> dict[str, str]:
    transport = {name: environ[name] for name in _TRANSPORT if name in environ}
    return transport | {
        # Dhall reads and prints in the encoding of the locale.
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PATH": environ.get("PATH", os.defpath),
        # `~/` imports are refused before this; the folder of the cache is one that exists and holds nothing else.
        "HOME": str(cache),
        "XDG_CACHE_HOME": str(cache),
        "XDG_CONFIG_HOME": str(cache / "config"),
        **({"GHCRTS": runtime} if runtime else {}),
    }


async def _run(
    command: Sequence[str],
    *,
    source: str,
    directory: Path,
    cache: Path,
    limits: Limits,
    runtime: str,
    until: Callable[[], bool] | None = None,
) -> Outcome:
    try:
        process = await anyio.open_process(
            command, cwd=directory, env=_environment(cache, runtime, os.environ), start_new_session=True
        )
    except OSError as error:
        raise ToolError(f"cannot run {command[0]}: {error.strerror}", command=tuple(command)) from error
    stdout, stderr = bytearray(), bytearray()
    done = anyio.Event()
    async with process:
        try:
            restrict(process.pid, {resource.RLIMIT_DATA: limits.memory, resource.RLIMIT_FSIZE: limits.file})
            with anyio.move_on_after(limits.seconds) as scope:
                async with anyio.create_task_group() as watch:
                    if until is not None:
                        watch.start_soon(_watch, process, until, done)
                    async with anyio.create_task_group() as group:
                        group.start_soon(_feed, process.stdin, source.encode())
                        group.start_soon(_drain, process, process.stdout, stdout, limits.output)
                        group.start_soon(_drain, process, process.stderr, stderr, limits.output)
                    await process.wait()
                    watch.cancel_scope.cancel()
        finally:
            # Before the block above waits for its end: cancelled or out of time, it would go on.
            _kill(process)
    if len(stdout) > limits.output or len(stderr) > limits.output:
        raise RenderError(
            f"Dhall printed more than {limits.output >> 20} MiB", hint="is the normal form huge, or a message about it?"
        )
    if scope.cancelled_caught:
        raise RenderError(
            f"Dhall took longer than {limits.seconds:g} s", hint="is the normal form huge, or a fold without end?"
        )
    status = process.returncode or 0
    if done.is_set() and status == -signal.SIGKILL:
        status = 0
    return _outcome(command, status, bytes(stdout), bytes(stderr), limits)


def _kill(process: Process) -> None:
    """End it and what it started (a wrapper script's child), where it still runs."""
    if process.returncode is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return


async def _watch(process: Process, until: Callable[[], bool], done: anyio.Event) -> None:
    while not until():  # noqa: ASYNC110 - what another process writes sets no event
        await anyio.sleep(_POLL)
    done.set()
    _kill(process)


async def _feed(stream: ByteSendStream | None, content: bytes) -> None:
    try:
        if stream is not None:
            await stream.send(content)
            await stream.aclose()
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        return  # It ended without reading; its exit code says why.


async def _drain(process: Process, stream: ByteReceiveStream | None, into: bytearray, limit: int) -> None:
    if stream is None:
        return
    async for piece in stream:
        into += piece
        if len(into) > limit:
            _kill(process)
            return


def _outcome(command: Sequence[str], status: int, stdout: bytes, stderr: bytes, limits: Limits) -> Outcome:
    text = stderr.decode(errors="replace")
    # GHC's runtime reports an allocation that fails; 251 is its exit code for a full heap. A shell that wraps the
    # program adds 128 to a signal's number.
    if status in (251, -signal.SIGKILL) or "heap overflow" in text or "out of memory" in text.lower():
        raise RenderError(
            f"Dhall needs more than {limits.memory // _MEGABYTE} MiB of memory",
            hint="the normal form is huge: look for a fold or a list that multiplies",
        )
    if status in (-signal.SIGXFSZ, 128 + signal.SIGXFSZ) or "File too large" in text:
        raise RenderError(
            f"a normal form is larger than {limits.file // _MEGABYTE} MiB",
            hint="look for a fold or a list that multiplies",
        )
    if status < 0:
        raise ToolError(
            f"{command[0]} was ended by signal {-status}", command=tuple(command), status=status, stderr=text[-2000:]
        )
    return Outcome(status=status, stdout=stdout, stderr=text)
