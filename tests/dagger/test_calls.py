"""The module as users call it: `dagger functions` and `dagger call`, through the engine's own Python SDK."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = [pytest.mark.dagger]

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = {
    "attest", "audit", "builder", "ci-image", "controls", "gitops", "image", "lab", "lock-image", "merge", "package",
    "plan", "prove", "publish", "publish-image", "push", "release", "render", "resolve", "sign", "status", "verify",
}  # fmt: skip
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_COMMAND = re.compile(r"(\d+)\s*:\s.*withExec dhallmark (.*)")
_END = re.compile(r"(\d+)\s*:\s.*Container\.withExec (DONE|CACHED|ERROR)")


def outcomes(log: str) -> dict[str, str]:
    """Each `dhallmark` command of a session, by its first words: DONE where it ran, CACHED where it did not."""
    commands: dict[str, str] = {}
    found: dict[str, str] = {}
    for line in _COLOUR.sub("", log).splitlines():
        if command := _COMMAND.match(line):
            commands[command[1]] = " ".join(re.split(r" -|/", command[2])[0].split()[:2])
        elif (end := _END.match(line)) and end[1] in commands:
            found[commands[end[1]]] = end[2]
    return found


def test_every_function_is_listed_with_a_line(call: Callable[..., str]) -> None:
    listed = dict(line.split(maxsplit=1) for line in call("functions").splitlines()[1:] if line.strip())
    assert set(listed) == FUNCTIONS
    assert all(text.endswith(".") for text in listed.values())


def test_a_repeated_release_runs_nothing_but_what_signs_publishes_and_judges(
    call: Callable[..., str], project: Path, tmp_path: Path, claims: Callable[[Path], dict[str, str]], builder_id: str
) -> None:
    arguments = [
        "lab",
        f"--packages={ROOT / 'examples' / 'packages'}",
        "release",
        f"--source={project}",
        f"--builder-id={builder_id}",
    ]
    for name, value in claims(project).items():
        arguments += ["--claims", f"{name}={value}"]
    for number in (1, 2):
        deploy = tmp_path / str(number)
        arguments_of_run = [*arguments, "deploy", "export", f"--path={deploy}"]
        log = call("call", *arguments_of_run, log=True)
        assert (deploy / "environments" / "prod" / "attestation.json").is_file()

    ran = outcomes(log)
    cached = {command for command, outcome in ran.items() if outcome == "CACHED"}
    # What led to a cached step is not always asked for again: the log then has no line of it.
    assert "step package" in cached
    assert {command for command, outcome in ran.items() if outcome == "DONE"} == {
        "step publish", "attest", "lab token", "sign", "publish", "controls", "verify", "report", "gitops write",
    }  # fmt: skip
