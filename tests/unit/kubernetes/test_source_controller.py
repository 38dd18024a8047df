"""When a controller has come to an end with an object: moments that a real one passes too fast to be caught in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dhallmark.errors import ToolError
from dhallmark.kubernetes import source_controller as module
from dhallmark.kubernetes.source_controller import await_end

ARTIFACT = {"revision": "latest@sha256:abc"}


def told(ready: str, *, observed: int = 2, artifact: dict[str, str] | None = None) -> dict[str, Any]:
    """What the API server says of an object of the generation 2."""
    conditions = [{"type": "Ready", "status": ready, "observedGeneration": observed}] if ready else []
    return {"metadata": {"generation": 2}, "status": {"conditions": conditions, "artifact": artifact}}


class Server:
    """Says one thing after the other, and the last one for ever."""

    def __init__(self, *said: dict[str, Any]) -> None:
        self._said: Iterator[dict[str, Any]] = iter(said)
        self._now: dict[str, Any] = {}

    def get(self, _: str) -> dict[str, Any]:
        self._now = next(self._said, self._now)
        return self._now


def end(*said: dict[str, Any], folder: Path, until: str = "") -> dict[str, Any]:
    server: Any = Server(*said)
    return await_end(server, "/x", still=lambda: True, folder=folder, seconds=0.5, until=until)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_POLL", 0.001)


@pytest.mark.parametrize(
    ("said", "until", "ready", "artifact"),
    [
        ([told(""), told("Unknown"), told("True", artifact=ARTIFACT)], "", "True", ARTIFACT),
        ([told("True"), told("True", artifact=ARTIFACT)], "", "True", ARTIFACT),  # conditions come first
        ([told("True")], "", "True", None),  # and nothing after them
        ([told("False", observed=1), told("False")], "", "False", None),
        ([told("True", artifact=ARTIFACT), told("False", artifact=ARTIFACT)], "False", "False", ARTIFACT),
        ([told("True", artifact=ARTIFACT)], "False", "True", ARTIFACT),
    ],
)
def test_an_end_is_a_whole_status_of_the_current_generation(
    tmp_path: Path, said: list[dict[str, Any]], until: str, ready: str, artifact: dict[str, str] | None
) -> None:
    found = end(*said, folder=tmp_path, until=until)
    assert [one["status"] for one in found["conditions"]] == [ready]
    assert found["artifact"] == artifact


@pytest.mark.parametrize("said", [told(""), told("Unknown"), told("False", observed=1)])
def test_where_there_is_no_end_that_is_an_error(tmp_path: Path, said: dict[str, Any]) -> None:
    (tmp_path / "source-controller.log").write_text("its last words\n")
    with pytest.raises(ToolError, match="comes to no end with /x") as raised:
        end(said, folder=tmp_path)
    assert "its last words" in str(raised.value.stderr)
