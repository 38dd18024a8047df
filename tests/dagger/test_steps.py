"""The steps as Dagger functions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from dagger import dag

from dhallmark.module import Dhallmark, Lab
from dhallmark.module.lab import PACKAGES_HOST

pytestmark = [pytest.mark.dagger, pytest.mark.anyio]


async def test_plan(module: Dhallmark, project: Path) -> None:
    build = await module.plan(source=dag.host().directory(str(project)))
    plan = json.loads(await build.file("plan.json").contents())
    assert len(plan["units"]) == 42


async def test_resolve(module: Dhallmark, lab: Lab, project: Path) -> None:
    build = await module.resolve(source=dag.host().directory(str(project)), packages=lab.service(), packages_host=PACKAGES_HOST)
    closure = json.loads(await build.file("resolve/closure.json").contents())
    assert closure


async def test_package(module: Dhallmark, lab: Lab, project: Path) -> None:
    source = dag.host().directory(str(project))
    build = await module.resolve(source=source, packages=lab.service(), packages_host=PACKAGES_HOST)
    build = await module.render(source=source, build=build)
    build = await module.package(source=source, build=build)
    artifacts = json.loads(await build.file("package/artifacts.json").contents())
    assert artifacts
