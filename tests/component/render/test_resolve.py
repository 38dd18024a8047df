"""The record of imports and normal forms, as the real Dhall makes it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dhallmark.digest import Digest
from dhallmark.errors import RenderError
from dhallmark.render.closure import closure_bytes, load_closure, merge_closures

if TYPE_CHECKING:
    from tests.component.render.conftest import Example, PackageServer, Project

pytestmark = pytest.mark.component

GOOD = '{ apiVersion = "v1", kind = "Namespace", metadata.name = "a" }'
URL = "http://packages.dhallmark.test:8411/labels/v1.2.0/package.dhall"


def dhall(*arguments: str, source: str = "", directory: Path) -> str:
    """What `dhall` itself says."""
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "XDG_CACHE_HOME": str(directory / ".user")}
    done = subprocess.run(
        ["dhall", *arguments], cwd=directory, env=environment, input=source, text=True, check=True, capture_output=True
    )
    return done.stdout.strip()


def tree(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def test_every_import_is_recorded_as_dhall_sees_it(project: Project) -> None:
    project.environments = {"dev": "env/dev.dhall"}
    project.write("env/dev.dhall", '{ text = "x" }')
    project.write("lib/a b/é.dhall", "./t.txt as Text").write("lib/a b/t.txt", "raw\n").write("lib/blob", "\x00\x01")
    project.write("lib/frozen.dhall", '../lib/"a b"/"é.dhall"')
    frozen = dhall("hash", "--file", "lib/frozen.dhall", directory=project.root)
    project.application(
        "web",
        f'let t = ../lib/"a b"/"é.dhall" let f = ../lib/frozen.dhall {frozen} let b = ../lib/blob as Bytes\n'
        "let l = ../lib/nowhere.dhall as Location\n"
        "in  \\(env : { text : Text }) -> [ " + GOOD + " // { data = { t, f, b, l, e = env.text } } ]",
    )
    closure = project.resolve()
    by_id = {item.id: item for item in closure.imports}
    assert sorted(by_id) == [
        "apps/web.dhall", "env/dev.dhall", "lib/a b/t.txt as Text", "lib/a b/é.dhall", "lib/blob as Bytes",
        "lib/frozen.dhall",
    ]  # fmt: skip
    assert by_id["apps/web.dhall"].imports == ("lib/a b/é.dhall", "lib/blob as Bytes", "lib/frozen.dhall")
    assert by_id["lib/frozen.dhall"].imports == ("lib/a b/é.dhall",)
    for item in closure.imports:
        assert item.path is not None
        assert item.sha256 == Digest.of((project.root / item.path).read_bytes())
        suffix = {"code": "", "text": " as Text", "bytes": " as Bytes"}[item.mode]
        quoted = "./" + "/".join(f'"{part}"' for part in item.path.split("/"))
        assert item.semantic_hash == dhall("hash", source=quoted + suffix, directory=project.root)
        assert item.frozen == (item.id == "lib/frozen.dhall")
    (unit,) = closure.units
    assert unit.entries == ("apps/web.dhall", "env/dev.dhall")
    assert unit.semantic_hash == dhall("hash", source="./apps/web.dhall ./env/dev.dhall", directory=project.root)
    form = (project.build / "resolve" / "normal" / "dev" / "web.dhallb").read_bytes()
    assert hashlib.sha256(form).hexdigest() == unit.semantic_hash.removeprefix("sha256:")
    entry = project.build / "resolve" / "cache" / ("1220" + frozen.removeprefix("sha256:"))
    assert Digest.of(entry.read_bytes()) == frozen
    assert closure == load_closure(project.build)


def test_two_frozen_files_of_one_hash_are_both_recorded_with_what_they_import(project: Project) -> None:
    # Dhall reads the second one from its cache, so that its own graph does not show what it imports.
    project.write("a.dhall", "./one.dhall").write("b.dhall", "./other.dhall")
    project.write("one.dhall", GOOD).write("other.dhall", GOOD)
    frozen = dhall("hash", "--file", "a.dhall", directory=project.root)
    project.application("web", f'[ ../a.dhall {frozen}, ../b.dhall {frozen} // {{ metadata.name = "b" }} ]')
    closure = project.resolve()
    assert [item.id for item in closure.imports] == ["a.dhall", "apps/web.dhall", "b.dhall", "one.dhall", "other.dhall"]
    assert {item.id: item.imports for item in closure.imports}["b.dhall"] == ("other.dhall",)


def test_an_alternative_that_is_not_taken_is_no_material(project: Project) -> None:
    project.write("here.dhall", GOOD).write("broken.dhall", "let")
    project.application(
        "web", '[ ../here.dhall ? ../broken.dhall, (../nowhere.dhall ? ../here.dhall) // { kind = "B" } ]'
    )
    assert [item.id for item in project.resolve().imports] == ["apps/web.dhall", "here.dhall"]


def test_nothing_of_the_users_environment_is_seen(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.application("web", f"[ {GOOD} ]")
    before = closure_bytes(project.resolve())
    poisoned = project.root / "poisoned"
    (poisoned / "dhall").mkdir(parents=True)
    (poisoned / "dhall" / "headers.dhall").write_text("this is no Dhall")
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "HOME"):
        monkeypatch.setenv(name, str(poisoned))
    monkeypatch.setenv("DHALL_HEADERS", "this is no Dhall")
    monkeypatch.setenv("LC_ALL", "POSIX")
    assert closure_bytes(project.resolve()) == before
    assert sorted(path.name for path in poisoned.rglob("*")) == ["dhall", "headers.dhall"]


def test_a_remote_import_is_fetched_once_and_then_taken_from_the_earlier_run(
    example: Example, packages: PackageServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    unseeded = replace(example, seed=tmp_path / "nothing")
    build = tmp_path / "build"
    unseeded.resolve(build)
    # Dhall runs twice at a time; whichever comes second may find the entry that the first has left in the cache.
    assert packages.requests.count(URL) in {1, 2}
    assert tree(build / "resolve") == tree(example.build / "resolve"), "fetched or seeded, the record is the same"
    packages.requests.clear()
    unseeded.resolve(build)
    assert packages.requests == []


def test_a_seed_with_other_bytes_is_not_used(example: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    poisoned = tmp_path / "poisoned"
    shutil.copytree(example.seed, poisoned)
    for entry in poisoned.iterdir():
        entry.write_bytes(entry.read_bytes() + b"\x00")
    with pytest.raises(RenderError, match="Remote host not found") as caught:
        replace(example, seed=poisoned).resolve(tmp_path / "build")
    assert str(caught.value.where) == "lib/labels.dhall:5:1"


def test_a_package_that_changed_is_refused(project: Project, packages: PackageServer) -> None:
    changed = "sha256:" + "cd" * 32
    project.application("web", f"let labels = {URL} {changed} in [ {GOOD} ]")
    with pytest.raises(RenderError, match="integrity check failed") as caught:
        project.resolve()
    assert str(caught.value.where) == "apps/web.dhall:1:14"


SCRIPT = """
import sys
from pathlib import Path
import anyio
from dhallmark.config.load import load_config
from dhallmark.plan import make_plan
from dhallmark.render.render import render
from dhallmark.render.resolve import resolve
root, build, seed = map(Path, sys.argv[1:])
plan = make_plan(load_config(root / "dhallmark.yaml"))
async def main():
    await resolve(plan, root=root, build=build, seeds=[seed])
