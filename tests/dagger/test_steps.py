"""The steps as Dagger functions, and what the engine's cache gives again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from dagger import dag

from dhallmark.module import Dhallmark, Lab
from dhallmark.module.lab import PACKAGES_HOST

pytestmark = [pytest.mark.dagger, pytest.mark.anyio]


async def test_steps_one_by_one_make_what_the_next_one_needs(module: Dhallmark, lab: Lab, project: Path) -> None:
    source = dag.host().directory(str(project))
    build = await module.plan(source=source)
    assert len(json.loads(await build.file("plan.json").contents())["units"]) == 42

    build = await module.resolve(source=source, build=build, packages=lab.service(), packages_host=PACKAGES_HOST)
    imports = json.loads(await build.file("resolve/closure.json").contents())["imports"]
    assert {one["kind"] for one in imports} == {"local", "remote"}

    build = await module.render(source=source, build=build)
    assert len(await build.glob("render/*/*/Chart.yaml")) == 45

    build = await module.package(source=source, build=build)
    artifacts = json.loads(await build.file("package/artifacts.json").contents())["artifacts"]
    assert len(artifacts) == 48
    assert sorted(await build.glob("links/*.link")) == [
        f"links/{step}.link" for step in ("package", "render", "resolve")
    ]


async def test_shards_merge_to_the_bytes_of_an_undivided_run(module: Dhallmark, lab: Lab, project: Path) -> None:
    source = dag.host().directory(str(project))
    packages = lab.service()
    whole = await module.resolve(source=source, packages=packages)
    whole = await module.render(source=source, build=whole)
    shards = []
    for part in ("1/2", "2/2"):
        shard = await module.resolve(source=source, shard=part, packages=packages)
        shards.append(await module.render(source=source, build=shard, shard=part))

    merged = await module.merge(source=source, shards=shards)

    assert await merged.digest() == await whole.digest()
