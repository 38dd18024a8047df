"""Digests of folders as in-toto gives them, and layers that cannot be read."""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from in_toto.resolver import DirectoryResolver

from dhallmark.digest import Digest
from dhallmark.steps.artifacts import keep_locale
from dhallmark.verify.layouts.layer import folder_digest, read_layer

if TYPE_CHECKING:
    from tests.unit.verify.layouts.conftest import World

_names = st.lists(st.sampled_from(["a", "b.yaml", "A", "ä", "templates", "-", "z z"]), min_size=1, max_size=3)


@given(st.dictionaries(_names.map("/".join), st.binary(max_size=8), min_size=1, max_size=6))
def test_the_digest_of_a_folder_is_in_totos(files: dict[str, bytes]) -> None:
    folders = {name.rpartition("/")[0] for name in files}
    files = {name: body for name, body in files.items() if not any(f"{one}/".startswith(f"{name}/") for one in folders)}
    with tempfile.TemporaryDirectory() as folder:
        for name, body in files.items():
            (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / name).write_bytes(body)
        with keep_locale():
            found = DirectoryResolver().hash_artifacts([f"dir:{folder}"])
    expected = folder_digest({name: Digest.of(body).hex for name, body in files.items()})
    assert found[f"dir:{folder}"] == {"sha256": expected}


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"", "cut off"), (b"plain text", "not gzip"), (gzip.compress(bytes(1024), mtime=0), "holds no file")],
)
def test_a_layer_that_is_no_archive_has_a_problem(content: bytes, problem: str) -> None:
    layer = read_layer(content)
    assert layer.digest == Digest.of(content)
    assert problem in layer.problem
    assert not layer.files


def test_a_file_that_leads_out_of_the_layer_is_a_problem(world: World) -> None:
    assert "unsafe file name" in read_layer(world.layer_of({"web/Chart.yaml": "a", "../evil": "b"})).problem


@given(st.binary())
def test_any_bytes_are_a_layer_or_a_problem(content: bytes) -> None:
    layer = read_layer(content)
    assert bool(layer.problem) != bool(layer.files)
