"""The four steps of a release, each run as its own `dhallmark` command under in-toto's runlib.

Which files a step reads and writes is decided here, before it runs; what it really did is then compared with that.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dhallmark.config.load import load_config
from dhallmark.config.model import Config
from dhallmark.plan import Plan, Shard, make_plan
from dhallmark.render.closure import load_closure
from dhallmark.steps.layout import FLOWS
from dhallmark.steps.link import Link, record_step
from dhallmark.steps.source import source_files
from dhallmark.steps.statements import release_sources

StepName = Literal["resolve", "render", "package", "publish"]

_COMMANDS: dict[StepName, str] = {"resolve": "resolve", "render": "render", "package": "package", "publish": "push"}
_OCI = "dir:build/package/oci"


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """The names of what a step reads and writes; see `dhallmark.steps.artifacts`."""

    materials: tuple[str, ...]
    products: tuple[str, ...]


def run_step(
    name: StepName,
    *,
    config: Path,
    build: Path,
    shard: Shard | None = None,
    words: Sequence[str] = (),
    write: Callable[[str], object] = sys.stderr.write,
) -> Link:
    """Run a step, record it, and return the link, which stands in `links/<name>.link` of the build directory.

    The step is the command of its name (`publish`: the command `push`) in a process of its own. `words` are further
    words of its command line that say where and how but not what, and are not recorded. What the command says goes to
    `write`. Raises what `record_step` raises, ConfigError, and FormatError where an earlier step has not run.
    """
    settings = load_config(config)
    files = step_files(name, settings, shard=shard, config=config, build=build)
    program = _COMMANDS[name]
    command = [sys.executable, "-m", "dhallmark.cli.app", program, "--config", str(config), "--build", str(build)]
    if shard is not None:
        command += ["--shard", f"{shard.index}/{shard.count}"]

    def used() -> Sequence[str]:
        return release_sources(settings, config_file=config.name, closure=load_closure(build))

    payload = record_step(
        name,
        [*command, *words],
        materials=files.materials,
        products=files.products,
        covered=[FLOWS[name].made],
        build=build,
        root=config.resolve().parent,
        recorded_command=["dhallmark", program, "--config", config.name, "--build", "build"],
        used=used if name == "resolve" else None,
        write=write,
    )
    return Link.parse(payload)


def step_files(name: StepName, settings: Config, *, shard: Shard | None, config: Path, build: Path) -> Files:
    """What a step reads and writes. `config` is the path of `dhallmark.yaml`. Raises FormatError, InputError.

    `resolve` is given every source of the project, because only Dhall can tell which it will read.
    """
    plan = make_plan(settings, shard=shard)
    if name == "resolve":
        return Files(materials=source_files(config.parent, build=build), products=("build/resolve",))
    packaged = (
        "build/package/artifacts.json",
        "build/package/materials.tar.gz",
        *(f"build/package/{environment}" for environment in plan.environments),
        _OCI,
    )
    if name == "publish":
        return Files(materials=(config.name, *packaged), products=("build/publish",))
    charts = _chart_folders(plan, settings)
    closure = load_closure(build)
    if name == "render":
        values = {plan.application(unit).chart.values for unit in plan.units}
        return Files(
            materials=(
                config.name,
                *sorted(filter(None, values)),
                "build/resolve/closure.json",
                "build/resolve/normal",
            ),
            products=charts,
        )
    cache = ("build/resolve/cache",) if closure.frozen_entries() else ()
    sources = release_sources(settings, config_file=config.name, closure=closure)
    return Files(materials=(*sources, "build/resolve/closure.json", *cache, *charts), products=packaged)


def _chart_folders(plan: Plan, settings: Config) -> tuple[str, ...]:
    """Each unit's chart, and the umbrella of each environment that is whole in this plan."""
    whole = make_plan(settings)
    umbrellas = [
        f"dir:build/render/{environment}/{settings.project}"
        for environment in plan.environments
        if set(whole.in_environment(environment)) <= set(plan.units)
    ]
    return (*(f"dir:build/render/{unit.path}" for unit in plan.units), *umbrellas)
