"""Namespaces for one judgement, and a file system in which there is nothing but what a consumer needs.

Nothing is hidden one by one: the root is a new, empty file system in memory, into which programs and libraries are
bound, read-only. The user's files, the lab with its keys, sockets and other processes are not there to be found.
Source: user_namespaces(7), pid_namespaces(7), mount_namespaces(7), pivot_root(2), mount_setattr(2).
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

import dhallmark
from dhallmark.errors import ToolError
from dhallmark.lab.namespace import is_admin

SCRATCH = Path("/tmp")  # noqa: S108  a file system of the judgement's own
CASE = Path("/case")
CONFIGURATION = Path("/configuration")
OUTPUT = Path("/output")
STATE = Path("/run")
"""Of the registry; not writable for consumers."""
HOSTS = b"127.0.0.1 localhost\n"

_NEW_MOUNT, _NEW_UTS, _NEW_IPC, _NEW_USER, _NEW_PID, _NEW_NET = (
    0x00020000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000,
)  # fmt: skip
"""CLONE_NEW* of <sched.h>; `os` has them from Python 3.12 on."""
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 8, 0x1000, 0x4000, 1 << 18
_MNT_DETACH = 2
"""Of <sys/mount.h>."""
_SYS_MOUNT_SETATTR = 442
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_ATTR_RDONLY, _ATTR_NOSUID, _ATTR_NODEV = 1, 2, 4
"""Of <linux/mount.h>; the call's number is the same on every architecture."""
_NOBODY = 65534

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store")
_CONFIGURATION_FILES = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "ssl/certs", "ssl/openssl.cnf",
                        "localtime")  # fmt: skip
_DEVICES = ("null", "zero", "full", "random", "urandom")
_ACCOUNTS = "root:x:0:0:root:/:/sbin/nologin\nconsumer:x:{uid}:{gid}:consumer:/tmp:/sbin/nologin\n"


def enter_namespaces() -> None:
    """Leave the network, mounts, IPC, host name and, for processes started from now on, PIDs of the caller.

    Root does so directly; anyone else in a user namespace, as a user who is not root there either. Raises ToolError
    where the kernel, or who configured it, refuses.
    """
    flags = _NEW_MOUNT | _NEW_UTS | _NEW_IPC | _NEW_PID | _NEW_NET
    if is_admin():
        _call("unshare", flags)
        return
    uid, gid = os.geteuid(), os.getegid()
    _call("unshare", flags | _NEW_USER)
    try:
        # In this order: without it an unprivileged process may not map its group (user_namespaces(7)).
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{_NOBODY} {uid} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{_NOBODY} {gid} 1", encoding="ascii")
    except OSError as error:
        raise ToolError(f"the kernel maps no user into a namespace: {error.strerror}") from error


