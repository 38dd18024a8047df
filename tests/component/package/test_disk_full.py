"""No space left on the device while a release is packaged."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from dhallmark.errors import ExitCode

pytestmark = pytest.mark.component
_PIPELINE = Path(__file__).parents[3] / "pipeline"


class Release(Protocol):
    """What `make_small_release` makes."""

    root: Path
    build: Path


# In a mount namespace of its own: $1 is the mount point, $2 the build directory to start from.
_SCRIPT = """
set -u
mount -t tmpfs -o size=160k none "$1" || exit 99
cp -r "$2/resolve" "$2/render" "$1/" || exit 98
pack() {
    "$PYTHON" -m dhallmark.cli.app package --config "$CONFIG" --build "$1" --source-date-epoch 5 --quiet
    echo "status $?"
    ls -A "$1" | tr '\\n' ' '
    echo
}
pack "$1"
mount -o remount,size=10m "$1"
pack "$1"
cat "$1/package/artifacts.json" > "$OUT"
"""


def test_a_full_disk_leaves_no_half_package_and_the_next_run_recovers(
    make_small_release: Callable[..., Release], tmp_path: Path
) -> None:
    release = make_small_release(tmp_path / "release")
    (tmp_path / "full").mkdir()
    unshare = shutil.which("unshare")
    assert unshare
    as_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    done = subprocess.run(
        [unshare, *as_root, "--mount", "sh", "-c", _SCRIPT, "sh", tmp_path / "full", release.build],
        env={
            **os.environ,
            "PYTHON": sys.executable,
            "PYTHONPATH": str(_PIPELINE),
            "PYTHONDONTWRITEBYTECODE": "1",
            "CONFIG": str(release.root / "dhallmark.yaml"),
            "OUT": str(tmp_path / "artifacts.json"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert f"status {int(ExitCode.UNAVAILABLE)}" in lines, done.stdout + done.stderr
    assert lines[lines.index(f"status {int(ExitCode.UNAVAILABLE)}") + 1] == "render resolve"
    assert "No space left" in done.stderr
    assert lines[-2:] == ["status 0", "package render resolve"]
    assert (tmp_path / "artifacts.json").stat().st_size > 0
