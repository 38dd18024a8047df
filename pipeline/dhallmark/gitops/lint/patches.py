"""Kustomize patches: reading them, what they select, and what an object is after them.

Custom resources have no patch strategy of their own: a strategic merge patch merges mappings, replaces lists, and
removes what is null (RFC 7386), with `$patch: delete` and `replace` besides. JSON6902 operations are those of RFC 6902.
Sources: kustomize's reference of `patches`, Flux's of `spec.patches`, which take the same form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import dataclass, field

from dhallmark.gitops.lint.model import Resource
from dhallmark.gitops.lint.yamlfile import Mapping, Node, Scalar, Sequence, UnreadableError, is_null, read

_MAX_COPIED = 100_000
"""Most nodes of one object that are copied to be patched; aliases could stand for more than a machine has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Which objects a patch is for. Empty fields select all; name and namespace are anchored expressions."""

    group: str = ""
    version: str = ""
    kind: str = ""
    name: str = ""
    namespace: str = ""
    labels: bool = False
    """Whether labels or annotations are asked for, too; those are not evaluated."""

    @classmethod
    def of(cls, node: Mapping) -> Selector:
        return cls(
            group=node.text("group"),
            version=node.text("version"),
            kind=node.text("kind"),
            name=node.text("name"),
            namespace=node.text("namespace"),
            labels=bool(node.text("labelSelector") or node.text("annotationSelector")),
        )

    def selects(self, resource: Resource) -> bool:
        return (
            self.group in ("", resource.group)
            and self.version in ("", resource.version)
            and self.kind in ("", resource.kind)
            and _matches(self.name, resource.name)
            and (not self.namespace or not resource.namespace or _matches(self.namespace, resource.namespace))
        )

    def __str__(self) -> str:
        return " ".join(part for part in (self.kind or "any kind", self.name) if part)


def _matches(pattern: str, text: str) -> bool:
    if not pattern or pattern == text:
        return True
    try:
        return re.fullmatch(pattern, text) is not None
    except re.error:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """One patch, where it stands, and what it does."""

    file: str
    line: int
    selector: Selector
    target_line: int | None
    """Where its `target` stands, in the file with the list of patches; None where the patch itself names its object.
    Kustomize is silent where a target selects nothing, and fails where such a name does."""
    merge: Mapping | None = None
    """For a strategic merge patch."""
    operations: tuple[Mapping, ...] = ()
    """For a JSON6902 patch."""

    @property
    def about_verification(self) -> bool:
        """Whether it touches `verify`, or an object's whole `spec`."""
        if self.merge is not None:
            return self.merge.get("spec", "verify") is not None or self.merge.text("$patch") == "delete"
        return any(_pointer(item.text("path"))[:2] in (["spec", "verify"], ["spec"]) for item in self.operations)


class PatchError(Exception):
    """A patch that cannot be read."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


def patches_of(items: Iterable[Node], *, file: str, files: dict[str, list[Node]]) -> Iterator[Patch | PatchError]:
    """The patches in a `patches` list of `file`. `files` has the documents of the files that it names, by path as
    written there; a file that is not there is somebody else's finding."""
    for item in items:
        if not isinstance(item, Mapping):
            continue
        inline, path = item.get("patch"), item.text("path")
        if isinstance(inline, Scalar):
            try:
                documents = read(_in_place(inline))
            except UnreadableError as error:
                yield PatchError(error.message, inline.line)
                continue
            yield from _patches(documents, item, file=file)
        elif isinstance(inline, Mapping):
            yield from _patches([inline], item, file=file)
        elif path in files:
            yield from _patches(files[path], item, file=path)


def _in_place(inline: Scalar) -> bytes:
    """The text of a patch, with as many lines before it as it has in its file: a block begins below its indicator."""
    before = inline.line if "\n" in inline.value else inline.line - 1
    return b"\n" * before + inline.value.encode("utf-8", "replace")


