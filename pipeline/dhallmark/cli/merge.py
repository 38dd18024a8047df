"""`dhallmark merge`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from dhallmark.cli.options import ConfigFile
from dhallmark.cli.result import Result
from dhallmark.config.load import load_config
from dhallmark.package.merge import merge as merge_shards
from dhallmark.plan import make_plan


def merge(
    *shards: Annotated[Path, Parameter(help="The shards' build directories.")],
    into: Annotated[Path, Parameter(help="The build directory to write.")],
    config: ConfigFile = Path("dhallmark.yaml"),
) -> Result:
    """Merge what shards resolved and rendered into one build directory, equal to that of an undivided run."""
    plan = make_plan(load_config(config))
    closure = merge_shards(shards, plan=plan, root=config.parent, into=into)
    return Result(
        data={
            "schema": "dhallmark.dev/merge/v1",
            "shards": len(shards),
            "units": [f"{unit.environment}/{unit.application}" for unit in closure.units],
        },
        text=f"{len(closure.units)} units of {len(shards)} shards in {into}",
    )
