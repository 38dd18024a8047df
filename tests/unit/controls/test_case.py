"""The folder of prepared cases: which there are, and for how long they can be judged."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dhallmark.controls.case import INDEX, read_index, write_index
from dhallmark.controls.forging.authorities import LONG_AGO, SHELF_LIFE
from dhallmark.errors import FormatError, UsageError
from dhallmark.lab import pki

_MINUTE = timedelta(minutes=1)


def test_the_index_says_which_cases_there_are(tmp_path: Path) -> None:
    write_index(tmp_path, ["S1", "R9-404"], made=datetime.now(UTC) - SHELF_LIFE + _MINUTE)
    assert read_index(tmp_path) == ["S1", "R9-404"]


def test_cases_whose_times_no_longer_hold_are_not_judged(tmp_path: Path) -> None:
    """A signature of the future is one of the past after a while, and a fresh one is old: no consumer is to blame."""
    write_index(tmp_path, ["S1"], made=datetime.now(UTC) - SHELF_LIFE - _MINUTE)
    with pytest.raises(UsageError, match="prepared more than 30 days ago"):
        read_index(tmp_path)
    assert SHELF_LIFE < LONG_AGO < pki.AGE


def test_a_folder_without_an_index_is_not_whole(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no prepared controls"):
        read_index(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"schema": "dhallmark.dev/controls/v1", "controls": ["S1"]}',
        '{"schema": "dhallmark.dev/controls/v2", "made": "2026-11-01T00:00:00Z", "controls": ["S1"]}',
        '{"schema": "dhallmark.dev/controls/v1", "made": "2026-11-01T00:00:00Z", "controls": ["../S1"]}',
        '{"schema": "dhallmark.dev/controls/v1", "made": 1, "controls": ["S1"]}',
    ],
)
def test_what_is_no_index_is_an_error_with_its_file(tmp_path: Path, text: str) -> None:
    (tmp_path / INDEX).write_text(text)
    with pytest.raises(FormatError, match=INDEX):
        read_index(tmp_path)