def _patches(documents: list[Node], item: Mapping, *, file: str) -> Iterator[Patch | PatchError]:
    target = item.mapping("target")
    for document in documents:
        if isinstance(document, Sequence):
            if target is None:
                yield PatchError("operations without a target: nobody knows which object they are for", item.line)
                continue
            yield Patch(
                file=file,
                line=document.line,
                target_line=target.line,
                selector=Selector.of(target),
                operations=tuple(one for one in document.items if isinstance(one, Mapping)),
            )
        elif isinstance(document, Mapping):
            own = Resource.of(document, file=file)
            if target is None and own is None:
                yield PatchError("a patch that names neither a target nor an object", item.line)
                continue
            yield Patch(
                file=file,
                line=document.line,
                target_line=target.line if target is not None else None,
                selector=Selector.of(target) if target is not None else _own_selector(own),
                merge=document,
            )
        else:
            yield PatchError("neither an object nor a list of operations", item.line)


def _own_selector(own: Resource | None) -> Selector:
    if own is None:
        return Selector()
    return Selector(
        group=own.group, kind=own.kind, name=re.escape(own.name) if own.name else "", namespace=own.namespace
    )


@dataclass(slots=True)
class _Copier:
    """Copies nodes, up to a limit."""

    left: int = field(default=_MAX_COPIED)

    def copy(self, node: Node) -> Node:
        self.left -= 1
        if self.left < 0:
            raise PatchError("an object of too many parts to patch", node.line)
        if isinstance(node, Mapping):
            new = copy(node)
            new.items = {key: self.copy(value) for key, value in node.items.items()}
            return new
        if isinstance(node, Sequence):
            return Sequence(node.line, [self.copy(item) for item in node.items], node.tag)
        return node


def apply(patch: Patch, resource: Resource) -> Resource | None:
    """The object after the patch; None where the patch deletes it. Raises PatchError for an object that is too big."""
    try:
        node = _Copier().copy(resource.node)
    except RecursionError:
        raise PatchError("an object that contains itself", resource.node.line) from None
    assert isinstance(node, Mapping)  # noqa: S101  (a copy of a mapping is one)
    if patch.merge is not None:
        if patch.merge.text("$patch") == "delete":
            return None
        merged = {key: value for key, value in patch.merge.items.items() if key not in ("apiVersion", "kind")}
        _merge(node, Mapping(patch.merge.line, merged))
    for operation in patch.operations:
        _operate(node, operation)
    return Resource(
        resource.group, resource.version, resource.kind, resource.name, resource.namespace, resource.file, node
    )


def _merge(into: Mapping, change: Mapping) -> None:
    for key, value in change.items.items():
        if key == "$patch":
            continue
        if (isinstance(value, Scalar) and is_null(value)) or (
            isinstance(value, Mapping) and value.text("$patch") == "delete"
        ):
            into.items.pop(key, None)
        elif isinstance(value, Mapping) and value.text("$patch") != "replace":
            mine = into.items.get(key)
            if not isinstance(mine, Mapping):
                mine = Mapping(value.line)
                into.items[key] = mine
            _merge(mine, value)
        else:
            into.items[key] = value
        into.lines.setdefault(key, value.line)


def _removes(value: Node) -> bool:
    if isinstance(value, Scalar):
        return is_null(value)
    return isinstance(value, Mapping) and value.text("$patch") == "delete"


def _pointer(path: str) -> list[str]:
    """The parts of a JSON pointer (RFC 6901)."""
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]


def _operate(root: Mapping, operation: Mapping) -> None:
    """Apply one operation; one that would fail changes nothing here, and fails loudly where it is applied."""
    *parents, last = _pointer(operation.text("path")) or [""]
    here: Node | None = root
    for part in parents:
        here = _step(here, part)
    value = operation.get("value")
    match operation.text("op"):
        case "remove":
            if isinstance(here, Mapping):
                here.items.pop(last, None)
            elif isinstance(here, Sequence) and last.isdigit() and int(last) < len(here.items):
                del here.items[int(last)]
        case "add" | "replace" if value is not None:
            if isinstance(here, Mapping):
                here.items[last] = value
                here.lines.setdefault(last, operation.line)
            elif isinstance(here, Sequence) and last == "-":
                here.items.append(value)
            elif isinstance(here, Sequence) and last.isdigit() and int(last) < len(here.items):
                here.items[int(last)] = value
        case _:
            return


def _step(node: Node | None, part: str) -> Node | None:
    if isinstance(node, Mapping):
        return node.own(part)
    if isinstance(node, Sequence) and part.isdigit() and int(part) < len(node.items):
        return node.items[int(part)]
    return None
