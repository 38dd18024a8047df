"""What a dialect wants to stand in a repository: objects in files, and files that are dhallmark's alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dhallmark.gitops.lint.model import Resource

Path = tuple[str, ...]
"""Keys that lead to a value of an object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """An item of a list in an object, where the other items are somebody else's."""

    path: Path
    """Of the list."""
    value: Mapping[str, Any]
    mine: Callable[[Any], bool]
    """Says of an item that stands there whether it is this one, of an earlier release."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One object."""

    body: Mapping[str, Any]
    """As it is written where it does not exist yet."""
    owned: tuple[Path, ...]
    """What dhallmark sets in one that exists, each as a whole. All else there is somebody's, and stays."""
    items: tuple[Item, ...] = ()
    """Items that it puts into lists of one that exists."""
    absent: tuple[Path, ...] = ()
    """What must not stand in one that exists."""
    elsewhere: Callable[[Resource], bool] | None = None
    """Recognises it in another file, by what it is about and not by its name."""
    source: str = ""
    """URL of the source that it applies: left out where that stands in somebody's file, who applies it already."""

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """API group, kind, namespace and name."""
        meta = self.body.get("metadata", {})
        group = str(self.body["apiVersion"]).rpartition("/")[0]
        return group, str(self.body["kind"]), str(meta.get("namespace", "")), str(meta.get("name", ""))

    def value(self, path: Path) -> Any:  # noqa: ANN401 - any JSON
        """What the object has at `path`; KeyError where it has nothing."""
        here: Any = self.body
        for key in path:
            here = here[key]
        return here


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectFile:
    """A file of objects, in which people may change and add what is theirs."""

    path: str
    """From the root of the repository, with `/`."""
    header: str
    """The comment at its head where it is new."""
    objects: tuple[Wanted, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnFile:
    """A file that dhallmark writes as a whole."""

    path: str
    content: bytes
