"""Giving up what a judging process does not need: its user, its groups, capabilities, and most of the machine.

Consumers read what an attacker made. Once the namespaces stand, nothing that they do needs a capability or the user who
started it, so all of that goes; `no_new_privs` keeps it gone when another program is executed.
Source: capabilities(7), credentials(7), prctl(2), getrlimit(2).
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
from pathlib import Path

from dhallmark.controls.limits import Limits
from dhallmark.errors import ToolError
from dhallmark.rlimits import SELF, restrict

MAX_ADDRESS_SPACE = 4 * 1024 * 1024 * 1024
"""Bytes, for each process. The consumers take some hundred MiB; Go's runtime reserves more than it uses."""
MAX_OPEN_FILES = 1024
FIRST_USER, USERS = 61184, 4336
"""The ids that systemd gives to services which have no user of their own: nobody has files of theirs."""

_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
"""Constants of <sys/prctl.h>."""
_CAPABILITY_VERSION_3 = 0x20080522
"""Of <linux/capability.h>: three sets of 64 bits, each as two words."""
_CAPABILITIES = 64
_SETS = ("CapInh", "CapPrm", "CapEff", "CapAmb")


def user_of(number: int) -> int:
    """The user and group id for the judgement `number`, which may be any: two at once rarely get the same."""
    return FIRST_USER + 2 * (number % (USERS // 2))


def drop_privileges(user: int | None = None) -> None:
    """Give up every capability for good and, as root, become `user` with the group of the same number and no other.

    In a user namespace of one user there is no other to become: whoever is not root there stays who they are. Called
    once, before any other thread runs. Raises ToolError where the process has any privilege left, or could get one
    back: then nothing must be judged in it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    for number in range(_CAPABILITIES):
        # Without CAP_SETPCAP the bounding set stays; with no_new_privs it gives nothing to anyone.
        if libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) != 0 and ctypes.get_errno() == errno.EINVAL:
            break  # the kernel knows no more of them
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    if user is not None and os.geteuid() == 0:
        try:
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
        except OSError as error:
            raise ToolError(f"the judging process cannot become user {user}: {error.strerror}") from error
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    libc.capset(header, (ctypes.c_uint32 * 6)())
    _require_none(Path("/proc/thread-self/status").read_text(encoding="utf-8", errors="replace"))


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


def limit_resources(limits: Limits) -> None:
    """Bound memory, files, open files and tasks of this process and of each that it starts."""
    restrict(
        SELF,
        {
            resource.RLIMIT_AS: MAX_ADDRESS_SPACE,
            resource.RLIMIT_FSIZE: limits.scratch,
            resource.RLIMIT_NOFILE: MAX_OPEN_FILES,
            resource.RLIMIT_NPROC: limits.tasks,
            resource.RLIMIT_CORE: 0,
        },
    )