def enter_root(
    at: Path,
    *,
    case: Path,
    configuration: Path | None,
    programs: Sequence[Path],
    scratch: int,
    output: Path | None = None,
) -> None:
    """Make a new root at the empty folder `at` and change to it. Called in the first process of the PID namespace.

    It has the system's programs and libraries, this Python with its packages, the folders `programs` (of a `bin` the
    `lib` beside it, too: that is where relocated programs have what they are linked with), `case` as /case,
    the file `configuration` as /configuration, and `scratch` bytes to write in /tmp. What is written to /output, where
    there is one, stands in the folder `output` afterwards. Raises ToolError.
    """
    _call("mount", b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)
    _mount_memory(at, size="4m,nr_inodes=8k", mode="755")
    # First of all, since programs may lie below /tmp, too.
    for place, size, mode in ((STATE, "64m", "755"), (SCRATCH, f"{scratch},nr_inodes=16k", "1777")):
        _make_folder(at / place.relative_to("/"))
        _mount_memory(at / place.relative_to("/"), size=size, mode=mode)
    bound: list[Path] = []
    libraries = [folder.parent / "lib" for folder in programs if folder.name == "bin"]
    for path in (*map(Path, _SYSTEM), *_python(), *programs, *libraries):
        if not path.exists() or any(path.is_relative_to(other) for other in bound):
            continue
        bound.append(path)
        if path.is_symlink() and str(path) in _SYSTEM:
            (at / path.relative_to("/")).symlink_to(path.readlink())  # /bin, where it is /usr/bin
        else:
            _bind(path, at / path.relative_to("/"))
    for name in _CONFIGURATION_FILES:
        if (source := Path("/etc") / name).exists():
            _bind(source, at / "etc" / name)
    _bind(case, at / CASE.relative_to("/"))
    if configuration is not None:
        _bind(configuration, at / CONFIGURATION.relative_to("/"))
    if output is not None:
        _bind(output, at / OUTPUT.relative_to("/"), writable=True)
    for name in _DEVICES:
        _bind(Path("/dev") / name, at / "dev" / name, device=True)
    _make_folder(at / "proc")
    _call("mount", b"proc", bytes(at / "proc"), b"proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, None)
    (at / "etc" / "hosts").write_bytes(HOSTS)
    (at / "etc" / "resolv.conf").write_bytes(b"")
    os.chdir(at)
    # The new root over the old one, then the old one away: pivot_root(2), "pivot_root(".", ".")".
    _call("pivot_root", b".", b".")
    _call("umount2", b".", _MNT_DETACH)
    os.chdir("/")


def seal_root(*, uid: int, gid: int) -> None:
    """Nothing is written to the root from now on; the consumer's user gets a name, which some programs ask for."""
    Path("/etc/passwd").write_text(_ACCOUNTS.format(uid=uid, gid=gid), encoding="ascii")
    Path("/etc/group").write_text(f"consumer:x:{gid}:\n", encoding="ascii")
    _set_attributes(Path("/"), _ATTR_RDONLY, recursive=False)


def _python() -> list[Path]:
    """Where this interpreter and its packages are, and dhallmark's own source."""
    own = Path(str(dhallmark.__file__)).parent.parent
    places = [Path(sys.base_prefix), Path(sys.prefix), own]
    places += [Path(place) for place in sys.path if place and Path(place).is_dir()]
    return [place.resolve() for place in places] + places


def _bind(source: Path, target: Path, *, device: bool = False, writable: bool = False) -> None:
    if source.is_dir():
        _make_folder(target)
    else:
        _make_folder(target.parent)
        target.touch()
    _call("mount", bytes(source), bytes(target), None, _MS_BIND | _MS_REC, None)
    reading = 0 if device or writable else _ATTR_RDONLY
    _set_attributes(target, _ATTR_NOSUID | reading | (0 if device else _ATTR_NODEV))


def _make_folder(path: Path) -> None:
    # Not mkdir's mode: what is made here must be open to others whatever the umask is.
    for missing in [one for one in (*reversed(path.parents), path) if not one.exists()]:
        missing.mkdir()
        missing.chmod(0o755)


def _mount_memory(target: Path, *, size: str, mode: str) -> None:
    options = f"mode={mode},size={size}".encode()
    _call("mount", b"tmpfs", bytes(target), b"tmpfs", _MS_NOSUID | _MS_NODEV, options)


def _set_attributes(path: Path, attributes: int, *, recursive: bool = True) -> None:
    structure = struct.pack("QQQQ", attributes, 0, 0, 0)
    flags = _AT_RECURSIVE if recursive else 0
    _call("syscall", _SYS_MOUNT_SETATTR, _AT_FDCWD, bytes(path), flags, structure, len(structure))


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    # Flags are unsigned long, and `syscall` takes nothing narrower than a register.
    words = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    if getattr(libc, name)(*words) != 0:
        code = ctypes.get_errno()
        raise ToolError(f"the kernel refused the isolation: {name}: {os.strerror(code)}")
