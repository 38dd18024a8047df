#!/usr/bin/env python3
"""Prints the CustomResourceDefinitions of one version of Flux, for the API server that manifests are proved against.

    ci/crds/definitions.py 2.9 CONTROLLER=VERSION=FILE… > pipeline/dhallmark/kubernetes/crds-2.9.json

A file is one of the controller's own, `config/crd/bases/*.yaml` of its module, or its manifests with all else in them.
What is for people only is left out: the schemas' descriptions. Read by `dhallmark.kubernetes.crds`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml


def definitions(file: Path) -> list[dict[str, Any]]:
    """The definitions in a file, without descriptions and without what a cluster adds."""
    found = []
    for document in yaml.safe_load_all(file.read_text()):
        if document and document["kind"] == "CustomResourceDefinition":
            spec = document["spec"]
            for version in spec["versions"]:
                version["schema"]["openAPIV3Schema"] = bare(version["schema"]["openAPIV3Schema"])
            name = document["metadata"]["name"]
            found.append({**kind(document), "metadata": {"name": name}, "spec": spec})
    return found


def kind(document: dict[str, Any]) -> dict[str, Any]:
    return {name: document[name] for name in ("apiVersion", "kind")}


def bare(schema: object) -> object:
    """A schema without descriptions. Below `properties` stand names, one of which may be `description`."""
    if isinstance(schema, list):
        return [bare(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: bare(inner) for name, inner in value.items()}
        if key == "properties" and isinstance(value, dict)
        else bare(value)
        for key, value in schema.items()
        if not (key == "description" and isinstance(value, str))
    }


def main(flux: str, arguments: list[str]) -> None:
    controllers: dict[str, str] = {}
    found: dict[str, dict[str, Any]] = {}
    for argument in arguments:
        controller, version, file = argument.split("=", 2)
        controllers[controller] = version
        found |= {one["metadata"]["name"]: one for one in definitions(Path(file))}
    body = {"flux": flux, "controllers": controllers, "definitions": [found[name] for name in sorted(found)]}
    json.dump(body, sys.stdout, separators=(",", ":"), sort_keys=True)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
