"""The catalogue of reasons: each is explained, can be given, and is asked for by a control or a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from dhallmark.reason_catalogue import CATALOGUE
from dhallmark.reasons import Reason

ROOT = Path(__file__).parents[2]
CODE = ROOT / "pipeline" / "dhallmark"
CONTROLS = CODE / "controls" / "catalogue"
TESTS = ROOT / "tests"


def text_of(folder: Path, *, without: Path) -> str:
    return "\n".join(path.read_text() for path in sorted(folder.rglob("*.py")) if without not in (path, *path.parents))


@pytest.fixture(scope="module")
def code() -> str:
    """All that may give a reason: the package without the catalogues, which only name them."""
    text = text_of(CODE, without=CODE / "reasons.py")
    for path in CONTROLS.glob("*.py"):
        text = text.replace(path.read_text(), "")
    return text


@pytest.fixture(scope="module")
def demands() -> str:
    """All that asks for one: the controls, which component tests run, and the tests."""
    return text_of(TESTS, without=Path(__file__)) + text_of(CONTROLS, without=Path(__file__))


def test_every_reason_has_a_line_on_what_it_means_and_what_to_do() -> None:
    assert set(CATALOGUE) == set(Reason)
    assert all(info.summary and info.remedy for info in CATALOGUE.values())


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_given_somewhere_and_asked_for(reason: Reason, code: str, demands: str) -> None:
    assert f"Reason.{reason.name}" in code
    assert f"Reason.{reason.name}" in demands or f'"{reason.value}"' in demands
