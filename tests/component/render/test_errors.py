"""What is wrong in the sources is an error with file, line, column and a hint: controls H2 and H3."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from dhallmark.errors import RenderError, ToolError
from dhallmark.render.dhall import Limits, find_dhall

if TYPE_CHECKING:
    from tests.component.render.conftest import Project

pytestmark = pytest.mark.component

GOOD = '{ apiVersion = "v1", kind = "Namespace", metadata.name = "a" }'
URL = "http://127.0.0.1:9/p.dhall"
HASH = "sha256:" + "ab" * 32


def build(project: Project, limits: Limits | None) -> None:
    project.resolve(limits=limits)
    project.render()


def failure(project: Project, *, limits: Limits | None = None) -> RenderError:
    with pytest.raises(RenderError) as caught:
        build(project, limits)
    assert not list(project.build.glob(".dhall-*")), "a cache is left behind"
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    ("source", "message", "where"),
    [
        ('let x = 3\n\nin  x + "s"', "dev/web: .*only works on", "apps/web.dhall:3:5"),
        ("let x =", "dev/web: Invalid input", "apps/web.dhall:1:"),
        ("[ y ]", "dev/web: Unbound variable: y", "apps/web.dhall:1:3"),
        ("[ ./nowhere.dhall ]", r"dev/web: Missing file", "apps/web.dhall:1:3"),
        ("let c = ./cycle.dhall\n\nin  [ c ]", "dev/web: Cyclic import", "apps/back.dhall:1:1"),
        ("[ ./good.dhall " + HASH + " ]", "dev/web: Import integrity check failed", "apps/web.dhall:1:3"),
        ("[ env:HOME as Text ]", "from the environment", "apps/web.dhall:1:3"),
        ('[ env:HOME as Text ? "x" ]', "from the environment", "apps/web.dhall:1:3"),
        ("[ missing ? 1 ]", "never resolves", "apps/web.dhall:1:3"),
        (f"[ {URL} ]", "not frozen", "apps/web.dhall:1:3"),
        (f"[ {URL} {HASH} ]", "dev/web: Remote host not found", "apps/web.dhall:1:3"),
        ("[ ../../outside.dhall ]", "leaves the project", "apps/web.dhall:1:3"),
        ("let x = 1\nin  [] : List Natural", "dev/web: no object", "apps/web.dhall:2:5"),
        (f"let x = {GOOD}\n\nin  [ x, x ]", "dev/web: Namespace a is yielded twice", "apps/web.dhall:3:5 ([1])"),
        (GOOD, "dev/web: the value is not a list", "apps/web.dhall:1:1"),
        ("[ { kind = 1 } ]", "dev/web: an object without apiVersion", "apps/web.dhall:1:1 ([0].apiVersion)"),
        ('[ { apiVersion = "v1", kind = "A" } ]', "without a name", "apps/web.dhall:1:1 ([0].metadata.name)"),
        ("[ { x = \\(n : Natural) -> n } ]", r"\[0\].x: a function has no form in JSON", "apps/web.dhall:1:1"),
        ("\\(x : Natural) -> [ x ]", "dev/web: the value is not a list", "apps/web.dhall:1:1"),
    ],
)  # fmt: skip
def test_an_error_names_unit_file_and_position(project: Project, source: str, message: str, where: str) -> None:
    project.application("web", source)
    project.application("fine", f"[ {GOOD} ]")
    project.write("apps/good.dhall", GOOD).write("apps/cycle.dhall", "./back.dhall").write(
        "apps/back.dhall", "./cycle.dhall"
    )
    error = failure(project)
    assert re.search(message, error.message), error
    assert str(error.where).startswith(where), error


def test_the_unit_at_fault_is_named_among_many(project: Project) -> None:
    project.environments = {"dev": "env/dev.dhall", "prod": "env/prod.dhall"}
    project.write("env/dev.dhall", "{ n = 1 }").write("env/prod.dhall", '{ n = "one" }')
    project.application("web", "\\(env : { n : Natural }) -> [ " + GOOD + " ]")
    error = failure(project)
    assert error.message.startswith("prod/web: Wrong type of function argument")
    assert str(error.where) == "apps/web.dhall (applications.web.entry)"


def test_an_application_that_takes_no_values_is_told_so(project: Project) -> None:
    project.environments = {"dev": "env/dev.dhall"}
    project.write("env/dev.dhall", "{=}").application("web", f"[ {GOOD} ]")
    error = failure(project)
    assert "Not a function" in error.message
    assert error.hint == "the entry must be a function from the environment's values to a list of objects"


def test_two_applications_may_not_yield_the_same_object(project: Project) -> None:
    project.application("a", f"[ {GOOD} ]").application("b", f"[ {GOOD} ]")
    error = failure(project)
    assert error.message == "dev/b: Namespace a is yielded by a too"


@pytest.mark.parametrize("name", ['a"b', "a\nb"])
def test_an_entry_that_dhall_cannot_name_is_refused(project: Project, name: str) -> None:
    project.application(name, f"[ {GOOD} ]")
    project.applications = {"web": f"apps/{name}.dhall"}
    assert "cannot be imported" in failure(project).message


HUGE = 'Natural/fold {n} (List Text) (\\(l : List Text) -> l # l) [ "aaaaaaaaaaaaaaaa" ]'


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(memory=200 << 20), "more than 200 MiB of memory"),
        (Limits(file=1 << 20), "larger than 1 MiB"),
        (Limits(seconds=1), "longer than 1 s"),
    ],
    ids=["memory", "file", "time"],
)
def test_a_huge_normal_form_hits_a_limit(project: Project, limits: Limits, message: str) -> None:
    count = 17 if limits.file == 1 << 20 else 26
    project.application("fine", f"[ {GOOD} ]").application("web", HUGE.format(n=count))
    error = failure(project, limits=limits)
    assert error.message.startswith("dev/web: ")
    assert message in error.message
    assert str(error.where) == "apps/web.dhall (applications.web.entry)"


def test_a_failed_run_leaves_the_result_of_the_one_before(project: Project) -> None:
    project.application("web", f"[ {GOOD} ]").resolve()
    project.render()
    before = {path: path.read_bytes() for path in project.build.rglob("*") if path.is_file()}
    project.application("web", "[ x ]")
    failure(project)
    assert {path: path.read_bytes() for path in project.build.rglob("*") if path.is_file()} == before


def test_a_normal_form_that_was_changed_is_refused(project: Project) -> None:
    project.application("web", f"[ {GOOD} ]").resolve()
    path = project.build / "resolve" / "normal" / "dev" / "web.dhallb"
    path.write_bytes(path.read_bytes().replace(b"Namespace", b"Namespaze"))
    with pytest.raises(RenderError, match=r"not the one that closure\.json records"):
        project.render()
    path.unlink()
    with pytest.raises(RenderError, match="cannot be read"):
        project.render()


def program(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo 1.41.2", "1.42 or newer is needed"),
        ("echo 0.7", "1.42 or newer is needed"),
        ("echo dhall-rust 1.99", "does not say its version"),
        ("exit 3", "does not say its version"),
        ("kill -SEGV $$", "ended by signal 11"),
    ],
)
def test_another_dhall_is_refused(tmp_path: Path, script: str, message: str) -> None:
    with pytest.raises(ToolError, match=message) as caught:
        anyio.run(lambda: find_dhall(program=program(tmp_path / "dhall", script)))
    assert caught.value.command[0] == str(tmp_path / "dhall")


def test_a_dhall_that_takes_no_runtime_options_is_run_without(tmp_path: Path) -> None:
    script = """
        test -z "$GHCRTS" || { echo "Most RTS options are disabled." >&2; exit 1; }
        exec dhall "$@"
    """
    found = anyio.run(lambda: find_dhall(program=program(tmp_path / "dhall-plain", script)))
    assert found.runtime == ""
    assert anyio.run(find_dhall).runtime == "-A256m"


def test_a_dhall_that_is_not_there_is_a_tool_error(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="no program") as caught:
        anyio.run(lambda: find_dhall(program=str(tmp_path / "dhall")))
    assert caught.value.hint
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF")
    broken.chmod(0o755)
    with pytest.raises(ToolError, match="cannot run"):
        anyio.run(lambda: find_dhall(program=str(broken)))


def test_what_a_killed_run_left_is_removed_and_what_another_uses_is_not(project: Project) -> None:
    left, used = project.build / ".dhall-left", project.build / ".dhall-used"
    for folder in (left, used):
        (folder / "dhall").mkdir(parents=True)
    descriptor = os.open(used, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        project.application("web", f"[ {GOOD} ]").resolve()
    finally:
        os.close(descriptor)
    assert sorted(path.name for path in project.build.iterdir()) == [".dhall-used", "resolve"]


def test_cancelling_leaves_no_process_and_no_cache(project: Project) -> None:
    project.application("web", HUGE.format(n=26))

    async def work() -> None:
        from dhallmark.render.resolve import resolve

        with anyio.move_on_after(1):
            await resolve(project.plan(), root=project.root, build=project.build, dhall=await find_dhall())

    anyio.run(work)
    assert not list(project.build.iterdir())
    listing = subprocess.run(["ps", "-eo", "args"], check=True, capture_output=True, text=True).stdout
    assert str(project.build) not in listing
