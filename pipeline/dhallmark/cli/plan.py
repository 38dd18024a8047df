"""`dhallmark plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.table import Table

from dhallmark.cli.options import BuildFolder, ConfigFile
from dhallmark.cli.result import Result
from dhallmark.config.load import load_config
from dhallmark.plan import Shard, make_plan, write_plan
from dhallmark.steps.source import read_source


def plan(
    *,
    config: ConfigFile = Path("dhallmark.yaml"),
    build: BuildFolder = Path("build"),
    shard: Annotated[str | None, Parameter(help="Plan part i of n, written i/n.")] = None,
    allow_dirty: Annotated[
        bool, Parameter(help="Plan a tree with uncommitted changes, and record that.", negative=())
    ] = False,
) -> Result:
    """Show which charts a release is made of, from which commit, and write plan.json."""
    settings = load_config(config)
    planned = make_plan(settings, shard=Shard.parse(shard) if shard else None)
    source = read_source(
        config.parent, allow_dirty=allow_dirty, repository=settings.source.repository, build=build.resolve()
    )
    data = write_plan(planned, build=build, source=source.to_json())
    environments = planned.environments
    table = Table(title=f"{settings.project} {settings.version}, commit {source.revision[:12]}", title_justify="left")
    for heading in ("layer", "application", *environments):
        table.add_column(heading)
    units = {(unit.environment, unit.application) for unit in planned.units}
    order = {layer: rank for rank, layer in enumerate(settings.layers)}
    for name, application in sorted(settings.applications.items(), key=lambda item: (order[item[1].layer], item[0])):
        marks = ["✓" if (environment, name) in units else "" for environment in environments]
        if any(marks):
            table.add_row(application.layer, name, *marks)
    return Result(data=data, text=table)
