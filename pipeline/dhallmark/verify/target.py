"""What is to be verified, before it is known what there is of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dhallmark.verify.basis import TreeTarget
from dhallmark.verify.files import FileTarget

if TYPE_CHECKING:
    from dhallmark.verify.reference import Reference, Registries


@dataclass(frozen=True, slots=True)
class FolderTarget:
    """A folder of artifacts and their bundles."""

    folder: Path
    name: str | None = None
    """The name that statements must give each artifact; any where this is None."""


@dataclass(frozen=True, slots=True)
class LayoutTarget:
    """An OCI image layout."""

    folder: Path
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceTarget:
    """An artifact in a registry, or all tags of a repository."""

    reference: Reference
    registries: Registries
    name: str = ""
    """The name that statements must give the artifact; its repository where this is empty."""
    platform: str = ""
    """Which manifest of an image index is meant, such as `linux/amd64`."""


@dataclass(frozen=True, slots=True)
class ListTarget:
    """The targets of a list, read as they are needed."""

    name: str
    count: int
    targets: Iterable[FileTarget]


Target = FileTarget | FolderTarget | LayoutTarget | TreeTarget | ReferenceTarget | ListTarget


def name_of(target: Target) -> str:
    """What a target is called where nothing is found of it."""
    match target:
        case FileTarget():
            return target.subject
        case TreeTarget():
            return str(target.tree)
        case FolderTarget() | LayoutTarget():
            return str(target.folder)
        case ListTarget():
            return target.name
        case ReferenceTarget():
            return str(target.reference)
