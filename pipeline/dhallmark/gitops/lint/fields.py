"""Which keys the API server keeps of an object, by the pinned versions of Flux.

The tables are made by `ci/crds/fields.py` from the CustomResourceDefinitions of source-controller 1.8 and 1.9,
kustomize-controller and flux-operator; a key that is in none of them is dropped silently.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from dhallmark.gitops.lint.model import Resource
from dhallmark.gitops.lint.yamlfile import Mapping, Node, Sequence


class Flux(StrEnum):
    """A minor version of Flux."""

    V2_8 = "2.8"
    V2_9 = "2.9"


FluxVersion = Literal["2.8", "2.9"]
"""The same on a command line, where a member of an enumeration would go by its name."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A key that is dropped."""

    path: str
    """Such as `spec.sync.verify`."""
    line: int
    nearest: str
    """A key that stands there and looks like it, or where the key would be read; empty where there is none."""


@cache
def tables(flux: Flux) -> dict[str, Any]:
    """The known fields, by `<group>/<version>/<kind>`."""
    text = files("dhallmark.gitops.lint").joinpath(f"fields-{flux.value}.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def table_of(resource: Resource, flux: Flux) -> Any | None:  # noqa: ANN401  (a table is JSON)
    """The fields of the kind of `resource`, or None where the version is not served or not known here."""
    return tables(flux).get(f"{resource.group}/{resource.version}/{resource.kind}")


def served_versions(resource: Resource, flux: Flux) -> list[str]:
    """The versions of the kind that are served; none for a kind that is not known here."""
    prefix, suffix = f"{resource.group}/", f"/{resource.kind}"
    return [
        name.removeprefix(prefix).removesuffix(suffix)
        for name in tables(flux)
        if name.startswith(prefix) and name.endswith(suffix)
    ]


def unknown_keys(resource: Resource, flux: Flux) -> Iterator[Unknown]:
    """The keys below `spec` that are dropped. An object of a version that is not served is read by one that is."""
    table = table_of(resource, flux)
    if table is None:
        served = served_versions(resource, flux)
        if not served:
            return
        table = tables(flux)[f"{resource.group}/{served[-1]}/{resource.kind}"]
    spec = resource.node.get("spec")
    for key, line in resource.node.lines.items():
        if key == "verify":
            yield Unknown(key, line, "spec.verify" if "verify" in table["spec"] else "")
    if spec is not None:
        yield from _unknown(spec, table["spec"], "spec", depth=0)


_MAX_DEPTH = 30


def _unknown(node: Node, table: Any, path: str, *, depth: int) -> Iterator[Unknown]:  # noqa: ANN401  (a table is JSON)
    if table == "*" or depth > _MAX_DEPTH:
        return
    if isinstance(node, Sequence) and isinstance(table, list):
        for index, item in enumerate(node.items):
            yield from _unknown(item, table[0], f"{path}[{index}]", depth=depth + 1)
    elif isinstance(node, Mapping) and isinstance(table, dict):
        for key, value in node.items.items():
            if key in table:
                yield from _unknown(value, table[key], f"{path}.{key}", depth=depth + 1)
            else:
                near = difflib.get_close_matches(key, table, n=1)
                yield Unknown(f"{path}.{key}", node.lines.get(key, node.line), near[0] if near else "")
