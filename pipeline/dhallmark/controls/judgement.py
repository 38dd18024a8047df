"""One judgement: three processes between who asked and the consumer, and what each of them makes sure of.

::

    zygote            imported everything once; forks for each judgement
    └─ keeper         outside of the PID namespace: the wall clock, and the end when the caller is gone
       └─ first       PID 1: makes the root, starts the registry and the proxy, watches memory, tasks and disk
          ├─ registry     the real one, as a user of its own
          ├─ proxy        makes the control's faults, as that user
          └─ consumer     as another user, without any privilege; all that it starts ends with the first process

The keeper gives the caller one JSON object: `answers`, as far as they were given, and where one is missing `reason`
and `detail`. When the first process ends, the kernel kills whatever is left in its PID namespace.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

import anyio

from dhallmark import strictjson
from dhallmark.config.model import Model
from dhallmark.consumer import Consumer
from dhallmark.control import Kind
from dhallmark.controls.case import GOOD, MUTANT, Case, Side
from dhallmark.controls.inside import ASKED, VERSION, judge
from dhallmark.controls.layout import Layout
from dhallmark.controls.limits import Limits, Watch
from dhallmark.controls.privileges import drop_privileges, limit_resources, user_of
from dhallmark.controls.proxy import Proxy
from dhallmark.controls.registry import await_port, false_blobs, fill, link_blobs, start_registry
from dhallmark.controls.sandbox import CASE, CONFIGURATION, SCRATCH, STATE, enter_namespaces, enter_root, seal_root
from dhallmark.digest import Digest
from dhallmark.errors import FormatError
from dhallmark.lab.namespace import raise_loopback
from dhallmark.lifetime import die_with_parent
from dhallmark.reasons import Reason

MAX_REPORT_BYTES: Final = 1024 * 1024
_REGISTRY_PORT, _PROXY_PORT = 5001, 5000
_HOST: Final = f"127.0.0.1:{_PROXY_PORT}"
_LOOK_SECONDS: Final = 0.05
_MAX_STDERR: Final = 2000
_ISOLATED: Final = {"isolated": True}


class Request(Model):
    """What a judgement is to be about, as the caller sends it to the zygote."""

    case: Path
    """The folder of a prepared case."""
    consumer: str
    root: Path
    """An empty folder, for the new root to be mounted at; nothing is written to it."""
    configuration: Path | None = None
    """The user's own file for the consumer."""
    programs: tuple[Path, ...]
    """Folders of programs."""
    limits: Limits


# The keeper


def keep(request: Request, consumer: Consumer, caller: socket.socket) -> None:
    """Make the judgement by `consumer` and tell `caller`. Called in a process of its own, which then ends."""
    reading, writing = os.pipe()
    try:
        enter_namespaces()
        first = os.fork()
    except Exception as error:  # noqa: BLE001  whatever it is, the caller must hear of it
        _tell(caller, {}, Reason.ISOLATION_UNAVAILABLE, str(error))
        return
    if first == 0:
        os.close(reading)
        caller.close()
        _end_with(_first, request, consumer, writing)
    os.close(writing)
    said, late, gone = _listen(reading, caller, seconds=request.limits.seconds)
    os.kill(first, signal.SIGKILL)
    os.waitpid(first, 0)
    if not gone:
        _conclude(said, caller, late=f"no answer in {request.limits.seconds:.0f} s: killed" if late else "")


def _listen(reading: int, caller: socket.socket, *, seconds: float) -> tuple[bytes, bool, bool]:
    """What the first process said; whether its time was up; whether the caller went away."""
    said = bytearray()
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        ready, _, _ = select.select([reading, caller.fileno()], [], [], left)
        if caller.fileno() in ready:
            return bytes(said), False, True
        if reading in ready:
            chunk = os.read(reading, 65536)
            said += chunk
            if not chunk or len(said) > MAX_REPORT_BYTES:
                return bytes(said), False, False
    return bytes(said), True, False


def _conclude(said: bytes, caller: socket.socket, *, late: str) -> None:
    """Put together what was said, one JSON object a line; what is none, such as a last line cut off, is passed over.

    A consumer that was taken over may say anything here, and harms no answer but its own.
    """
    answers: dict[str, Any] = {}
    end: dict[str, Any] = {}
    isolated = False
    for line in said.split(b"\n")[:-1]:
        try:
            record = strictjson.parse(line, what="answer")
        except FormatError:
            continue
        if record == _ISOLATED:
            isolated = True
        elif isinstance(record, dict) and "reason" in record:
            end = record
        elif isinstance(record, dict):
            answers |= {name: record[name] for name in (VERSION, *ASKED) if name in record}
    reason = Reason.CONSUMER_UNAVAILABLE if isolated else Reason.ISOLATION_UNAVAILABLE
    detail = str(end.get("detail", "it ended without a word"))
    if late:
        reason, detail = Reason.CONSUMER_LIMIT if isolated else reason, late
    elif isinstance(end.get("reason"), str) and end["reason"] in set(Reason):
        reason = Reason(end["reason"])
    _tell(caller, answers, reason, detail)


def _tell(caller: socket.socket, answers: Mapping[str, Any], reason: Reason, detail: str) -> None:
    body = {"answers": answers, "reason": reason.value, "detail": detail}
    caller.sendall(json.dumps(body).encode())


# The first process of the PID namespace


