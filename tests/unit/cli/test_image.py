"""`dhallmark image …`: what is said before anything is fetched, built or pushed."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from dhallmark.cli.app import run
from dhallmark.errors import ExitCode

LOCK = Path(__file__).parents[3] / "ci" / "image" / "lock.json"


def say(*words: str) -> tuple[ExitCode, dict[str, object]]:
    """Exit code and the error that a command line ends with."""
    out, err = io.StringIO(), io.StringIO()
    code = run([*words, "--output", "json"], stdout=out, stderr=err)
    text = err.getvalue() or out.getvalue()
    body: dict[str, object] = json.loads(text[text.index("{") :])
    return ExitCode(code), body


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["image", "fetch", "--lock", str(LOCK), "--mirror", "debian"], ExitCode.USAGE, "NAME=URL"),
        (["image", "fetch", "--lock", "nowhere.json", "--mirror", "debian=x"], ExitCode.INPUT, "no such lock"),
        (["image", "lock", "--tools", ".", "--tool", "helm"], ExitCode.USAGE, "NAME=VERSION"),
        (["image", "lock", "--lock", str(LOCK), "--suite", "forky"], ExitCode.USAGE, "--tools"),
        (["image", "lock", "--lock", "nowhere.json"], ExitCode.INPUT, "no such lock"),
        (["image", "build", "--tools", ".", "--inputs", "nowhere"], ExitCode.USAGE, "image fetch"),
        (["image", "build", "--lock", str(LOCK), "--tools", ".", "--inputs", "nowhere"], ExitCode.USAGE, "wheel"),
        (["image", "push", "--to", "registry.example/ci"], ExitCode.USAGE, "no tag"),
        (["image", "push", "--to", "registry.example:5000/ci"], ExitCode.USAGE, "no tag"),
        (["image", "push", "--to", "registry.example/ci:1", "--image", "nowhere"], ExitCode.USAGE, "no image"),
    ],
)
def test_mistakes_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: ExitCode, part: str
) -> None:
    monkeypatch.chdir(tmp_path)
    found, body = say(*words)
    assert found == code
    assert part in json.dumps(body)
