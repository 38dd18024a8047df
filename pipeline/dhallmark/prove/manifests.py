"""Reading manifests as Kubernetes' tools read them, with the line of every key.

Values are those of YAML 1.1 as kubectl and Flux decode it (sigs.k8s.io/yaml): `on` and `yes` are booleans, a date is a
text. What they would let pass without a word is an error here: a key that stands twice, an alias that means thousands
of lines, a document that is no object.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import yaml

from dhallmark.digest import Digest
from dhallmark.errors import FormatError, InputError, Location
from dhallmark.files import UnreadableFileError, read_regular
from dhallmark.gitops.lint import yamlfile
from dhallmark.gitops.lint.scan import KUSTOMIZATIONS, find_files
from dhallmark.verdict import Check

_MAX_FILES: Final = 10_000
_MAX_NODES: Final = 200_000
_MAX_DEPTH: Final = 100
_STEP: Final = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
_TAGS: Final = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One object, and where it stands."""

    file: str
    """As the user would write it."""
    node: yamlfile.Mapping = field(repr=False, compare=False)
    body: Mapping[str, Any] = field(repr=False)

    @property
    def api_version(self) -> str:
        return str(self.body["apiVersion"])

    @property
    def group(self) -> str:
        """Empty for Kubernetes' own oldest kinds."""
        return self.api_version.rpartition("/")[0]

    @property
    def kind(self) -> str:
        return str(self.body["kind"])

    @property
    def namespace(self) -> str:
        """Empty where none is given."""
        return str(self.body["metadata"].get("namespace") or "")

    @property
    def name(self) -> str:
        return str(self.body["metadata"]["name"])

    @property
    def subject(self) -> str:
        """Such as `OCIRepository flux-system/web`."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"

    def is_a(self, group: str, *kinds: str) -> bool:
        return self.group == group and self.kind in kinds

    def where(self, path: str = "") -> Location:
        """Where the field `path`, such as `spec.verify.matchOIDCIdentity[0].issuer`, stands, or what is nearest."""
        return Location(file=self.file, line=line_of(self.node, path), field=path or None)

    def located(self, check: Check) -> Check:
        """`check` with the file and the line of the field that it is about."""
        where = self.where(check.evidence.get("field", ""))
        evidence = {**check.evidence, "file": where.file, "line": str(where.line)}
        return replace(check, evidence=evidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifests:
    """What was read, and a digest that stands for all of it."""

    objects: Sequence[Manifest]
    files: Mapping[str, Digest]
    """Every file, by its path below what was named."""
    skipped: Sequence[str]
    """Files of Kustomize itself: what it makes of them is to be proved, not they."""

    @property
    def digest(self) -> Digest:
        """Of the names and digests of all files, in order."""
        return Digest.of("".join(f"{name}\0{digest}\n" for name, digest in sorted(self.files.items())).encode())


def read_manifests(paths: Sequence[Path]) -> Manifests:
    """The objects in files, and in all YAML files below folders.

    Raises InputError where there is no object at all, FormatError (with file and line) for what cannot be read.
    """
    objects: list[Manifest] = []
    digests: dict[str, Digest] = {}
    skipped: list[str] = []
    for path, name in _files(paths):
        if len(digests) >= _MAX_FILES:
            raise InputError(f"more than {_MAX_FILES} files", where=Location(file=name))
        try:
            content = read_regular(path, max_bytes=yamlfile.MAX_BYTES)
        except UnreadableFileError as error:
            raise InputError(error.message, where=Location(file=str(path))) from error
        digests[name] = Digest.of(content)
        if path.name in KUSTOMIZATIONS:
            skipped.append(str(path))
            continue
        objects += parse_manifests(content, file=str(path))
    if not objects:
        where = Location(file=" ".join(map(str, paths)))
        raise InputError("no Kubernetes object in it: nothing would be proved", where=where)
    _refuse_twice(objects)
    return Manifests(objects=objects, files=digests, skipped=skipped)


def _files(paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    for path in paths:
        if path.is_dir():
            names = list(find_files(path))
            yield from ((path / name, name) for name in names)
        else:
            yield path, path.name


def _refuse_twice(objects: Sequence[Manifest]) -> None:
    seen: dict[tuple[str, str, str, str], Manifest] = {}
    for one in objects:
        key = (one.group, one.kind, one.namespace, one.name)
        if key in seen:
            other = seen[key].where()
            raise FormatError(f"{one.subject} stands twice: also in {other}", where=one.where())
        seen[key] = one


def parse_manifests(content: bytes, *, file: str) -> list[Manifest]:
    """The objects in a file; those of a List are taken out. Raises FormatError with file and line."""
    try:
        documents = yamlfile.read(content)
    except yamlfile.UnreadableError as error:
        raise FormatError(error.message, where=Location(file=file, line=error.line)) from error
    return [one for document in documents for one in _objects(document, file=file)]


def _objects(document: yamlfile.Node, *, file: str) -> Iterator[Manifest]:
    where = Location(file=file, line=document.line)
    if not isinstance(document, yamlfile.Mapping):
        raise FormatError("not a Kubernetes object", where=where)
    body = _Values(file).of(document)
    kind = body.get("kind")
    if not isinstance(kind, str) or not kind or not isinstance(body.get("apiVersion"), str):
        raise FormatError("not a Kubernetes object: it needs an apiVersion and a kind", where=where)
    if kind == "List" or (kind.endswith("List") and isinstance(body.get("items"), list)):
        for item in document.items_of("items"):
            yield from _objects(item, file=file)
        return
    metadata = body.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str) or not metadata["name"]:
        raise FormatError(f"this {kind} has no metadata.name", where=where)
    yield Manifest(file=file, node=document, body=body)


class _Values:
    """The values of nodes. Aliases are written out, up to a number of nodes that no manifest needs."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._left = _MAX_NODES
        self._resolver = yaml.resolver.Resolver()
        self._constructor = yaml.constructor.SafeConstructor()

    def of(self, node: yamlfile.Node, depth: int = 0) -> Any:  # noqa: ANN401 - whatever stands there
        if depth > _MAX_DEPTH:
            raise self._error(node, f"nested deeper than {_MAX_DEPTH}, with its aliases written out")
        self._left -= 1
        if self._left < 0:
            raise self._error(node, f"more than {_MAX_NODES} values, with its aliases written out")
        if node.tag and isinstance(node, yamlfile.Mapping | yamlfile.Sequence):
            raise self._error(node, f"a tag ({node.tag}): API servers know none")
        match node:
            case yamlfile.Scalar():
                return self._scalar(node)
            case yamlfile.Sequence():
                return [self.of(item, depth + 1) for item in node.items]
            case yamlfile.Mapping():
                return self._mapping(node, depth)

    def _mapping(self, node: yamlfile.Mapping, depth: int) -> dict[str, Any]:
        if node.duplicates:
            key, line = node.duplicates[0]
            raise FormatError(f"the key {key!r} stands twice", where=Location(file=self._file, line=line))
        if node.merged:
            raise self._error(node, "a merge key (<<): write out what it brings in")
        if "\0" in node.items:
            raise self._error(node, "a key that is no text")
        return {key: self.of(value, depth + 1) for key, value in node.items.items()}

    def _scalar(self, node: yamlfile.Scalar) -> object:
        if node.tag and node.tag != "!":
            raise self._error(node, f"a tag ({node.tag}): API servers know none")
        if not node.plain or node.tag:
            return node.value
        resolved = self._resolver.resolve(yaml.ScalarNode, node.value, (True, False))  # type: ignore[no-untyped-call]
        tag = str(resolved).removeprefix(_TAGS)
        scalar = yaml.ScalarNode(_TAGS + tag, node.value)
        try:
            match tag:
                case "null":
                    return None
                case "bool":
                    return bool(self._constructor.construct_yaml_bool(scalar))
                case "int":
                    return int(self._constructor.construct_yaml_int(scalar))
                case "float":
                    return float(self._constructor.construct_yaml_float(scalar))
                case _:
                    return node.value
        except ValueError as error:
            raise self._error(node, f"not a number: {node.value[:40]!r}") from error

    def _error(self, node: yamlfile.Node, message: str) -> FormatError:
        return FormatError(message, where=Location(file=self._file, line=node.line))


def steps_of(path: str) -> list[str | int]:
    """The steps of a field's path as API servers write it: `spec.a[0].b`."""
    return [int(index) if index else name for name, index in _STEP.findall(path)]


def line_of(node: yamlfile.Mapping, path: str) -> int:
    """The line of the deepest part of `path` that stands in `node`."""
    line, here = node.line, node
    found: yamlfile.Node | None = here
    for step in steps_of(path):
        if isinstance(found, yamlfile.Mapping) and isinstance(step, str):
            line = found.lines.get(step, line)
            found = found.own(step)
        elif isinstance(found, yamlfile.Sequence) and isinstance(step, int) and step < len(found.items):
            found = found.items[step]
            line = found.line
        else:
            break
    return line
