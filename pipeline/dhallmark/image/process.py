"""Running the programs that fetch packages."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

from dhallmark.errors import ToolError

_SHOWN = 20
"""Lines of a failed program's error output that are kept."""


def run(command: Sequence[str], *, what: str) -> str:
    """Run `command` and return its standard output. Raises ToolError, saying `what` it was to do.

    Programs speak English, whatever the user's locale: callers read what they say.
    """
    if shutil.which(command[0]) is None:
        raise ToolError(f"{what}: {command[0]} is not installed", command=tuple(command))
    env = {**os.environ, "LC_ALL": "C.UTF-8", "LANGUAGE": ""}
    result = subprocess.run(list(command), env=env, check=False, capture_output=True)
    if result.returncode != 0:
        tail = "\n".join(result.stderr.decode(errors="replace").splitlines()[-_SHOWN:])
        raise ToolError(
            f"{what} failed: {tail.splitlines()[-1] if tail else 'no message'}",
            command=tuple(command),
            status=result.returncode,
            stderr=tail,
        )
    return result.stdout.decode()
