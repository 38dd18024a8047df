"""`dhallmark resolve`."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Annotated

import anyio
from cyclopts import Parameter

from dhallmark.cli.options import BuildFolder, ConfigFile
from dhallmark.cli.output import progress
from dhallmark.cli.result import Result
from dhallmark.config.load import load_config
from dhallmark.plan import Shard, make_plan
from dhallmark.render.closure import Closure
from dhallmark.render.resolve import resolve as resolve_units


def resolve(
    *,
    config: ConfigFile = Path("dhallmark.yaml"),
    build: BuildFolder = Path("build"),
    shard: Annotated[str | None, Parameter(help="Resolve part i of n, written i/n.")] = None,
    dhall_cache: Annotated[
        tuple[Path, ...],
        Parameter(
            help="Folder with Dhall cache entries that stand in for the network, checked against the hash that an "
            "import demands. The user's own Dhall cache otherwise.",
            negative=(),
        ),
    ] = (),
) -> Result:
    """Resolve all imports, record their closure, and keep each unit's normal form."""
    plan = make_plan(load_config(config), shard=Shard.parse(shard) if shard else None)
    run = partial(
        resolve_units,
        plan,
        root=config.parent,
        build=build,
        seeds=dhall_cache or (_user_cache(),),
        progress=progress(),
    )
    closure = anyio.run(run)
    return Result(data=_to_json(closure), text=_to_text(closure, build))


def _user_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "dhall"


def _to_json(closure: Closure) -> dict[str, object]:
    return {
        "schema": "dhallmark.dev/resolve/v1",
        "dhall": closure.dhall,
        "imports": {
            "local": sum(item.kind == "local" for item in closure.imports),
            "remote": sum(item.kind == "remote" for item in closure.imports),
            "frozen": sum(item.frozen for item in closure.imports),
        },
        "units": [unit.model_dump(mode="json", by_alias=True) for unit in closure.units],
    }


def _to_text(closure: Closure, build: Path) -> str:
    remote = [item for item in closure.imports if item.kind == "remote"]
    lines = [
        f"{len(closure.units)} units from {len(closure.imports)} imports, by dhall {closure.dhall}",
        *(f"  {item.url}\n    {item.semantic_hash}" for item in remote),
        f"recorded in {build / 'resolve' / 'closure.json'}",
    ]
    return "\n".join(lines)
