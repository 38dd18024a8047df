"""Giving up what a judging process does not need: capabilities, the way back to them, and most of the machine.

Consumers read what an attacker made. Once the loopback device is up, nothing that they do needs a capability, so all of
them go, from every set; `no_new_privs` keeps them gone when another program is executed, even by user 0.
Source: capabilities(7), prctl(2), getrlimit(2).
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
from pathlib import Path

from dhallmark.errors import ToolError

MAX_MEMORY_BYTES = 4 * 1024 * 1024 * 1024
"""Of address space, for each process. The consumers take some hundred MiB; Go's runtime reserves more than it uses."""
MAX_FILE_BYTES = 256 * 1024 * 1024
MAX_OPEN_FILES = 1024

_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
"""Constants of <sys/prctl.h>."""
_CAPABILITY_VERSION_3 = 0x20080522
"""Of <linux/capability.h>: three sets of 64 bits, each as two words."""
_CAPABILITIES = 64
_SETS = ("CapInh", "CapPrm", "CapEff", "CapAmb")


def drop_privileges() -> None:
    """Give up every capability for good. Called once, before any other thread runs.

    Raises ToolError where the process has any left, or could get one back: then nothing must be judged in it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    for number in range(_CAPABILITIES):
        # Without CAP_SETPCAP the bounding set stays; with no_new_privs it gives nothing to anyone.
        if libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) != 0 and ctypes.get_errno() == errno.EINVAL:
            break  # the kernel knows no more of them
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    libc.capset(header, (ctypes.c_uint32 * 6)())
    _require_none(Path("/proc/thread-self/status").read_text(encoding="ascii", errors="replace"))


def _require_none(status: str) -> None:
    """Raise ToolError unless `status`, of proc_pid_status(5), shows a process without privileges."""
    found = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    left = [name for name in _SETS if int(found.get(name, "1"), 16) != 0]
    if found.get("NoNewPrivs", "").strip() != "1":
        left.append("NoNewPrivs")
    if left:
        raise ToolError(
            f"the judging process cannot give up its privileges: {', '.join(left)} of process {os.getpid()}"
        )


def limit_resources() -> None:
    """Bound memory, files and open files of this process and of each that it starts."""
    for kind, most in (
        (resource.RLIMIT_AS, MAX_MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, MAX_FILE_BYTES),
        (resource.RLIMIT_NOFILE, MAX_OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (bound, bound))
