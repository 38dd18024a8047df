"""Kubernetes objects in a user's own YAML file, read as Kubernetes reads them: several documents, YAML 1.1."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from dhallmark.errors import FormatError, Location

_MAX_BYTES: Final = 1024 * 1024


def read_documents(path: Path) -> list[Mapping[str, Any]]:
    """The objects in a file, in order. Raises FormatError."""
    where = Location(file=str(path))
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FormatError(f"cannot be read: {error.strerror}", where=where) from error
    if len(content) > _MAX_BYTES:
        raise FormatError(f"{len(content)} bytes is more than the {_MAX_BYTES} allowed", where=where)
    try:
        documents = [document for document in yaml.safe_load_all(content) if document is not None]
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise FormatError(f"is not YAML: {error}", where=where) from error
    if not all(isinstance(document, dict) for document in documents):
        raise FormatError("every document must be an object", where=where)
    return documents
