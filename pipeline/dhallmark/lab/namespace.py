"""Linux namespaces: one network with nothing but a loopback device, and a mount namespace for its hosts file.

Nothing is pinned: no named network namespace, no mount outside. Both namespaces go with the last process in them.
With CAP_SYS_ADMIN they are made directly; without, within a user namespace of their own (user_namespaces(7)).
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import ParamSpec, TypeVar

from dhallmark.errors import ToolError, UsageError

P = ParamSpec("P")
T = TypeVar("T")

_CLONE_FS = 0x00000200
_CLONE_NEWNS = 0x00020000
_CLONE_NEWNET = 0x40000000
"""Constants of <sched.h>; `os` has them from Python 3.12 on."""
_CAP_SYS_ADMIN = 21
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1
_IFREQ = "16sh22x"
"""struct ifreq with flags: name, flags, padding to 40 bytes (netdevice(7))."""


def isolated(command: Sequence[str], *, processes: bool = False) -> list[str]:
    """`command` in namespaces of its own. The process that is started becomes the command itself (no fork).

    With `processes` it is the first of a PID namespace, too, as a child of the process that is started: when either of
    them ends, everything that the command left running is killed.
    """
    user = [] if is_admin() else ["--user", "--map-root-user"]
    own = ["--pid", "--fork", "--kill-child"] if processes else []
    return ["unshare", *user, "--net", "--mount", "--propagation", "private", *own, "--", *command]


def raise_loopback() -> None:
    """Called once inside: bring the loopback device up. Raises ToolError where any other device is up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        # Some kernels add tunnel devices (sit0, tunl0) to each namespace; they are down and lead nowhere.
        up = [name for _, name in socket.if_nameindex() if name != "lo" and _flags(control, name) & _IFF_UP]
        if up:
            raise ToolError(f"not a network of its own: {', '.join(up)} is up")
        change = struct.pack(_IFREQ, b"lo", _flags(control, "lo") | _IFF_UP)
        fcntl.ioctl(control, _SIOCSIFFLAGS, change)


def prepare_inside(hosts: Path) -> None:
    """Called once inside: bring the loopback device up and put the lab's hosts file in place.

    Raises ToolError where this is not a network of loopback alone, or a mount is refused.
    """
    raise_loopback()
    command = ["mount", "--bind", str(hosts), "/etc/hosts"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ToolError(
            "cannot put the lab's hosts file in place",
            command=tuple(command),
            status=done.returncode,
            stderr=done.stderr,
        )


def _flags(control: socket.socket, device: str) -> int:
    answer = fcntl.ioctl(control, _SIOCGIFFLAGS, struct.pack(_IFREQ, device.encode(), 0))
    return int(struct.unpack(_IFREQ, answer)[1])


def entering(pid: int, command: Sequence[str], *, directory: Path) -> list[str]:
    """`command` run in the network and mount namespaces of process `pid`, in `directory`."""
    user = [] if _same(pid, "user") else ["--user", "--preserve-credentials"]
    return [
        "nsenter",
        f"--target={pid}",
        *user,
        "--net",
        "--mount",
        "--",
        # After a change of the mount namespace the working directory is the root.
        "env",
        f"--chdir={directory}",
        "--",
        *command,
    ]


def is_inside(pid: int) -> bool:
    """True where the calling thread is in the network namespace of process `pid` already."""
    return _same(pid, "net")


def call_inside(pid: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `function` in a thread that is in the network and mount namespaces of process `pid`.

    Threads and processes that it starts are in them too, so an event loop or a pool of workers may be started. The
    other threads of this process stay where they are. Needs root, or a process that is inside already.
    """
    if is_inside(pid):
        return function(*args, **kwargs)
    if not (is_admin() and _same(pid, "user")):
        raise UsageError(
            "only root can move a thread into the lab's network",
            hint="run the whole program inside: `dhallmark lab exec -- COMMAND`",
        )
    result: Future[T] = Future()

    def run() -> None:
        try:
            _enter(pid)
            result.set_result(function(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001  handed to the caller's thread
            result.set_exception(error)

    threading.Thread(target=run, name="lab", daemon=True).start()
    return result.result()


def is_admin() -> bool:
    """True where this process has CAP_SYS_ADMIN (capabilities(7)): root in a container may not have it."""
    status = Path("/proc/thread-self/status").read_text(encoding="ascii", errors="replace")
    effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective, 16) >> _CAP_SYS_ADMIN & 1)


def _same(pid: int, kind: str) -> bool:
    """True where process `pid` and the calling thread share a namespace."""
    return Path(f"/proc/{pid}/ns/{kind}").readlink() == Path(f"/proc/thread-self/ns/{kind}").readlink()


def _enter(pid: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)

    def call(name: str, *args: int) -> None:
        if getattr(libc, name)(*args) != 0:
            code = ctypes.get_errno()
            raise OSError(code, f"{name}: {os.strerror(code)}")

    directory = Path.cwd()
    # A thread may change its mount namespace only if it shares no root and working directory with others.
    call("unshare", _CLONE_FS)
    for kind, flag in (("net", _CLONE_NEWNET), ("mnt", _CLONE_NEWNS)):
        descriptor = os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            call("setns", descriptor, flag)
        finally:
            os.close(descriptor)
    os.chdir(directory)
