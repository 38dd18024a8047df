"""`dhallmark doctor`: what a machine has of the programs that dhallmark runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from dhallmark.cli.result import Result
from dhallmark.errors import ExitCode

SCHEMA = "dhallmark.dev/doctor/v1"
_SECONDS = 20
_NUMBER = re.compile(r"\bv?(\d+)\.(\d+)(?:\.(\d+))?")
_TOOLCHAIN = 'python3 ci/toolchain install && eval "$(python3 ci/toolchain env)"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A program that dhallmark runs."""

    name: str
    version: tuple[str, ...] | None
    """Arguments that make it print its version; None where it has none to print."""
    at_least: tuple[int, ...] = ()
    needed_for: str
    remedy: str
    required: bool = False
    """Without it no release can be made."""


TOOLS: tuple[Tool, ...] = (
    Tool(
        name="dhall",
        version=("--version",),
        at_least=(1, 42),
        needed_for="resolve, release",
        remedy="install the Haskell implementation, such as Debian 13's package dhall; no other reads today's Prelude",
        required=True,
    ),
    Tool(
        name="git",
        version=("--version",),
        at_least=(2, 30),
        needed_for="attest, release",
        remedy="install your system's package git",
        required=True,
    ),
    Tool(
        name="helm",
        version=("version", "--short"),
        at_least=(3, 8),
        needed_for="using the charts",
        remedy=_TOOLCHAIN,
    ),
    Tool(
        name="cosign",
        version=("version",),
        at_least=(3, 0),
        needed_for="controls (as a consumer)",
        remedy=_TOOLCHAIN,
    ),
    Tool(
        name="dagger",
        version=("version",),
        at_least=(0, 19, 7),
        needed_for="dagger call …",
        remedy=_TOOLCHAIN,
    ),
    *(
        Tool(name=name, version=None, needed_for="lab", remedy=_TOOLCHAIN)
        for name in ("fulcio", "rekor-server", "timestamp-server", "registry", "distribution")
    ),
    Tool(
        name="unshare",
        version=("--version",),
        needed_for="lab, controls (a network of their own)",
        remedy="install your system's package util-linux",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found of a tool."""

    tool: Tool
    path: str | None
    version: str | None
    problem: str
    """Empty where all is well."""

    @property
    def blocks(self) -> bool:
        return self.tool.required and bool(self.problem)


def doctor() -> Result:
    """Say which programs are there in which version, what is missing, and what to do about it.

    Ends with exit code 5 where a release cannot be made on this machine. Looks at programs alone, not at services.
    """
    findings = examine(TOOLS)
    blocked = any(finding.blocks for finding in findings)
    return Result(
        data={
            "schema": SCHEMA,
            "ready": not blocked,
            "tools": [
                {
                    "name": finding.tool.name,
                    "path": finding.path,
                    "version": finding.version,
                    "neededFor": finding.tool.needed_for,
                    "required": finding.tool.required,
                    "problem": finding.problem,
                    "remedy": finding.tool.remedy if finding.problem else "",
                }
                for finding in findings
            ],
        },
        text=_table(findings),
        exit_code=ExitCode.UNAVAILABLE if blocked else ExitCode.OK,
    )


def examine(tools: Sequence[Tool]) -> list[Finding]:
    """Look for each tool on PATH and ask for its version."""
    return [_examine(tool) for tool in tools]


def _examine(tool: Tool) -> Finding:
    path = shutil.which(tool.name)
    if path is None:
        return Finding(tool=tool, path=None, version=None, problem="not on PATH")
    if tool.version is None:
        return Finding(tool=tool, path=path, version=None, problem="")
    try:
        answer = subprocess.run(
            [path, *tool.version],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
            # Nothing that a version needs; and no tool may look for updates with the caller's settings.
            env={"PATH": os.environ.get("PATH", os.defpath), "HOME": "/nonexistent", "LANG": "C.UTF-8"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(tool=tool, path=path, version=None, problem=f"does not run: {error}")
    found = _NUMBER.search(answer.stdout) or _NUMBER.search(answer.stderr)
    if found is None:
        return Finding(tool=tool, path=path, version=None, problem="does not say its version")
    numbers = tuple(int(part) for part in found.groups() if part is not None)
    version = ".".join(map(str, numbers))
    problem = ""
    if numbers < tool.at_least:
        problem = f"older than {'.'.join(map(str, tool.at_least))}"
    return Finding(tool=tool, path=path, version=version, problem=problem)


def _table(findings: Sequence[Finding]) -> Table:
    table = Table(pad_edge=False)
    for heading in ("tool", "version", "needed for", "state", "what to do"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        state = "ok" if not finding.problem else f"{'MISSING' if finding.blocks else 'missing'}: {finding.problem}"
        remedy = finding.tool.remedy if finding.problem else ""
        table.add_row(finding.tool.name, finding.version or "", finding.tool.needed_for, state, remedy)
    return table
