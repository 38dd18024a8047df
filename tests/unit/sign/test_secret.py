"""Where passwords and PINs come from, and that they show up nowhere else."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from pathlib import Path

import pytest

from dhallmark.errors import SigningError, UsageError
from dhallmark.sign.secret import FileSecret, NoSecret, PromptSecret, VariableSecret, choose_secret


@pytest.mark.parametrize(
    ("content", "found"),
    [(b"1234", b"1234"), (b"1234\n", b"1234"), (b"1234\r\n", b"1234"), (b" 12 34 \n\n", b" 12 34 \n")],
)
def test_one_line_end_does_not_count(tmp_path: Path, content: bytes, found: bytes) -> None:
    path = tmp_path / "pin"
    path.write_bytes(content)
    assert FileSecret(path).read("the PIN") == found


def test_a_variable_holds_a_secret() -> None:
    assert VariableSecret("PIN", {"PIN": "pässword"}).read("the PIN") == "pässword".encode()


def test_a_person_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return "hunter2"

    monkeypatch.setattr(getpass, "getpass", answer)
    assert PromptSecret().read("the password of key.pem") == b"hunter2"
    assert asked == ["the password of key.pem: "]


def _closed(_: str) -> str:
    raise EOFError


@pytest.mark.parametrize("answer", [lambda _: "", _closed])
def test_no_answer_is_an_error(monkeypatch: pytest.MonkeyPatch, answer: Callable[[str], str]) -> None:
    monkeypatch.setattr(getpass, "getpass", answer)
    with pytest.raises(SigningError):
        PromptSecret().read("the PIN")


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty or not set"), (b"\n", "is empty or not set"), (b"x" * 5000, "holds more than 4096 bytes")],
)
def test_a_file_that_holds_none_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "pin"
    path.write_bytes(content)
    with pytest.raises(SigningError, match=message):
        FileSecret(path).read("the PIN")


@pytest.mark.parametrize("source", [FileSecret(Path("/nonexistent/pin")), VariableSecret("PIN", {}), NoSecret()])
def test_what_is_not_there_is_an_error(source: FileSecret | VariableSecret | NoSecret) -> None:
    with pytest.raises(SigningError, match="PIN"):
        source.read("the PIN")


def test_the_source_is_the_one_that_is_named() -> None:
    assert choose_secret(file=Path("pin")) == FileSecret(Path("pin"))
    assert choose_secret(variable="PIN", environment={"PIN": "1"}) == VariableSecret("PIN", {"PIN": "1"})
    assert choose_secret(interactive=True) == PromptSecret()
    assert choose_secret(interactive=False) == NoSecret()
    with pytest.raises(UsageError):
        choose_secret(file=Path("pin"), variable="PIN")


def test_a_source_does_not_print_its_secret() -> None:
    assert "hunter2" not in repr(VariableSecret("PIN", {"PIN": "hunter2"}))
