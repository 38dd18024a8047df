#!/usr/bin/env python3
"""Prints which fields the API server keeps of each kind, from CustomResourceDefinitions: the linter's table of them.

    ci/crds/fields.py FILE… > pipeline/dhallmark/gitops/lint/fields.json

A table says, for each `<group>/<version>/<kind>`, the fields by name: null for a value without fields of its own, an
object for one with fields, a list of one for a list, and "*" for "any field". Read by `dhallmark.gitops.lint.fields`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml


def tables(crd: dict[str, Any]) -> Iterator[tuple[str, object]]:
    """The table of each version that is served."""
    spec = crd["spec"]
    for version in spec["versions"]:
        if version["served"]:
            name = f"{spec['group']}/{version['name']}/{spec['names']['kind']}"
            schema = version["schema"]["openAPIV3Schema"]
            yield name, {"spec": fields(schema["properties"]["spec"])}


def fields(schema: dict[str, Any]) -> object:
    """The fields that a schema keeps."""
    if schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema:
        return "*"
    if "properties" in schema:
        return {name: fields(inner) for name, inner in sorted(schema["properties"].items())}
    if "items" in schema:
        return [fields(schema["items"])]
    return None


def main(files: list[str]) -> None:
    found = {name: table for file in files for name, table in tables(yaml.safe_load(Path(file).read_text()))}
    json.dump(dict(sorted(found.items())), sys.stdout, separators=(",", ":"), sort_keys=True)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main(sys.argv[1:])
