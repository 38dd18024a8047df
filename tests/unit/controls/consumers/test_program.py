"""Running a consumer's program: what it gets to see, and what becomes of one that fails."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import pytest

from dhallmark.controls.consumers import program
from dhallmark.controls.consumers.program import Done, ask_version, run_program
from dhallmark.errors import ToolError


def script(folder: Path, text: str) -> str:
    path = folder / "consumer"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def run(name: str, home: Path, *arguments: str, stdin: bytes = b"", variables: dict[str, str] | None = None) -> Done:
    async def main() -> Done:
        return await run_program(name, arguments, home=home, stdin=stdin, variables=variables)

    return anyio.run(main)


def test_a_program_sees_an_environment_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGSTORE_ROOT_FILE", "/the/users")
    monkeypatch.setenv("HOME", "/the/users")
    done = run(script(tmp_path, "env; pwd; cat"), tmp_path, stdin=b"asked", variables={"TUF_ROOT": "/x"})
    lines = done.stdout.decode().splitlines()
    names = {line.split("=")[0] for line in lines if "=" in line}
    assert names - {"PWD", "SHLVL", "_", "OLDPWD"} == {"PATH", "HOME", "TMPDIR", "DOCKER_CONFIG", "LANG", "TUF_ROOT"}
    assert f"HOME={tmp_path}" in lines
    assert lines[-2:] == [str(tmp_path), "asked"]


def test_exit_code_and_both_streams_are_kept(tmp_path: Path) -> None:
    assert run(script(tmp_path, r"echo out; printf 'err\377' >&2; exit 3"), tmp_path) == Done(3, b"out\n", "err\ufffd")


@pytest.mark.parametrize("name", ["no-such-consumer", "/nowhere/consumer"])
def test_a_program_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ToolError, match=name):
        run(name, tmp_path)
    with pytest.raises(ToolError, match=name):
        ask_version(name)


def test_a_program_that_cannot_be_started_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "consumer"
    path.write_text("#!/nowhere/interpreter\n")
    path.chmod(0o755)
    with pytest.raises(ToolError, match="cannot be run"):
        run(str(path), tmp_path)
    with pytest.raises(ToolError, match="does not say its version"):
        ask_version(str(path))


def test_a_program_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "TIMEOUT", 0.1)
    with pytest.raises(ToolError, match="did not end"):
        run(script(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 60"), tmp_path)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
