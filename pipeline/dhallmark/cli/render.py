"""`dhallmark render`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from dhallmark.cli.options import BuildFolder, ConfigFile
from dhallmark.cli.output import progress
from dhallmark.cli.result import Result
from dhallmark.config.load import load_config
from dhallmark.plan import Plan, Shard, make_plan
from dhallmark.render.render import render as render_units


def render(
    *,
    config: ConfigFile = Path("dhallmark.yaml"),
    build: BuildFolder = Path("build"),
    shard: Annotated[str | None, Parameter(help="Render part i of n, written i/n.")] = None,
) -> Result:
    """Render the normal forms that `resolve` left to charts; needs no Dhall and no network."""
    plan = make_plan(load_config(config), shard=Shard.parse(shard) if shard else None)
    render_units(plan, root=config.parent, build=build, progress=progress())
    charts = _charts(plan, build)
    objects = sum(count for _, count in charts)
    return Result(
        data={
            "schema": "dhallmark.dev/render/v1",
            "charts": [{"path": path, "objects": count} for path, count in charts],
        },
        text=f"{len(charts)} charts of {objects} objects in {build / 'render'}",
    )


def _charts(plan: Plan, build: Path) -> list[tuple[str, int]]:
    """Each unit's chart with the number of its objects."""
    return [(unit.path, sum(1 for _ in (build / "render" / unit.path / "templates").iterdir())) for unit in plan.units]
