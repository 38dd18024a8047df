"""The module as users call it: `dagger functions` and `dagger call`, through the engine's own Python SDK."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.dagger.conftest import Engine

pytestmark = [pytest.mark.dagger]

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = {
    "attest", "audit", "builder", "ci-image", "controls", "gitops", "image", "lab", "lock-image", "merge", "package",
    "plan", "prove", "publish", "publish-image", "push", "release", "render", "resolve", "sign", "status", "verify",
}  # fmt: skip
_STARTED = re.compile(
    r'msg="starting container" args="\[\S+ (?:python3 -m dhallmark\.cli\.app|dhallmark) ([^]]*)\]".* traceID=(\w+)'
)


def started(engine_log: str, trace: str) -> set[str]:
    """The `dhallmark` commands, by their first words, for which the engine started a container in a trace.

    The client's log does not tell: where another client did the same at the same time, a step that was taken from the
    cache ends as one that ran.
    """
    found = (_STARTED.search(line) for line in engine_log.splitlines())
    return {" ".join(re.split(r" -|/", one[1])[0].split()[:2]) for one in found if one and one[2] == trace}


def test_every_function_is_listed_with_a_line(call: Callable[..., str]) -> None:
    listed = dict(line.split(maxsplit=1) for line in call("functions").splitlines()[1:] if line.strip())
    assert set(listed) == FUNCTIONS
    assert all(text.endswith(".") for text in listed.values())


def test_a_repeated_release_runs_nothing_but_what_signs_publishes_and_judges(
    call: Callable[..., str],
    engine: Engine,
    project: Path,
    tmp_path: Path,
    claims: Callable[[Path], dict[str, str]],
    builder_id: str,
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
    ran = []
    for number in (1, 2):
        deploy, trace = tmp_path / str(number), secrets.token_hex(16)
        call("call", *arguments, "deploy", "export", f"--path={deploy}", trace=trace)
        assert (deploy / "environments" / "prod" / "attestation.json").is_file()
        ran.append(started(engine.log.read_text(errors="replace"), trace))

    assert ran[1] == {
        "lab serve", "lab token", "step publish", "attest", "sign", "publish", "controls", "verify", "report",
        "gitops write",
    }  # fmt: skip
    # The first one ran no less: what the second did is no gap in the log.
    assert ran[0] >= ran[1]
