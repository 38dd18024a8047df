"""What all models of files have in common: strictness, and the types of names, versions and paths.

Apart from `model`, so that a command that reads a policy alone does not make the models of `dhallmark.yaml`.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from dhallmark.config.docstrings import attribute_docstrings

_SEMVER = (
    r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(-(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?$"
)
"""Semantic Versioning 2.0.0 without build metadata: "+" is no character of an OCI tag."""


def _relative(text: str) -> str:
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or "\\" in text or not text or "\0" in text:
        raise ValueError("must be a relative path inside the folder of this file, without '..'")
    return str(path)


RelativePath = Annotated[str, AfterValidator(_relative)]
"""A path inside the folder of the file that names it, and relative to that."""
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,51}[a-z0-9])?$")]
"""A DNS label of at most 53 characters: what Helm allows as a release name, OCI in a path, Kubernetes in a label."""
Version = Annotated[str, Field(pattern=_SEMVER)]
Repository = Annotated[str, Field(pattern=r"^[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$")]
"""An OCI repository path without its registry (OCI distribution-spec 1.1, "Pulling manifests")."""


class Model(BaseModel):
    """Base of all models that users write: strict, frozen, unknown keys refused, camelCase in YAML."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        # A command that reads one file has no use for the models of the others.
        defer_build=True,
    )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The model's JSON Schema, with the fields' docstrings."""
        found = handler(schema)
        properties = handler.resolve_ref_schema(found).get("properties", {})
        docstrings = attribute_docstrings(cls)
        for name, field in cls.model_fields.items():
            item = properties.get(field.alias or name, {})
            # What a reference leads to need not be said where it stands, too.
            if name in docstrings and handler.resolve_ref_schema(item).get("description") != docstrings[name]:
                item.setdefault("description", docstrings[name])
        return found