def _first(request: Request, consumer: Consumer, writing: int) -> None:
    die_with_parent()
    # The kernel keeps signals of those inside from the first process, unless it has a handler for them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        started = _start(request, consumer)
    except Exception as error:  # noqa: BLE001  nothing was judged, whatever the cause
        _say(writing, {"reason": Reason.ISOLATION_UNAVAILABLE.value, "detail": str(error) or type(error).__name__})
        return
    _say(writing, _ISOLATED)
    reason, detail = started.watch(writing)
    _say(writing, {"reason": reason.value, "detail": detail})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Started:
    """A consumer at work."""

    process: int
    answers: int
    """The descriptor that its answers are read from."""
    stderr: int
    """A file without a name that takes what it and its programs print."""
    limits: Watch

    def watch(self, writing: int) -> tuple[Reason, str]:
        """Hand its answers on until it ends or takes too much; then, why there are no more."""
        said = 0
        ended: int | None = None
        while True:
            ready, _, _ = select.select([self.answers], [], [], 0 if ended is not None else _LOOK_SECONDS)
            chunk = os.read(self.answers, 65536) if ready else b""
            os.write(writing, chunk)
            said += len(chunk)
            excess = "it said too much" if said > MAX_REPORT_BYTES // 2 else self.limits.excess()
            if excess:
                return Reason.CONSUMER_LIMIT, f"{excess}: killed"
            if ended is not None and not chunk:
                words = os.pread(self.stderr, MAX_REPORT_BYTES, 0)[-_MAX_STDERR:].decode(errors="replace").strip()
                return Reason.CONSUMER_UNAVAILABLE, words or f"the process ended with status {ended}"
            ended = _reap(self.process) if ended is None else ended


def _start(request: Request, consumer: Consumer) -> _Started:
    """Make the place, and start everything in it."""
    user = user_of(Path("/proc/self/ns/net").stat().st_ino)
    raise_loopback()
    enter_root(
        request.root,
        case=request.case,
        configuration=request.configuration,
        programs=request.programs,
        scratch=request.limits.scratch,
    )
    # In a user namespace of one user nobody is root, and nobody can become another.
    root = os.geteuid() == 0
    seal_root(uid=user if root else os.geteuid(), gid=user if root else os.getegid())
    case = Case.read(CASE)
    ours = {os.getpid()}
    if case.kind is Kind.ARTIFACT:
        ours |= _serve(case, user + 1)
    reading, writing = os.pipe()
    stderr = os.open(SCRATCH, os.O_RDWR | os.O_TMPFILE, 0o600)
    process = os.fork()
    if process == 0:
        os.close(reading)
        for descriptor in (1, 2):
            os.dup2(stderr, descriptor)
        _end_with(_consume, request, consumer, case, user, writing)
    os.close(writing)
    limits = Watch(limits=request.limits, scratch=SCRATCH, ours=ours)
    return _Started(process=process, answers=reading, stderr=stderr, limits=limits)


def _serve(case: Case, user: int) -> set[int]:
    """Start the registry with both sides of the case in it, and the proxy before it; their process ids."""
    sides = {name: Side(CASE / name).artifact for name in (GOOD, MUTANT)}
    blobs = STATE / "blobs"
    link_blobs(blobs, sides)
    registry = start_registry(_REGISTRY_PORT, blobs, user=user if os.geteuid() == 0 else None)
    layouts = {name: Layout.read(folder) for name, folder in sides.items()}
    for name, tagged in ((GOOD, case.good), (MUTANT, case.mutant)):
        fill(_REGISTRY_PORT, name, layouts[name], tagged=Digest(tagged or ""))
    proxy = Proxy(
        upstream=_REGISTRY_PORT,
        repository=MUTANT,
        faults=case.faults,
        blobs=false_blobs(layouts[MUTANT]),
        tags=layouts[MUTANT].tags,
    )
    process = os.fork()
    if process == 0:
        _end_with(_run_proxy, proxy, user)
    await_port(_PROXY_PORT, still=lambda: os.waitpid(process, os.WNOHANG) == (0, 0))
    return {registry.pid, process}


def _run_proxy(proxy: Proxy, user: int) -> None:
    drop_privileges(user)
    anyio.run(proxy.serve, _PROXY_PORT)


def _reap(consumer: int) -> int | None:
    """Bury what ended, orphans among it; the consumer's exit code where it is among them, or was before."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return None
        if pid == 0:
            return None
        if pid == consumer:
            return os.waitstatus_to_exitcode(status)


# The consumer


def _consume(request: Request, consumer: Consumer, case: Case, user: int, writing: int) -> None:
    Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")  # of all, it is the one to go
    drop_privileges(user)
    limit_resources(request.limits)
    home = SCRATCH / "home"
    home.mkdir(mode=0o700)
    os.environ |= {"HOME": str(home), "DOCKER_CONFIG": str(home), "TMPDIR": str(SCRATCH)}

    async def main() -> None:
        await judge(
            case,
            CASE,
            consumer,
            host=_HOST,
            scratch=SCRATCH,
            configuration=CONFIGURATION if request.configuration is not None else None,
            say=lambda record: _say(writing, record),
        )

    anyio.run(main)


def _say(descriptor: int, record: Mapping[str, object]) -> None:
    os.write(descriptor, json.dumps(record).encode() + b"\n")


def _end_with(function: Any, *arguments: Any) -> NoReturn:  # noqa: ANN401
    """Run `function` in this forked process, and end it: nothing of the program that it was forked from goes on."""
    status = 0
    try:
        function(*arguments)
    except BaseException as error:  # noqa: BLE001  there is nobody above to catch it
        words = getattr(error, "stderr", "")  # of a program that it waited for
        sys.stderr.write(f"{words}\n{type(error).__name__}: {error}\n")
        sys.stderr.flush()
        status = 1
    os._exit(status)
