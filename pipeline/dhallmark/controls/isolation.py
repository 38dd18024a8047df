"""Judgements in isolation, as their caller sees them: started here, made by `dhallmark.controls.judgement`.

Each is a container without an engine: namespaces of its own for network, PIDs, mounts, IPC and host name, a root file
system with nothing of the user's in it, another user, no capability, none of the caller's environment, bounds on all
that it may take. When it is over, or the caller is gone, no process and no file of it is left.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import anyio
from anyio.abc import Process

import dhallmark
from dhallmark import strictjson
from dhallmark.controls.consumers import split_choice
from dhallmark.controls.consumers.dialect import DIALECTS
from dhallmark.controls.judgement import MAX_REPORT_BYTES, Request
from dhallmark.controls.limits import Limits
from dhallmark.errors import FormatError, ToolError
from dhallmark.reasons import Reason

_GRACE_SECONDS: Final = 30.0
"""On top of a judgement's own time: for a keeper that was killed, or a machine that stands still."""
_END_SECONDS: Final = 5.0
_CHUNK: Final = 65536


@dataclass(frozen=True, slots=True)
class Judgement:
    """What came of a consumer's process."""

    answers: Mapping[str, Any]
    """`version`, `before`, `mutant`, `after`, as far as it got."""
    reason: Reason
    """Why the others are not there."""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Isolation:
    """Where judgements are asked for; made by `isolation`."""

    limits: Limits
    """Of a consumer that can be asked at once; what another needs before that comes on top."""
    configurations: Mapping[str, Path]
    programs: tuple[Path, ...]
    root: Path
    requests: socket.socket
    process: Process
    log: Path
    _lock: anyio.Lock = field(default_factory=anyio.Lock)

    async def judge(self, case: Path, consumer: str) -> Judgement:
        """Ask `consumer`, `NAME` or `NAME=PROGRAM`, about the prepared case in the folder `case`.

        Raises nothing but cancellation.
        """
        name = split_choice(consumer)[0]
        configuration = self.configurations.get(name)
        limits = self.limits.with_room_for(DIALECTS[name].needs)
        request = Request(
            case=Path(await anyio.Path(case).absolute()),
            consumer=consumer,
            root=self.root,
            configuration=configuration.absolute() if configuration is not None else None,
            programs=self.programs,
            limits=limits,
        )
        ours, theirs = socket.socketpair()
        with ours:
            ours.setblocking(False)  # noqa: FBT003
            with theirs:
                try:
                    async with self._lock:
                        socket.send_fds(self.requests, [request.model_dump_json().encode()], [theirs.fileno()])
                except OSError as error:
                    return Judgement({}, Reason.ISOLATION_UNAVAILABLE, self._why(str(error)))
            said = await _read(ours, seconds=limits.seconds + _GRACE_SECONDS)
        try:
            body = strictjson.parse(said, what="judgement", max_bytes=2 * MAX_REPORT_BYTES)
            return Judgement(body["answers"], Reason(body["reason"]), body["detail"])
        except (FormatError, ValueError, KeyError, TypeError):
            return Judgement({}, Reason.ISOLATION_UNAVAILABLE, self._why("it ended without a word"))

    def _why(self, otherwise: str) -> str:
        return self.log.read_text(errors="replace")[-2000:].strip() or otherwise


async def _read(connection: socket.socket, *, seconds: float) -> bytes:
    """All that comes until the other side closes, or the time is up."""
    said = bytearray()
    with anyio.move_on_after(seconds):
        while True:
            await anyio.wait_readable(connection)
            try:
                chunk = connection.recv(_CHUNK)
            except OSError:
                return bytes(said)
            if not chunk:
                return bytes(said)
            said += chunk
    return bytes(said)


@asynccontextmanager
async def isolation(
    consumers: Sequence[str], *, limits: Limits | None = None, configurations: Mapping[str, Path] | None = None
) -> AsyncIterator[Isolation]:
    """Start what judgements by `consumers` (each `NAME` or `NAME=PROGRAM`) are forked from, and end it with the block.

    `configurations` are the user's own files for consumers, by their names. Raises ToolError where the program cannot
    be started; everything that goes wrong later is a judgement.
    """
    with tempfile.TemporaryDirectory(prefix="dhallmark-controls-") as folder:
        root, log = Path(folder) / "root", Path(folder) / "log"
        root.mkdir()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            with theirs:
                process = await _start(theirs, consumers, log)
            try:
                yield Isolation(
                    limits=limits or Limits(),
                    configurations=configurations or {},
                    programs=_programs(consumers),
                    root=root,
                    requests=ours,
                    process=process,
                    log=log,
                )
            finally:
                with anyio.CancelScope(shield=True):
                    ours.close()  # which ends it
                    with anyio.move_on_after(_END_SECONDS):
                        await process.wait()
                    with suppress(ProcessLookupError):
                        process.kill()
                    await process.aclose()


async def _start(requests: socket.socket, consumers: Sequence[str], log: Path) -> Process:
    program = [sys.executable, "-P", "-m", "dhallmark.controls.zygote", str(requests.fileno()), *consumers]
    environment = {
        "PATH": os.pathsep.join(map(str, _programs(()))),
        "PYTHONPATH": str(Path(str(dhallmark.__file__)).parent.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LANG": "C.UTF-8",
    }
    try:
        with log.open("wb") as output:
            return await anyio.open_process(
                program,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                cwd="/",
                pass_fds=[requests.fileno()],
                start_new_session=True,
            )
    except OSError as error:
        raise ToolError(f"cannot start the judging process: {error}", command=tuple(program)) from error


def _programs(consumers: Sequence[str]) -> tuple[Path, ...]:
    """The folders of PATH that are there, and those of programs that are named by path.

    Consumers find their programs in them, and nothing else of the user's.
    """
    named = [Path(part) for part in os.environ.get("PATH", os.defpath).split(os.pathsep)]
    named += [Path(program).parent for consumer in consumers if "/" in (program := split_choice(consumer)[1])]
    return tuple(dict.fromkeys(path for path in named if path.is_absolute() and path.is_dir()))
