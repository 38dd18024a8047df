"""A run of Dhall that is ended once what it is for is there."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from dhallmark.digest import Digest
from dhallmark.errors import RenderError
from dhallmark.render.dhall import Dhall, Outcome, find_dhall
from dhallmark.render.resolve import resolve

if TYPE_CHECKING:
    from tests.component.render.conftest import Project

pytestmark = pytest.mark.component

EXPRESSION = "let x = 1 in { a = x, b = \\(y : Natural) -> [ x, y ] }"


def script(path: Path, text: str) -> Dhall:
    """A program that stands in for `dhall`, for what the real one can't be made to do."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return Dhall(program=str(path), version="1.42.1")


def run(dhall: Dhall, folder: Path, until: Callable[[], bool] | None) -> Outcome:
    (folder / "dhall").mkdir(parents=True)
    work = partial(dhall.run, "hash", "--cache", source=EXPRESSION, directory=folder, cache=folder, until=until)
    return anyio.run(work)


def entries(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "dhall").glob("1220*")}


def test_a_run_that_is_ended_early_leaves_the_entry_of_a_whole_one(tmp_path: Path) -> None:
    dhall = anyio.run(find_dhall)
    whole = run(dhall, tmp_path / "whole", None)
    early = run(dhall, tmp_path / "early", lambda: bool(entries(tmp_path / "early")))
    assert (whole.status, early.status) == (0, 0)
    assert entries(tmp_path / "early") == entries(tmp_path / "whole")
    ((name, content),) = entries(tmp_path / "early").items()
    assert Digest(whole.stdout.decode().strip()) == Digest.of(content) == Digest.from_hex(name.removeprefix("1220"))


def test_ending_a_run_leaves_no_process(tmp_path: Path) -> None:
    made = tmp_path / "made"
    dhall = script(tmp_path / "slow", f"echo $$ > {made}.tmp; mv {made}.tmp {made}; exec sleep 600")
    assert run(dhall, tmp_path / "cache", made.exists).status == 0
    with pytest.raises(ProcessLookupError):
        os.kill(int(made.read_text()), 0)


def test_a_run_that_fails_before_is_a_failure(tmp_path: Path) -> None:
    assert run(script(tmp_path / "fails", "exit 3"), tmp_path / "a", lambda: False).status == 3
    with pytest.raises(RenderError, match="memory"):
        run(script(tmp_path / "killed", "kill -KILL $$"), tmp_path / "b", lambda: False)


def test_a_run_that_leaves_no_entry_is_an_error(project: Project, tmp_path: Path) -> None:
    project.application("web", '[ { apiVersion = "v1", kind = "Namespace", metadata.name = "a" } ]')
    # Dhall goes on, and exits with 0, where it cannot write its cache.
    unwritable = 'case "$*" in *--cache*) XDG_CACHE_HOME=/dev/null ;; esac; exec dhall "$@"'
    work = partial(
        resolve, project.plan(), root=project.root, build=project.build, dhall=script(tmp_path / "dhall", unwritable)
    )
    with pytest.raises(RenderError, match="left no cache entry") as caught:
        anyio.run(work)
    assert caught.value.hint
