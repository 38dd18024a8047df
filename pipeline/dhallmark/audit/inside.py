"""A rebuild in namespaces of its own: what `dhallmark.audit.sealed` starts.

`python -P -m dhallmark.audit.inside` reads a `Request` from standard input and tells on standard output, as one line
of JSON, how it went. Three processes, as for a judgement of `dhallmark.controls`:

::

    keeper      outside of the PID namespace; waits
    └─ first    PID 1: makes the root without anything of the user's, and counts who tried the network
       └─ steps     as another user, without any privilege: dhallmark resolve, render, package

The network namespace has no device that is up. Each attempt to reach anything, on this machine as well, fails and is
counted by the kernel where no rebuild can change it: `OutNoRoutes` of /proc/net/snmp (proc_net_snmp(5), RFC 4293).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Final

from dhallmark.audit.conditions import Conditions, faketime
from dhallmark.config.model import Model
from dhallmark.controls.privileges import drop_privileges
from dhallmark.controls.sandbox import CASE, OUTPUT, enter_namespaces, enter_root, seal_root
from dhallmark.errors import Error
from dhallmark.lifetime import die_with_parent

BUILD: Final = OUTPUT / "build"
RESULT: Final = "steps.json"
_ISOLATION_FAILED, _STEPS_FAILED = 3, 1


class Request(Model):
    """What is to be rebuilt, and in which surroundings."""

    root: Path
    """An empty folder, for the new root to be mounted at; nothing is written to it."""
    work: Path
    """A folder with `source/` and `cache/`."""
    output: Path
    """A folder that the user of the conditions may write to."""
    config: str
    """Path of `dhallmark.yaml` in the source."""
    epoch: int
    """Seconds since 1970."""
    programs: tuple[Path, ...]
    """Folders of programs."""
    scratch: int = 1024 << 20
    """Bytes of files in memory: the sources and temporary files, not what is built."""
    conditions: Conditions


def main() -> int:
    """Rebuild, and tell how it went."""
    request = Request.model_validate_json(sys.stdin.buffer.read())
    try:
        enter_namespaces()
        first = os.fork()
    except (Error, OSError) as error:
        _say({"isolated": False, "detail": str(error)})
        return _ISOLATION_FAILED
    if first == 0:
        os._exit(_first(request))
    return os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])


def _first(request: Request) -> int:
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    user = request.conditions.user
    root = os.geteuid() == 0
    try:
        socket.sethostname(request.conditions.hostname)
        enter_root(
            request.root,
            case=request.work,
            configuration=None,
            programs=request.programs,
            scratch=request.scratch,
            output=request.output,
        )
        seal_root(uid=user if root else os.geteuid(), gid=user if root else os.getegid())
    except (Error, OSError) as error:
        _say({"isolated": False, "detail": str(error)})
        return _ISOLATION_FAILED
    before = _attempts()
    steps = os.fork()
    if steps == 0:
        try:
            _become_steps(request, user)
        except BaseException as error:  # noqa: BLE001  there is nobody above to catch it
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            sys.stderr.flush()
        os._exit(_STEPS_FAILED)
    status = _wait(steps)
    after = _attempts()
    counted = None if before is None or after is None else after - before
    _say({"isolated": True, "status": status, "attempts": counted})
    return 0


def _wait(process: int) -> int:
    """The exit code of `process`; orphans are buried meanwhile."""
    while True:
        pid, status = os.wait()
        if pid == process:
            return os.waitstatus_to_exitcode(status)


def _attempts() -> int | None:
    """How often something in this network namespace found no route; None where the kernel does not say."""
    try:
        lines = Path("/proc/net/snmp").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    rows = [line.split() for line in lines if line.startswith("Ip: ")]
    try:
        return int(rows[1][rows[0].index("OutNoRoutes")])
    except (ValueError, IndexError):
        return None


def _become_steps(request: Request, user: int) -> None:
    """Give up all privileges, lay the sources out, and become the program that runs the steps."""
    conditions = request.conditions
    drop_privileges(user)
    os.umask(conditions.umask)
    if conditions.cpus:
        available = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, available[: conditions.cpus])
    folder = Path(conditions.folder)
    _lay_out(CASE / "source", folder, reverse=conditions.order == "reversed")
    os.chdir(folder)
    home = Path("/tmp/home")  # noqa: S108  in a file system of its own
    home.mkdir()
    environment = {
        "PATH": os.pathsep.join(map(str, request.programs)),
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(home),
        "TMPDIR": "/tmp",  # noqa: S108
        "LANG": conditions.locale,
        "LC_ALL": conditions.locale,
        "TZ": conditions.timezone,
        "SOURCE_DATE_EPOCH": str(request.epoch),
    }
    library = faketime()
    if conditions.time is not None and library is not None:
        environment |= {"LD_PRELOAD": str(library), "FAKETIME_FMT": "%s", "FAKETIME": f"@{conditions.time}"}
    program = [sys.executable, "-P", "-m", "dhallmark.audit.steps", str(folder / request.config)]
    os.execve(program[0], program, environment)  # noqa: S606


def _lay_out(source: Path, target: Path, *, reverse: bool) -> None:
    """Copy the sources into the file system in memory, which lists files by when they were made."""
    files = sorted((path for path in source.rglob("*") if path.is_file()), reverse=reverse)
    target.mkdir(parents=True)
    for file in files:
        copy = target / file.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())


def _say(record: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