anyio.run(main)
render(plan, root=root, build=build)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace without a route needs root")
def test_with_the_package_in_the_cache_no_network_is_needed(example: Example, tmp_path: Path) -> None:
    build = tmp_path / "build"
    command = ["unshare", "--net", sys.executable, "-c", SCRIPT, str(example.root), str(build), str(example.seed)]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    assert tree(build) == tree(example.build)


@pytest.mark.skipif(os.geteuid() != 0, reason="running as another user needs root")
def test_folder_user_umask_time_zone_and_locale_change_no_byte(example: Example) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:  # pytest's own folder is closed to other users
        base = Path(name)
        base.chmod(0o777)
        root = base / "some where" / "else"
        shutil.copytree(example.root, root)
        seed = base / "seed"
        shutil.copytree(example.seed, seed)
        work = base / "work"
        work.mkdir()
        work.chmod(0o777)
        command = [sys.executable, "-c", "import os; os.umask(0o077)\n" + SCRIPT, str(root), str(work / "b"), str(seed)]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(sys.path), "TZ": "Pacific/Chatham", "LC_ALL": "tr_TR.UTF-8", "HOME": "/",
        }  # fmt: skip
        environment.pop("XDG_CACHE_HOME", None)
        subprocess.run(command, check=True, env=environment, user=_reader(), extra_groups=[])
        assert tree(work / "b") == tree(example.build)
        modes = {path.stat().st_mode & 0o777 for path in (work / "b").rglob("*") if path.is_file()}
        assert modes == {0o644}


def _reader() -> int:
    """A user who may run Python and Dhall here: `nobody`, unless the tools stand in a folder closed to him."""
    for program in (sys.executable, shutil.which("dhall") or "/"):
        path = Path(program).resolve()
        if any(not folder.stat().st_mode & 0o001 for folder in path.parents):
            return os.geteuid()
    return 65534


def test_a_second_run_writes_the_same_bytes(example: Example, tmp_path: Path) -> None:
    build = tmp_path / "build"
    for _ in range(2):
        example.resolve(build)
        example.render(build)
        assert tree(build) == tree(example.build)


@pytest.mark.parametrize("count", [2, 5])
def test_shards_are_disjoint_and_merge_to_the_whole(example: Example, tmp_path: Path, count: int) -> None:
    from dhallmark.render.render import write_umbrellas

    whole = tree(example.build)
    merged: dict[str, bytes] = {}
    closures = []
    for index in range(1, count + 1):
        build = tmp_path / str(index)
        closures.append(example.resolve(build, shard=f"{index}/{count}"))
        example.render(build, shard=f"{index}/{count}")
        part = tree(build)
        part.pop("resolve/closure.json")
        shared = {path for path in part if path in merged}
        assert all(path.startswith("resolve/cache/") and part[path] == merged[path] for path in shared)
        merged |= part
    closure = closures[0]
    for other in closures[1:]:
        closure = merge_closures(closure, other)
    merged["resolve/closure.json"] = closure_bytes(closure)
    umbrellas = {path for path in whole if path.split("/")[0] == "render" and path.split("/")[2] == "acme-platform"}
    assert merged == {path: content for path, content in whole.items() if path not in umbrellas}

    for path, content in merged.items():
        file = tmp_path / "all" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    write_umbrellas(example.plan(), tmp_path / "all" / "render")
    assert tree(tmp_path / "all") == whole
