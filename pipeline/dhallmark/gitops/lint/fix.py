"""Safe fixes: a scalar is replaced where it stands, and nothing else in the file changes: no comment, no order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from dhallmark.files import write_atomic
from dhallmark.gitops.lint.model import Finding, Fix


def apply_fixes(root: Path, findings: Sequence[Finding]) -> list[Finding]:
    """Apply the fixes of `findings` to the files below `root`, and return those that were applied.

    A scalar that does not stand any more where it was read is left alone.
    """
    by_file: dict[str, list[Finding]] = defaultdict(list)
    for found in findings:
        if found.fix is not None:
            by_file[found.file].append(found)
    applied: list[Finding] = []
    for file, some in by_file.items():
        path = root / file
        lines = path.read_bytes().decode("utf-8").split("\n")
        # From the back, so that columns in front stay what they were.
        some.sort(key=lambda one: (one.fix.line, one.fix.column) if one.fix else (0, 0), reverse=True)
        done = [found for found in some if found.fix is not None and _replace(lines, found.fix)]
        if done:
            write_atomic(path, "\n".join(lines).encode())
            applied += done
    return applied


def _replace(lines: list[str], fix: Fix) -> bool:
    """Replace the scalar in its line; False where it is not there, or written in a way that is not one line."""
    if fix.line > len(lines):
        return False
    line = lines[fix.line - 1]
    start = fix.column - 1
    for before, after in _spellings(fix):
        if line.startswith(before, start):
            lines[fix.line - 1] = line[:start] + after + line[start + len(before) :]
            return True
    return False


def _spellings(fix: Fix) -> list[tuple[str, str]]:
    """How the old scalar may be written in one line, each with the new one in a form that means exactly it."""
    single = "'" + fix.new.replace("'", "''") + "'"
    found = [
        ("'" + fix.old.replace("'", "''") + "'", single),
        ('"' + fix.old.replace("\\", "\\\\").replace('"', '\\"') + '"', single),
    ]
    if fix.old and not set(fix.old) & set("'\"#") and fix.old == fix.old.strip():
        found.append((fix.old, single))
    return found
