"""`dhallmark step`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from dhallmark.cli.options import BuildFolder, ConfigFile
from dhallmark.cli.result import Result
from dhallmark.plan import Shard
from dhallmark.steps.run import StepName, run_step

SCHEMA = "dhallmark.dev/step/v1"


def step(
    name: Annotated[StepName, Parameter(help="The step; `publish` runs the command `push`.")],
    /,
    *words: Annotated[
        str,
        Parameter(
            help="Further options of the step's command, after `--`; they say where and how, and are not recorded."
        ),
    ],
    config: ConfigFile = Path("dhallmark.yaml"),
    build: BuildFolder = Path("build"),
    shard: Annotated[str | None, Parameter(help="Run part i of n, written i/n.")] = None,
) -> Result:
    """Run a step of a release under in-toto's runlib, and record what it read and wrote in links/<name>.link."""
    link = run_step(name, config=config, build=build, shard=Shard.parse(shard) if shard else None, words=words)
    file = build / "links" / f"{name}.link"
    return Result(
        data={
            "schema": SCHEMA,
            "step": link.name,
            "command": list(link.command),
            "link": str(file),
            "materials": len(link.materials),
            "products": len(link.products),
        },
        text=f"step {link.name}: {len(link.materials)} materials, {len(link.products)} products, recorded in {file}",
    )
