"""JSON Schemas of the files that users write, made from the models; editors complete and check with them.

They say less than `dhallmark` checks (references between fields, regular expressions, paths), never more: a file that
dhallmark accepts is valid under its schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from dhallmark.config.model import Config, Model
from dhallmark.config.policy import Policy

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Kind(StrEnum):
    """The files that have a schema here."""

    CONFIG = "config"
    """`dhallmark.yaml`."""
    POLICY = "policy"
    """The policy file."""


_MODELS: Mapping[Kind, tuple[type[Model], str]] = {
    Kind.CONFIG: (Config, "dhallmark.yaml"),
    Kind.POLICY: (Policy, "dhallmark policy"),
}


def json_schema(kind: Kind) -> dict[str, object]:
    """The JSON Schema (2020-12) of one kind of file, with the descriptions of the models' fields."""
    model, title = _MODELS[kind]
    schema: dict[str, Any] = model.model_json_schema(by_alias=True)
    _join_lines(schema)
    return {"$schema": DIALECT, "$id": f"https://dhallmark.dev/schemas/{kind.value}/v1", **schema, "title": title}


def _join_lines(schema: object) -> None:
    """Descriptions come from docstrings, which are broken into lines where the source is."""
    if isinstance(schema, dict):
        description = schema.get("description")
        if isinstance(description, str):
            schema["description"] = " ".join(description.split())
        for item in schema.values():
            _join_lines(item)
    elif isinstance(schema, list):
        for item in schema:
            _join_lines(item)
