"""The links of a divided release, merged to those of an undivided one.

Shards resolve and render; what follows is done once, on the merged build directory.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dhallmark.config.model import Config
from dhallmark.errors import FormatError, InputError, Location
from dhallmark.files import write_atomic
from dhallmark.plan import make_plan
from dhallmark.steps.artifacts import hash_names, open_view
from dhallmark.steps.functionary import require_recorded
from dhallmark.steps.link import Link, merge_links, read_link

_STEPS = ("resolve", "render")
_CLOSURE = "build/resolve/closure.json"


def merge_shard_links(shards: Sequence[Path], *, build: Path, config: Config) -> tuple[Link, ...]:
    """Merge the links of the shards' build directories into `build`, whose files are merged already, and write them.

    Raises FormatError where a shard has not recorded a step, where shards disagree, and where `build` does not hold
    exactly the files that the shards recorded, with the closure and the umbrella charts of the whole.
    """
    umbrellas = [f"dir:build/render/{environment}/{config.project}" for environment in make_plan(config).environments]
    try:
        with open_view(build.resolve().parent, build) as view:
            whole = hash_names(view, [_CLOSURE, *umbrellas])
    except InputError as error:
        raise FormatError(
            f"the shards' files are not merged: {error.message}",
            where=error.where or Location(file=str(build)),
            hint="run `dhallmark merge` with all shards",
        ) from error
    merged = tuple(merge_links([read_link(shard, step) for shard in shards], whole=whole) for step in _STEPS)
    require_recorded(build, merged)
    for link in merged:
        write_atomic(build / "links" / f"{link.name}.link", link.to_bytes())
    return merged
