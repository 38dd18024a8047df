"""The cache shows complete results only, builds each once, and shares them between runs."""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

import toolchain.cache
from toolchain.cache import Cache, files_below, key_of, remove_tree, write_atomically


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(root=tmp_path / "cache")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"DHALLMARK_CACHE": "/a/b"}, Path("/a/b")),
        ({"DHALLMARK_CACHE": "/a/b", "XDG_CACHE_HOME": "/c"}, Path("/a/b")),
        ({"XDG_CACHE_HOME": "/c"}, Path("/c/dhallmark")),
        ({}, Path.home() / ".cache" / "dhallmark"),
    ],
)
def test_root_comes_from_the_environment(environ: dict[str, str], expected: Path) -> None:
    assert Cache.from_environment(environ).root == expected


def test_key_depends_on_every_input(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("x")
    two.write_text("y")
    keys = {
        key_of(label="a"),
        key_of(label="b"),
        key_of(label="a", texts=["t"]),
        key_of(label="a", texts=["t", ""]),
        key_of(label="a", files=[("n", one)]),
        key_of(label="a", files=[("m", one)]),
        key_of(label="a", files=[("n", two)]),
    }
    assert len(keys) == 7


@pytest.mark.parametrize(("left", "right"), [(["ab", "c"], ["a", "bc"]), (["a"], ["a", ""]), (["", "a"], ["a", ""])])
def test_key_tells_lists_apart_that_concatenate_to_the_same(left: list[str], right: list[str]) -> None:
    assert key_of(label="l", texts=left) != key_of(label="l", texts=right)


def test_key_does_not_depend_on_the_order_of_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    files = files_below(tmp_path)
    assert [name for name, _ in files] == ["a", "b"]
    assert key_of(label="l", files=files) == key_of(label="l", files=reversed(files))


def test_result_is_built_once(cache: Cache) -> None:
    built: list[Path] = []

    def build(folder: Path) -> None:
        built.append(folder)
        (folder / "file").write_text("made")

    places = {cache.ensure(name="thing", key="k", build=build) for _ in range(2)}
    assert len(built) == 1
    assert [(place / "file").read_text() for place in places] == ["made"]


def test_failed_build_leaves_nothing_and_the_next_one_succeeds(cache: Cache) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        cache.ensure(name="thing", key="k", build=fail)
    assert list((cache.root / "store" / "thing").iterdir()) == []
    assert list(cache.ensure(name="thing", key="k", build=lambda _: None).iterdir()) == []


def test_leftover_of_a_killed_build_is_removed_and_not_taken(cache: Cache) -> None:
    def die(folder: Path) -> None:
        (folder / "half").write_text("")
        os._exit(9)

    child = multiprocessing.get_context("fork").Process(
        target=cache.ensure, kwargs={"name": "thing", "key": "k", "build": die}
    )
    child.start()
    child.join(timeout=30)
    assert child.exitcode == 9
    assert len(list((cache.root / "store" / "thing").glob(".partial-*"))) == 1
    place = cache.ensure(name="thing", key="k", build=lambda folder: (folder / "whole").touch())
    assert [path.name for path in place.iterdir()] == ["whole"]
    assert [path.name for path in place.parent.iterdir()] == ["k"]


SECOND_RUN = """
import sys
from pathlib import Path
from toolchain.cache import Cache

def build(folder):
    print("built", flush=True)

place = Cache(root=Path(sys.argv[1])).ensure(
    name="thing", key="k", build=build, waiting=lambda: print("waiting", flush=True)
)
print((place / "file").read_text(), flush=True)
"""


def test_run_beside_another_waits_and_takes_its_result(cache: Cache) -> None:
    runs: list[subprocess.Popen[str]] = []

    def build(folder: Path) -> None:
        # Started here, it finds the lock taken.
        second = subprocess.Popen(
            [sys.executable, "-c", SECOND_RUN, cache.root],
            env={"PYTHONPATH": str(Path(toolchain.cache.__file__).parents[1])},
            stdout=subprocess.PIPE,
            text=True,
        )
        runs.append(second)
        assert second.stdout is not None
        assert second.stdout.readline() == "waiting\n"
        (folder / "file").write_text("of the first")

    cache.ensure(name="thing", key="k", build=build)
    output, _ = runs[0].communicate(timeout=30)
    assert (output, runs[0].returncode) == ("of the first\n", 0)


def test_other_keys_are_removed(cache: Cache) -> None:
    for key in ("old", "new"):
        cache.ensure(name="thing", key=key, build=lambda folder: (folder / "file").touch())
    assert [path.name for path in cache.remove_other_keys(name="thing", keep="new")] == ["old"]
    assert [path.name for path in (cache.root / "store" / "thing").iterdir()] == ["new"]
    assert cache.remove_other_keys(name="never", keep="new") == []


def test_remove_tree_removes_read_only_folders(tmp_path: Path) -> None:
    folder = tmp_path / "tree" / "locked"
    folder.mkdir(parents=True)
    (folder / "file").touch()
    folder.chmod(0o500)
    remove_tree(tmp_path / "tree")
    assert not (tmp_path / "tree").exists()


def test_atomic_write_replaces_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    target = tmp_path / "folder" / "file"
    write_atomically(target, "one")
    write_atomically(target, "two", mode=0o600)
    assert target.read_text() == "two"
    assert target.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in target.parent.iterdir()] == ["file"]
