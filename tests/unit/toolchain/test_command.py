"""Programs that fetch: tried again where the network failed them, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolchain import command
from toolchain.errors import ToolchainError

SCRIPT = 'echo try >> "$1"; [ "$(wc -l < "$1")" -lt "$2" ] || exit 0; echo "$3" >&2; exit 1'


def tries(folder: Path, said: str, *, good_at: int) -> int:
    """How often the program was run that says `said` until its try `good_at`."""
    log, count = folder / "log", folder / "count"
    log.write_text("connection reset by an earlier program\n")
    try:
        command.run_online(["sh", "-c", SCRIPT, "sh", count, str(good_at), said], log=log)
    finally:
        made = len(count.read_text().splitlines())
    return made


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "PAUSES", (0.0, 0.0))


@pytest.mark.parametrize(
    "said",
    [
        'Get "https://proxy.test/x.zip": dial tcp 192.0.2.1:443: i/o timeout',
        "read: connection reset by peer",
        "reading https://proxy.test/x.info: 503 Service Unavailable",
        "dial tcp: lookup proxy.test: no such host",
    ],
)
def test_a_failure_of_the_network_passes(tmp_path: Path, said: str) -> None:
    assert tries(tmp_path, said, good_at=3) == 3


def test_a_network_that_stays_away_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="connection reset"):
        tries(tmp_path, "connection reset", good_at=4)
    assert (tmp_path / "count").read_text().count("try") == 3


def test_any_other_failure_is_final(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="undefined: x"):
        tries(tmp_path, "main.go:1503: undefined: x", good_at=2)
    assert (tmp_path / "count").read_text() == "try\n"
