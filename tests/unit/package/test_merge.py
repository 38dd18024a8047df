from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import cbor2
import pytest

from dhallmark.digest import Digest
from dhallmark.errors import FormatError, RenderError, UsageError
from dhallmark.package.merge import merge
from dhallmark.package.package import package
from dhallmark.plan import Plan, write_plan
from dhallmark.render.closure import load_closure, write_closure

Source = dict[str, object]
_SOURCE: Source = {"revision": "0" * 40, "tree": "1" * 40, "dirty": False}


class Release(Protocol):
    """What `make_small_release` makes."""

    plan: Plan
    root: Path
    build: Path


def snapshot(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


@pytest.fixture
def make(make_small_release: Callable[..., Release], tmp_path: Path) -> Callable[..., Release]:
    def build(shard: str) -> Release:
        release = make_small_release(tmp_path / shard.replace("/", "-of-"), shard=shard)
        write_plan(release.plan, build=release.build, source=_SOURCE)
        return release

    return build


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_merged_shards_are_the_undivided_run_byte_for_byte(
    count: int, make: Callable[..., Release], tmp_path: Path
) -> None:
    whole = make("1/1")
    shards = [make(f"{index}/{count}") for index in range(1, count + 1)]
    into = tmp_path / "merged"
    merge([shard.build for shard in reversed(shards)], plan=whole.plan, root=whole.root, into=into)
    assert snapshot(into) == snapshot(whole.build)
    for build in (into, whole.build):
        package(whole.plan, root=whole.root, build=build, source_date_epoch=1)
    assert snapshot(into) == snapshot(whole.build)


def test_merging_again_changes_no_byte(make: Callable[..., Release], tmp_path: Path) -> None:
    shards = [make(f"{index}/2") for index in (1, 2)]
    into = tmp_path / "merged"
    results = []
    for _ in range(2):
        merge([shard.build for shard in shards], plan=shards[0].plan, root=shards[0].root, into=into)
        results.append(snapshot(into))
    assert results[0] == results[1]


def _missing(_first: Release, second: Release) -> None:
    shutil.rmtree(second.build)
    second.build.mkdir()


def _other_render(first: Release, second: Release) -> None:
    # Shard 2 of 2 holds only `web`; now it has a `net` of its own that differs.
    shutil.copytree(first.build / "render/dev/net", second.build / "render/dev/net")
    (second.build / "render/dev/net/Chart.yaml").write_text("name: net\n")


def _changed_normal_form(_first: Release, second: Release) -> None:
    (second.build / "resolve/normal/dev/web.dhallb").write_bytes(cbor2.dumps([4, None]))


def _other_dhall(_first: Release, second: Release) -> None:
    closure = load_closure(second.build)
    write_closure(closure.model_copy(update={"dhall": "1.42.2"}), second.build / "resolve/closure.json")


def _other_source_bytes(_first: Release, second: Release) -> None:
    closure = load_closure(second.build)
    changed = tuple(
        item.model_copy(update={"sha256": Digest.of(b"x")}) if item.path else item for item in closure.imports
    )
    write_closure(closure.model_copy(update={"imports": changed}), second.build / "resolve/closure.json")


def _no_cache(first: Release, second: Release) -> None:
    for release in (first, second):
        shutil.rmtree(release.build / "resolve/cache")


def _stranger(_first: Release, second: Release) -> None:
    (second.build / "package").mkdir()


def _plan(change: dict[str, Any]) -> Callable[[Release, Release], None]:
    def harm(_first: Release, second: Release) -> None:
        path = second.build / "plan.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))

    return harm


def _no_plan(_first: Release, second: Release) -> None:
    (second.build / "plan.json").unlink()


def _symlink(_first: Release, second: Release) -> None:
    (second.build / "render/dev/web/evil").symlink_to("/etc/passwd")


def _no_chart(_first: Release, second: Release) -> None:
    shutil.rmtree(second.build / "render/dev/web")


@pytest.mark.parametrize(
    ("harm", "error", "problem"),
    [
        (_missing, FormatError, "is not there"),
        (_other_render, FormatError, "differs"),
        (_changed_normal_form, RenderError, "closure.json records"),
        (_other_dhall, FormatError, "different versions of dhall"),
        (_other_source_bytes, FormatError, "disagree"),
        (_no_cache, FormatError, "Dhall cache entry"),
        (_stranger, FormatError, "not what a shard makes"),
        (_plan({"source": {"revision": "f" * 40}}), FormatError, "different sources"),
        (_plan({"version": "9.9.9"}), FormatError, "is of acme 9.9.9"),
        (_plan({"schema": "other"}), FormatError, "not a plan"),
        (_no_plan, FormatError, "some have none"),
        (_symlink, FormatError, "symbolic link"),
        (_no_chart, FormatError, "is not there"),
    ],
)
def test_shards_that_do_not_fit_together_are_refused_and_nothing_is_written(
    harm: Callable[[Release, Release], None],
    error: type[Exception],
    problem: str,
    make: Callable[..., Release],
    tmp_path: Path,
) -> None:
    first, second = make("1/2"), make("2/2")
    harm(first, second)
    into = tmp_path / "merged"
    with pytest.raises(error, match=problem):
        merge([first.build, second.build], plan=first.plan, root=first.root, into=into)
    assert snapshot(into) == {}


def test_a_missing_shard_is_named_by_a_unit(make: Callable[..., Release], tmp_path: Path) -> None:
    first = make("1/2")
    with pytest.raises(FormatError, match="no shard holds dev/web"):
        merge([first.build], plan=first.plan, root=first.root, into=tmp_path / "merged")


def test_the_same_object_in_two_shards_is_found(make: Callable[..., Release], tmp_path: Path) -> None:
    first, second = make("1/2"), make("2/2")
    stolen = (first.build / "resolve/normal/dev/net.dhallb").read_bytes()
    (second.build / "resolve/normal/dev/web.dhallb").write_bytes(stolen)
    closure = load_closure(second.build)
    units = tuple(
        unit.model_copy(update={"semantic_hash": Digest.of(stolen)}) if unit.environment == "dev" else unit
        for unit in closure.units
    )
    write_closure(closure.model_copy(update={"units": units}), second.build / "resolve/closure.json")
    with pytest.raises(RenderError, match="yielded by net too"):
        merge([first.build, second.build], plan=first.plan, root=first.root, into=tmp_path / "merged")


@pytest.mark.parametrize("into", ["1-of-2/build", "1-of-2", "1-of-2/build/inner"])
def test_the_result_may_not_overlap_a_shard(into: str, make: Callable[..., Release], tmp_path: Path) -> None:
    first, second = make("1/2"), make("2/2")
    with pytest.raises(UsageError, match="overlap"):
        merge([first.build, second.build], plan=first.plan, root=first.root, into=tmp_path / into)


def test_nothing_is_merged_from_nothing(make: Callable[..., Release], tmp_path: Path) -> None:
    release = make("1/1")
    with pytest.raises(UsageError, match="no shard"):
        merge([], plan=release.plan, root=release.root, into=tmp_path / "merged")
