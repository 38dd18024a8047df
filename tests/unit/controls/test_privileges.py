"""What a judging process can still do, seen from within one that gave its privileges up, and from what it starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import dhallmark
from dhallmark.controls.limits import Limits
from dhallmark.controls.privileges import FIRST_USER, MAX_ADDRESS_SPACE, USERS, _require_none, user_of
from dhallmark.errors import ToolError

_IMPORT = (
    "import os, resource, sys; from dhallmark.controls.limits import Limits; "
    "from dhallmark.controls.privileges import drop_privileges, limit_resources; "
)
_DROP = "drop_privileges(); limit_resources(Limits(tasks=77)); "
STATUS = "CapInh:\t{0}\nCapPrm:\t{0}\nCapEff:\t{0}\nCapAmb:\t{0}\nNoNewPrivs:\t{1}\n"


def run(program: str, *, before: str = "") -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(Path(str(dhallmark.__file__)).parents[1]), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        [sys.executable, "-c", _IMPORT + before + _DROP + program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_no_capability_is_left_and_none_comes_back_with_another_program() -> None:
    done = run("os.execvp('cat', ['cat', '/proc/self/status'])")
    assert done.returncode == 0, done.stderr
    _require_none(done.stdout)


def test_what_only_a_privileged_process_may_do_is_refused() -> None:
    done = run("os.chroot('/')")
    assert "PermissionError" in done.stderr


def test_memory_has_a_bound_also_for_the_programs_that_it_starts() -> None:
    program = "import resource; print(*resource.getrlimit(resource.RLIMIT_AS))"
    done = run(f"os.execv(sys.executable, [sys.executable, '-c', {program!r}])")
    assert done.stdout.split() == [str(MAX_ADDRESS_SPACE)] * 2, done.stderr
    assert "MemoryError" in run(f"bytearray({MAX_ADDRESS_SPACE})").stderr


def test_files_processes_and_threads_have_bounds() -> None:
    done = run("print([resource.getrlimit(k)[0] for k in (resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC)])")
    assert done.stdout.strip() == str([Limits().scratch, 77]), done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another")
def test_root_becomes_another_user_without_groups_for_good() -> None:
    program = "print(os.getresuid(), os.getresgid(), os.getgroups(), flush=True); os.setuid(0); "
    done = run("", before="os.setgroups([7]); drop_privileges(61190); " + program)
    assert done.stdout.strip() == "(61190, 61190, 61190) (61190, 61190, 61190) []"
    assert "PermissionError" in done.stderr


@pytest.mark.parametrize("number", [0, 1, USERS // 2, 4026532301])
def test_judgements_have_users_of_their_own(number: int) -> None:
    """The consumer's and, next to it, the registry's: neither is root, nor anyone with files."""
    assert FIRST_USER <= user_of(number) < user_of(number) + 1 < FIRST_USER + USERS
    assert user_of(number) != user_of(number + 1)


def test_a_tighter_bound_of_the_callers_stays() -> None:
    lower = "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100)); "
    done = run("print(*resource.getrlimit(resource.RLIMIT_NOFILE))", before=lower)
    assert done.stdout.split() == ["100", "100"], done.stderr


@pytest.mark.parametrize(
    "status",
    ["", STATUS.format("0000000000000001", 1), STATUS.format("0000000000000000", 0)],
)
def test_a_process_that_kept_privileges_judges_nothing(status: str) -> None:
    with pytest.raises(ToolError, match="give up its privileges"):
        _require_none(status)


def test_a_process_without_privileges_is_taken_for_one() -> None:
    _require_none(STATUS.format("0000000000000000", 1))
