"""The step `render`: normal forms to chart directories. Needs no Dhall and no network."""

from __future__ import annotations

from pathlib import Path

from dhallmark.digest import Digest
from dhallmark.errors import Location, RenderError
from dhallmark.files import directory_atomic
from dhallmark.plan import Plan, Unit
from dhallmark.progress import Progress, Silent
from dhallmark.render.chart import write_chart, write_umbrella
from dhallmark.render.closure import Closure, load_closure
from dhallmark.render.objects import Identity, KubernetesObject, read_objects


def render(plan: Plan, *, root: Path, build: Path, progress: Progress | None = None) -> None:
    """Write `<build>/render/` from `<build>/resolve/`: each unit's chart, then the umbrellas.

    An umbrella is written for an environment of which `plan` holds every unit; those of a divided run are written
    by `write_umbrellas` after the merge. Synchronous.
    Raises RenderError for what is wrong with the objects, FormatError where `resolve` has not run.
    """
    report = progress or Silent()
    report.start("render", total=len(plan.units))
    closure = load_closure(build)
    with directory_atomic(build / "render") as directory:
        found: dict[str, dict[Identity, Unit]] = {}
        for unit in plan.units:
            objects = unit_objects(plan, unit, closure=closure, root=root, build=build)
            refuse_shared(found.setdefault(unit.environment, {}), objects, plan, unit)
            write_chart(directory / unit.path, config=plan.config, unit=unit, objects=objects, root=root)
            report.advance("render")
        write_umbrellas(plan, directory)
    report.done("render", summary=f"{len(plan.units)} charts")


def unit_objects(plan: Plan, unit: Unit, *, closure: Closure, root: Path, build: Path) -> list[KubernetesObject]:
    """The objects of one unit, from its normal form, whose digest must be the recorded one."""
    path = build / "resolve" / "normal" / f"{unit.path}.dhallb"
    entry = plan.application(unit).entry
    recorded = closure.unit(unit.environment, unit.application).semantic_hash
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RenderError(
            f"{unit.path}: its normal form cannot be read: {error.strerror}",
            where=Location(file=entry),
            hint="run `dhallmark resolve` again",
        ) from error
    if Digest.of(content) != recorded:
        raise RenderError(
            f"{unit.path}: its normal form is not the one that closure.json records",
            where=Location(file=entry),
            hint="something changed the build directory after `resolve`: run it again",
        )
    return read_objects(content, unit=unit, entry=entry, root=root)


def write_umbrellas(plan: Plan, directory: Path) -> None:
    """Write the umbrella chart of each environment all of whose applications stand in `directory` (`render/`)."""
    for environment in plan.environments:
        wanted = [
            name
            for name, application in plan.config.applications.items()
            if environment in (application.environments or plan.config.environments)
        ]
        charts = [(name, directory / environment / name) for name in sorted(wanted)]
        if all((chart / "Chart.yaml").is_file() for _, chart in charts):
            target = directory / environment / plan.config.project
            with directory_atomic(target) as umbrella:
                write_umbrella(umbrella, config=plan.config, environment=environment, charts=charts)


def refuse_shared(found: dict[Identity, Unit], objects: list[KubernetesObject], plan: Plan, unit: Unit) -> None:
    """Two applications of an environment must not yield the same object: one would take it from the other."""
    for thing in objects:
        other = found.setdefault(thing.identity, unit)
        if other != unit:
            raise RenderError(
                f"{unit.path}: {thing.identity} is yielded by {other.application} too",
                where=Location(file=plan.application(unit).entry, field=f"[{thing.index}]"),
                hint="give one of them another name or namespace, or let one application own it",
            )
