"""JSON Schemas made from the project's models; editors and other programs complete and check with them.

They say less than the models check (references between fields, regular expressions, paths), never more: a file that
dhallmark accepts is valid under its schema.
"""

from __future__ import annotations

from typing import Any

from dhallmark.config.base import Model

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(model: type[Model], *, name: str, title: str) -> dict[str, object]:
    """The JSON Schema (2020-12) of one kind of file, with the descriptions of the model's fields."""
    schema: dict[str, Any] = model.model_json_schema(by_alias=True)
    _join_lines(schema)
    return {"$schema": DIALECT, "$id": f"https://dhallmark.dev/schemas/{name}/v1", **schema, "title": title}


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
