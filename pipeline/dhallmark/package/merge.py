"""Shards of a release, put together to the same bytes as an undivided run of `resolve` and `render`.

What follows is done once, on the merged build directory: packaging is quick, and umbrella charts, Flux artifacts and
materials need all units anyway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

from dhallmark import strictjson
from dhallmark.digest import Digest
from dhallmark.errors import FormatError, Location, UsageError
from dhallmark.files import directory_atomic, write_atomic
from dhallmark.package.chart import regular_files
from dhallmark.plan import SCHEMA, Plan, Unit, make_plan, write_plan
from dhallmark.render.closure import Closure, load_closure, merge_closures, write_closure
from dhallmark.render.objects import Identity
from dhallmark.render.render import refuse_shared, unit_objects, write_umbrellas
from dhallmark.steps.merge import merge_shard_links

_PARTS = {"plan.json", "resolve", "render", "links"}
_HINT = "run `resolve` and `render` again, with the same commit and --shard i/n for every i"


def merge(shards: Sequence[Path], *, plan: Plan, root: Path, into: Path) -> Closure:
    """Merge the build directories `shards` into the build directory `into`.

    `plan` is the plan of the whole release; `root` the folder of its configuration. Synchronous. Raises UsageError for
    directories that cannot be merged, FormatError where shards disagree, where a unit is missing, or where a file is
    not what its shard recorded; RenderError where units of different shards yield the same object.
    """
    if not shards:
        raise UsageError("no shard to merge", hint="name the build directories of all shards")
    _check_places(shards, into)
    whole = make_plan(plan.config)
    for shard in shards:
        _check_parts(shard)
    closures = [load_closure(shard) for shard in shards]
    closure = reduce(merge_closures, closures)
    owners = _owners(shards, closures, whole)
    _check_objects(whole, closure, owners, root=root)
    source = _one_source(shards, whole)
    with directory_atomic(into / "resolve") as resolved, directory_atomic(into / "render") as rendered:
        _merge_resolved(resolved, shards, closure, owners)
        for unit, shard in owners.items():
            _copy(shard / "render" / unit.path, rendered / unit.path)
        write_umbrellas(whole, rendered)
        _check_umbrellas(shards, whole, rendered)
    if source is not None:
        write_plan(whole, build=into, source=source)
    if any((shard / "links").exists() for shard in shards):
        merge_shard_links(shards, build=into, config=whole.config)
    return closure


def _check_places(shards: Sequence[Path], into: Path) -> None:
    places = [path.resolve() for path in (*shards, into)]
    for number, place in enumerate(places):
        for other in places[number + 1 :]:
            if place.is_relative_to(other) or other.is_relative_to(place):
                raise UsageError(
                    f"{place} and {other} overlap", hint="give every shard, and the result, a folder of its own"
                )


def _check_parts(shard: Path) -> None:
    strangers = sorted(path.name for path in shard.iterdir() if path.name not in _PARTS)
    if strangers:
        raise FormatError(
            f"{shard / strangers[0]} is not what a shard makes",
            hint="shards are resolved and rendered; package, push and sign what `merge` makes of them",
        )


def _owners(shards: Sequence[Path], closures: Sequence[Closure], whole: Plan) -> dict[Unit, Path]:
    """The shard that each unit of the release is taken from: the first that has it."""
    owners: dict[Unit, Path] = {}
    for shard, closure in zip(shards, closures, strict=True):
        for record in closure.units:
            owners.setdefault(Unit(record.environment, record.application), shard)
    missing = sorted(set(whole.units) - owners.keys())
    if missing:
        raise FormatError(f"no shard holds {missing[0].path}, and {len(missing) - 1} other units", hint=_HINT)
    strangers = sorted(owners.keys() - set(whole.units))
    if strangers:
        raise FormatError(f"{strangers[0].path} is no unit of this configuration", hint=_HINT)
    return {unit: owners[unit] for unit in whole.units}


def _check_objects(whole: Plan, closure: Closure, owners: Mapping[Unit, Path], *, root: Path) -> None:
    """What `render` checks across the units of an environment, and a shard cannot."""
    found: dict[str, dict[Identity, Unit]] = {}
    for unit, shard in owners.items():
        objects = unit_objects(whole, unit, closure=closure, root=root, build=shard)
        refuse_shared(found.setdefault(unit.environment, {}), objects, whole, unit)


def _merge_resolved(directory: Path, shards: Sequence[Path], closure: Closure, owners: Mapping[Unit, Path]) -> None:
    write_closure(closure, directory / "closure.json")
    for unit, shard in owners.items():
        name = Path("normal") / f"{unit.path}.dhallb"
        write_atomic(directory / name, (shard / "resolve" / name).read_bytes())
    for digest in closure.frozen_entries():
        name = Path("cache") / f"1220{digest.hex}"
        content = next((path.read_bytes() for shard in shards if (path := shard / "resolve" / name).is_file()), b"")
        if Digest.of(content) != digest:
            raise FormatError(f"no shard has the Dhall cache entry {name.name}, or it has other bytes", hint=_HINT)
        write_atomic(directory / name, content)


def _copy(source: Path, destination: Path) -> None:
    files = regular_files(source)
    if not files:
        raise FormatError(f"{source} is not there", hint=_HINT)
    for name, path in files.items():
        write_atomic(destination / name, path.read_bytes())


def _check_umbrellas(shards: Sequence[Path], whole: Plan, rendered: Path) -> None:
    """A shard may hold all units of an environment, and then has its umbrella, or a unit that another has, too."""
    for shard in shards:
        for name, path in regular_files(shard / "render").items():
            merged = rendered / name
            if not merged.is_file() or merged.read_bytes() != path.read_bytes():
                raise FormatError(
                    f"{path} differs from the same file of the other shards in {whole.config.project}", hint=_HINT
                )


def _one_source(shards: Sequence[Path], whole: Plan) -> Mapping[str, Any] | None:
    """The state of the source that all shards were planned from; None where none has a plan.json."""
    sources: dict[Path, Any] = {}
    for shard in shards:
        path = shard / "plan.json"
        if path.is_file():
            body = strictjson.parse(path.read_bytes(), what=str(path))
            if not isinstance(body, dict) or body.get("schema") != SCHEMA or not isinstance(body.get("source"), dict):
                raise FormatError(f"not a plan of schema {SCHEMA}", where=Location(file=str(path)))
            found = (body.get("project"), body.get("version"))
            if found != (whole.config.project, whole.config.version):
                raise FormatError(f"is of {found[0]} {found[1]}", where=Location(file=str(path)), hint=_HINT)
            sources[path] = body["source"]
    if not sources:
        return None
    if len(sources) != len(shards):
        raise FormatError("some shards have a plan.json and some have none", hint=_HINT)
    first, *others = sources.items()
    for path, source in others:
        if source != first[1]:
            raise FormatError(f"{path} and {first[0]} are of different sources", hint=_HINT)
    return dict(first[1])
