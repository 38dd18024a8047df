"""A bound is never wider than the caller's own, and a process that has ended is no error."""

from __future__ import annotations

import resource
import subprocess
import sys

from dhallmark.rlimits import restrict

_PROGRAM = """
import resource, sys
from dhallmark.rlimits import SELF, restrict
resource.setrlimit(resource.RLIMIT_NOFILE, (50, 60))
restrict(SELF, {resource.RLIMIT_NOFILE: int(sys.argv[1]), resource.RLIMIT_CORE: 0})
print(*resource.getrlimit(resource.RLIMIT_NOFILE), *resource.getrlimit(resource.RLIMIT_CORE))
"""


def test_a_tighter_bound_of_the_caller_stays() -> None:
    found = {
        wanted: subprocess.run(
            [sys.executable, "-c", _PROGRAM, wanted], check=True, capture_output=True, text=True
        ).stdout.split()
        for wanted in ("40", "1000")
    }
    assert found == {"40": ["40", "40", "0", "0"], "1000": ["60", "60", "0", "0"]}


def test_a_process_that_has_ended_is_within_any_bound() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    restrict(ended.pid, {resource.RLIMIT_CORE: 0})
