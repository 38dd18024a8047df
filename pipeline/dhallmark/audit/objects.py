"""Kubernetes objects in files, and how two of them differ: which object, which field, what it was and what it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import yaml

from dhallmark import strictjson

_MAX_BYTES: Final = 16 << 20
_MAX_VALUE: Final = 200
"""Characters of a value that are shown."""
_MAX_DEPTH: Final = 100
ABSENT: Final = object()
"""Stands for a field that is not there, which is not the same as null."""

Field = tuple[str, object, object]
"""Path of a field, its value in the first object and in the second (`ABSENT` where it has none)."""


class _Loader(yaml.SafeLoader):
    """YAML as data: no aliases, since a short text could stand for an endless value."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias")
        node: yaml.Node | None = super().compose_node(parent, index)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(set(names)) != len(node.value):
            raise yaml.YAMLError("a key twice, or one that is no text")
        return super().construct_mapping(node, deep=deep)


# A date is a text to Kubernetes, whose parser knows none.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def is_manifest(name: str) -> bool:
    """Whether a file may hold Kubernetes objects."""
    return name.endswith((".yaml", ".yml", ".json"))


def read_documents(content: bytes) -> list[Any] | None:
    """The YAML documents of a file, those that are empty left out; None where it is no plain YAML (a template)."""
    if len(content) > _MAX_BYTES:
        return None
    try:
        return [one for one in yaml.load_all(content, Loader=_Loader) if one is not None]
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def identity_of(document: object) -> str:
    """What names an object, such as `Deployment.apps prod/web`; empty where it is no object."""
    if not isinstance(document, dict):
        return ""
    kind, version, metadata = document.get("kind"), document.get("apiVersion"), document.get("metadata")
    if not isinstance(kind, str) or not isinstance(version, str) or not isinstance(metadata, dict):
        return ""
    group, namespace = version.rpartition("/")[0], metadata.get("namespace")
    name = f"{namespace}/{metadata.get('name')}" if namespace else str(metadata.get("name"))
    return f"{kind}.{group} {name}" if group else f"{kind} {name}"


def field_differences(one: object, other: object, *, path: str = "", depth: int = 0) -> Iterator[Field]:
    """The fields in which two values differ, in the order of the first. Lists of named items are matched by name."""
    if depth > _MAX_DEPTH:
        if one != other:
            yield path, one, other
        return
    if isinstance(one, dict) and isinstance(other, dict):
        for key in [*one, *(key for key in other if key not in one)]:
            below = f"{path}.{_key(key)}" if path else _key(key)
            yield from _below(one.get(key, ABSENT), other.get(key, ABSENT), below, depth)
    elif isinstance(one, list) and isinstance(other, list):
        yield from _lists(one, other, path, depth)
    elif type(one) is not type(other) or one != other:
        yield path, one, other


def _below(one: object, other: object, path: str, depth: int) -> Iterator[Field]:
    if one is ABSENT or other is ABSENT:
        yield path, one, other
    else:
        yield from field_differences(one, other, path=path, depth=depth + 1)


def _lists(one: list[Any], other: list[Any], path: str, depth: int) -> Iterator[Field]:
    names = [_names(items) for items in (one, other)]
    if names[0] is not None and names[1] is not None:
        for name in [*names[0], *(name for name in names[1] if name not in names[0])]:
            yield from _below(
                names[0].get(name, ABSENT), names[1].get(name, ABSENT), f"{path}[name={name}]", depth
            )  # fmt: skip
        common = [name for name in names[0] if name in names[1]]
        if common != [name for name in names[1] if name in names[0]]:
            yield f"{path} (order)", list(names[0]), list(names[1])
        return
    for index in range(max(len(one), len(other))):
        sides = [items[index] if index < len(items) else ABSENT for items in (one, other)]
        yield from _below(sides[0], sides[1], f"{path}[{index}]", depth)


def _names(items: list[Any]) -> dict[str, Any] | None:
    """The items by their `name`, where each has one and no two have the same."""
    found: dict[str, Any] = {}
    for item in items:
        name = item.get("name") if isinstance(item, dict) else None
        if not isinstance(name, str) or name in found:
            return None
        found[name] = item
    return found or None


def _key(key: object) -> str:
    text = str(key)
    return text if text.replace("-", "").replace("_", "").isalnum() else f"[{text}]"


def shown(value: object) -> str | None:
    """A value for people, cut where it is long; None for one that is not there."""
    if value is ABSENT:
        return None
    if isinstance(value, dict | list):
        try:
            text = strictjson.dump_compact(value).decode()
        except (TypeError, ValueError):
            text = str(value)
    else:
        text = str(value)
    return text if len(text) <= _MAX_VALUE else f"{text[:_MAX_VALUE]}… ({len(text)} characters)"


def by_identity(documents: Sequence[object]) -> Mapping[str, object] | None:
    """Objects by what names them; None where one has no name, or two the same."""
    found: dict[str, object] = {}
    for document in documents:
        identity = identity_of(document)
        if not identity or identity in found:
            return None
        found[identity] = document
    return found
