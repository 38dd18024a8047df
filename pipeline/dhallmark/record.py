"""The JSON records that one step leaves for another: read strictly, and what is wrong told by file and field."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from dhallmark import strictjson
from dhallmark.config.base import Model
from dhallmark.errors import FormatError, Location

_R = TypeVar("_R", bound=BaseModel)


class Record(Model):
    """Base of what is written as a JSON file of its own."""

    def to_json(self) -> dict[str, Any]:
        """As `strictjson.dump` writes it; what is None is left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def parse_record(kind: type[_R], content: bytes, *, file: str, hint: str | None = None) -> _R:
    """Read a record of `kind` from the bytes of `file`. Raises FormatError, with `hint` where a field is wrong."""
    try:
        return kind.model_validate(strictjson.parse(content, what=file))
    except ValidationError as error:
        field, message = first_fault(error)
        raise FormatError(message, where=Location(file=file, field=field), hint=hint) from error


def first_fault(error: ValidationError) -> tuple[str | None, str]:
    """Path of the first field that is wrong (None for the whole), and what is wrong with it."""
    first = error.errors(include_url=False)[0]
    return ".".join(str(part) for part in first["loc"]) or None, str(first["msg"])
