"""Control groups of an engine: containers get theirs below one folder, which goes when the engine has stopped."""

from collections.abc import Iterable
from pathlib import Path


def parent_of(engine: str) -> str:
    """Return the name of the control group below which an engine's containers are."""
    return f"dhallmark-{engine}"


def hierarchies(mounts: str) -> list[Path]:
    """Parse /proc/self/mounts: where control groups are mounted, one hierarchy (v2) or several (v1)."""
    lines = (line.split() for line in mounts.splitlines())
    return [Path(fields[1]) for fields in lines if fields[2] in {"cgroup", "cgroup2"}]


def remove(engine: str, *, roots: Iterable[Path]) -> None:
    """Remove the control groups of a stopped engine: they stay behind when containers are killed.

    A group that still has a process cannot be removed, which is an error: something of the engine lives.
    """
    for root in roots:
        parent = root / parent_of(engine)
        if parent.is_dir():
            # Control files are no files of a tree to delete: only the folders are removed, the deepest first.
            for group in sorted((path for path in parent.rglob("*") if path.is_dir()), reverse=True):
                group.rmdir()
            parent.rmdir()
