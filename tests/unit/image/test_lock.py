"""The image's lock: the committed one, and what a lock may hold."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

from dhallmark.errors import FormatError
from dhallmark.image.build import WANTED
from dhallmark.image.lock import load_lock, save_lock

LOCK = Path(__file__).parents[3] / "ci" / "image" / "lock.json"


@pytest.fixture
def body() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(LOCK.read_bytes())
    return loaded


def test_the_committed_lock_names_no_host() -> None:
    assert not re.search(r"https?:|[a-z0-9-]+\.(org|com|io|net)\b", LOCK.read_text())


def test_the_committed_lock_has_all_that_is_wanted() -> None:
    lock = load_lock(LOCK)
    names = [package.name for package in lock.packages]
    assert set(WANTED) <= set(names)
    assert lock.wanted == WANTED
    assert names == sorted(set(names))
    assert set(lock.tools) == {"helm"}


def test_a_lock_is_written_as_it_was_read(tmp_path: Path) -> None:
    path = tmp_path / "lock.json"
    assert save_lock(load_lock(LOCK), path)
    assert path.read_bytes() == LOCK.read_bytes()
    assert not save_lock(load_lock(LOCK), path)


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("packages", 0, "sha256"), "A" * 64, "packages.0.sha256"),
        (("packages", 0, "path"), "../etc/passwd.deb", "packages.0.path"),
        (("packages", 0, "path"), "pool/../../x.deb", "packages.0.path"),
        (("packages", 0, "name"), "a/b", "packages.0.name"),
        (("tools", "helm", "path"), "etc/cron.d/helm", "tools.helm.path"),
        (("epoch",), 0, "epoch"),
        (("mirror",), "x", "mirror"),
    ],
)
def test_a_wrong_field_is_named(
    tmp_path: Path, body: dict[str, Any], path: tuple[Any, ...], value: object, field: str
) -> None:
    changed: Any = copy.deepcopy(body)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    file = tmp_path / "lock.json"
    file.write_text(json.dumps(changed))
    with pytest.raises(FormatError) as caught:
        load_lock(file)
    assert caught.value.where is not None
    assert caught.value.where.field == field


def test_without_a_lock_the_hint_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="image lock"):
        load_lock(tmp_path / "none.json")
