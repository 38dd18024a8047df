"""The relay of a command's standard error."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dhallmark.steps.relay import relay


def run(script: str, *, said: list[str]) -> tuple[int, str]:
    with relay(said.append) as listener:
        code = subprocess.run(listener.wrap(["/bin/sh", "-c", script]), check=False).returncode
    return code, listener.tail


@pytest.mark.parametrize(
    ("script", "text", "status"),
    [
        ("true", "", 0),
        ("echo one >&2; echo two >&2; exit 3", "one\ntwo\n", 3),
        ("printf 'no line feed' >&2", "no line feed", 0),
        ("printf '\\377\\n' >&2", "\ufffd\n", 0),
        ("echo out", "", 0),
    ],
)
def test_text_and_status_pass_through(script: str, text: str, status: int, capfd: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    code, _ = run(script, said=said)
    assert ("".join(said), code) == (text, status)
    assert capfd.readouterr().err == ""


def test_words_are_never_read_by_the_shell(tmp_path: Path) -> None:
    said: list[str] = []
    words = ["$(touch evil)", "`touch evil`", "; touch evil", "* ' \"", "-e"]
    script = f'import sys; print(*sys.argv[1:], sep="\\n", file=sys.stderr)'  # noqa: F541
    with relay(said.append) as listener:
        subprocess.run(listener.wrap([sys.executable, "-c", script, *words]), cwd=tmp_path, check=True)
    assert "".join(said).splitlines() == words
    assert list(tmp_path.iterdir()) == []


def test_the_last_lines_are_kept_for_an_error() -> None:
    code, tail = run("seq 1 100 >&2; exit 1", said=[])
    assert code == 1
    assert tail.splitlines() == [str(number) for number in range(81, 101)]


def test_it_arrives_while_the_command_still_runs() -> None:
    said: list[str] = []
    seen = threading.Event()

    def write(text: str) -> None:
        said.append(text)
        seen.set()

    with (
        relay(write) as listener,
        subprocess.Popen(
            listener.wrap(["/bin/sh", "-c", "echo early >&2; read line"]), stdin=subprocess.PIPE
        ) as process,
    ):
        assert seen.wait(timeout=10)
        assert process.poll() is None
        process.communicate(b"go\n")
    assert said == ["early\n"]


def test_nothing_is_left_behind() -> None:
    before = threading.active_count()
    with relay(lambda _: None) as listener:
        folder = Path(listener.wrap(["true"])[3]).parent
        assert folder.is_dir()
    assert not folder.exists()
    assert threading.active_count() == before


def test_the_command_is_stopped_with_the_shell() -> None:
    with relay(lambda _: None) as listener, subprocess.Popen(listener.wrap(["sleep", "60"])) as process:
        name = Path(f"/proc/{process.pid}/comm")
        deadline = time.monotonic() + 60
        while name.read_text().strip() != "sleep" and time.monotonic() < deadline:
            time.sleep(0.01)
        assert name.read_text().strip() == "sleep"
        process.kill()
