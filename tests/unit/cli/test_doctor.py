"""`dhallmark doctor` tells what is there, what is too old, and what to do."""

from pathlib import Path

import pytest

from dhallmark.cli.doctor import TOOLS, Tool, doctor, examine
from dhallmark.errors import ExitCode


def install(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is all of PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("script", "version", "problem"),
    [
        ("echo 1.42.1", "1.42.1", ""),
        ("echo tool version v1.42", "1.42", ""),
        ("echo 'GitVersion: v2.0.0' >&2", "2.0.0", ""),
        ("echo 1.41.9", "1.41.9", "older than 1.42"),
        ("echo hello", None, "does not say its version"),
        ("exit 3", None, "does not say its version"),
        (None, None, "not on PATH"),
    ],
)
def test_version_and_state_of_a_tool(programs: Path, script: str | None, version: str | None, problem: str) -> None:
    if script is not None:
        install(programs, "dhall", script)
    tool = Tool(name="dhall", version=("--version",), at_least=(1, 42), needed_for="x", remedy="y", required=True)
    (found,) = examine([tool])
    assert (found.version, found.problem, found.blocks) == (version, problem, bool(problem))


def test_a_program_that_cannot_run_is_a_finding(programs: Path) -> None:
    (programs / "dhall").write_bytes(b"\x00not a program")
    (programs / "dhall").chmod(0o755)
    (found,) = examine([Tool(name="dhall", version=("--version",), needed_for="x", remedy="y")])
    assert "does not run" in found.problem


def test_secrets_of_the_caller_do_not_reach_the_tools(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "9.9.9")
    install(programs, "dhall", 'echo "${SOME_TOKEN:-1.50}"')
    (found,) = examine([Tool(name="dhall", version=("--version",), needed_for="x", remedy="y")])
    assert found.version == "1.50"


def test_without_what_a_release_needs_the_exit_code_says_so(programs: Path) -> None:
    result = doctor()
    assert (result.exit_code, result.data["ready"]) == (ExitCode.UNAVAILABLE, False)
    install(programs, "dhall", "echo 1.42.1")
    install(programs, "git", "echo git version 2.39.5")
    result = doctor()
    assert (result.exit_code, result.data["ready"]) == (ExitCode.OK, True)


def test_every_missing_tool_has_a_remedy(programs: Path) -> None:
    tools = doctor().data["tools"]
    assert isinstance(tools, list)
    assert [tool["name"] for tool in tools] == [tool.name for tool in TOOLS]
    assert all(tool["remedy"] for tool in tools)
