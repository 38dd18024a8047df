"""Chart directories: one per unit, and one umbrella per environment.

Everything in a chart is decided by the configuration and the objects: no clock, host, user or path.
Source: Helm's chart format, apiVersion v2.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import yaml

from dhallmark.config.model import Application, Config
from dhallmark.errors import Location, RenderError
from dhallmark.files import write_new
from dhallmark.plan import Unit
from dhallmark.render.manifest import escape_template, to_yaml
from dhallmark.render.objects import KubernetesObject
from dhallmark.render.values import Json

_UNSAFE = re.compile(r"[^a-z0-9]+")
_MAX_SLUG = 80
_HELMIGNORE = "attestation.json\n"
"""Helm leaves these out when it loads a folder. In a deploy tree the attestation stands in it, and a release's Secret,
which holds the whole chart, may have no more than 1 MiB."""


def write_chart(
    directory: Path, *, config: Config, unit: Unit, objects: Sequence[KubernetesObject], root: Path
) -> None:
    """Write the chart of one unit into `directory`.

    Raises RenderError for a values file that is not there, leaves the project, or is no YAML mapping.
    """
    application = config.applications[unit.application]
    write_new(directory / "Chart.yaml", to_yaml(_chart_yaml(config, unit.application, application)))
    write_new(directory / ".helmignore", _HELMIGNORE)
    values = _values(application, unit, root)
    if values is not None:
        write_new(directory / "values.yaml", values)
    templated = application.chart.templated
    digits = max(3, len(str(len(objects))))
    for number, thing in enumerate(objects, start=1):
        text = to_yaml(thing.body, templated=templated)
        name = f"{number:0{digits}}-{template_slug(thing)}.yaml"
        write_new(directory / "templates" / name, text if templated else escape_template(text))


def template_slug(thing: KubernetesObject) -> str:
    """`<kind>-<name>` in the characters that every file system keeps apart: lower-case letters, digits and dashes."""
    text = f"{thing.identity.kind}-{thing.identity.name}".lower()
    return _UNSAFE.sub("-", text).strip("-")[:_MAX_SLUG].rstrip("-")


def write_umbrella(directory: Path, *, config: Config, environment: str, charts: Sequence[tuple[str, Path]]) -> None:
    """Write the umbrella chart of an environment: `charts` are its applications' names and chart directories."""
    dependencies: list[Json] = [
        {"name": name, "version": config.version, "repository": f"file://charts/{name}"} for name, _ in sorted(charts)
    ]
    body: dict[str, Json] = {
        "apiVersion": "v2",
        "name": config.project,
        "description": f"All applications of {config.project} in {environment}",
        "type": "application",
        "version": config.version,
        "dependencies": dependencies,
    }
    write_new(directory / "Chart.yaml", to_yaml(body))
    write_new(directory / ".helmignore", _HELMIGNORE)
    for name, chart in sorted(charts):
        for source in sorted(path for path in chart.rglob("*") if path.is_file()):
            write_new(directory / "charts" / name / source.relative_to(chart), source.read_bytes())


def _chart_yaml(config: Config, name: str, application: Application) -> dict[str, Json]:
    body: dict[str, Json] = {
        "apiVersion": "v2",
        "name": name,
        "type": "application",
        "version": config.version,
        "annotations": {"dhallmark.dev/layer": application.layer},
    }
    if application.chart.description:
        body["description"] = application.chart.description
    if application.chart.app_version:
        body["appVersion"] = application.chart.app_version
    return body


def _values(application: Application, unit: Unit, root: Path) -> bytes | None:
    path = application.chart.values
    if path is None:
        return None
    field = f"applications.{unit.application}.chart.values"
    file = (root / path).resolve()
    if not file.is_relative_to(root.resolve()):
        raise RenderError(f"{path} is a symlink that leaves the project", where=Location(file=path, field=field))
    try:
        content = file.read_bytes()
        parsed = yaml.safe_load(content)
    except OSError as error:
        raise RenderError(f"cannot read {path}: {error.strerror}", where=Location(file=path, field=field)) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = Location(file=path, line=mark.line + 1, column=mark.column + 1) if mark else Location(file=path)
        raise RenderError(f"not YAML: {getattr(error, 'problem', None) or error}", where=where) from error
    if not isinstance(parsed, dict):
        raise RenderError("a Helm values file holds a mapping", where=Location(file=path, field=field))
    return content
