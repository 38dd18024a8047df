"""What was published and what a rebuild made: `equal`, `equivalent` in named ways, or `different` and where.

Two sets of ways may be set aside. Those of packing (`PACKING`) change nothing that anybody deploys. Those of
`FOREIGN` are for artifacts that another tool made, of which nobody says that the bytes must be these: there the
Kubernetes objects are compared. For dhallmark's own artifacts they are differences, since two parsers may read one
text as two values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import Any, Final

from dhallmark import strictjson
from dhallmark.audit import objects
from dhallmark.audit.archive import WAYS as PACKED
from dhallmark.audit.archive import Archive, packing_differences
from dhallmark.audit.model import Difference, Sameness, Way
from dhallmark.errors import FormatError
from dhallmark.oci.descriptor import Manifest

MAX_DIFFERENCES: Final = 500
"""Differences that are told; the first explains, and more than these nobody reads."""
_CREATED: Final = "org.opencontainers.image.created"

PACKING: Mapping[str, str] = {
    "manifest.encoding": "how the manifest's JSON is written",
    "manifest.created": "the annotation with the time",
    "config.encoding": "how the config's JSON is written",
    **PACKED,
}
FOREIGN: Mapping[str, str] = {
    "manifest.annotations": "the manifest's annotations and media types",
    "config.content": "the config, which repeats the chart's metadata or says who pushed",
    "yaml.formatting": "how YAML is written: order of keys, quotes, comments",
    "files.layout": "in which files the objects stand",
    "chart.extras": "files beside the chart's own that another packer adds or leaves out",
}
"""Set aside for artifacts that another tool made, and for no other."""
_EXTRAS: Final = frozenset({".helmignore", "Chart.lock", "attestation.json"})


@dataclass(frozen=True, slots=True)
class Side:
    """An artifact: its manifest, and what that points at."""

    manifest: Manifest
    config: bytes
    layer: bytes


@dataclass(frozen=True, slots=True)
class Comparison:
    """What comparing two sides found."""

    sameness: Sameness
    ways: tuple[Way, ...] = ()
    differences: tuple[Difference, ...] = ()

    @property
    def same_files(self) -> bool:
        """Whether nothing in the files themselves differs."""
        return all(one.kind in ("manifest", "archive") for one in self.differences)


def compare_artifacts(rebuilt: Side, published: Side, *, foreign: bool = False) -> Comparison:
    """Compare two artifacts. Raises FormatError where the rebuilt one cannot be read; any published one is compared.

    With `foreign`, the ways of `FOREIGN` are set aside, too.
    """
    if rebuilt.manifest.digest == published.manifest.digest:
        return Comparison(Sameness.EQUAL)
    ways: dict[str, None] = {}
    found: list[Difference] = []
    if rebuilt.layer != published.layer:
        _layers(rebuilt.layer, published.layer, ways, found, foreign=foreign)
    _configs(rebuilt.config, published.config, ways, found, foreign=foreign)
    _manifests(rebuilt.manifest, published.manifest, ways, found, foreign=foreign)
    found += _sizes(published)
    if not ways and not found:
        found.append(Difference(kind="manifest", detail="the same content, by manifests of different digests"))
    return _conclude(ways, found)


def _sizes(side: Side) -> Iterator[Difference]:
    """Sizes that are not those of the content: a reader that trusts them reads something else."""
    for descriptor, content in zip(side.manifest.blobs(), (side.config, side.layer), strict=False):
        if descriptor.size != len(content):
            detail = f"the manifest gives {descriptor.digest} {descriptor.size} bytes, and it has {len(content)}"
            yield Difference(kind="manifest", field="size", detail=detail)


def compare_files(rebuilt: Mapping[str, bytes], published: Mapping[str, bytes], *, foreign: bool = False) -> Comparison:
    """Compare files by name, such as those of a chart in a deploy tree."""
    ways: dict[str, None] = {}
    found = _files(rebuilt, published, ways, foreign=foreign)
    if not found and not ways:
        return Comparison(Sameness.EQUAL)
    return _conclude(ways, found)


def _conclude(ways: Mapping[str, None], found: Sequence[Difference]) -> Comparison:
    meanings = {**PACKING, **FOREIGN}
    listed = tuple(Way(name=name, meaning=meanings[name]) for name in meanings if name in ways)
    order = {"object": 0, "file": 1, "archive": 2, "manifest": 3}
    told = tuple(sorted(found, key=lambda one: order[one.kind])[:MAX_DIFFERENCES])
    return Comparison(Sameness.DIFFERENT if told else Sameness.EQUIVALENT, listed, told)


def _layers(rebuilt: bytes, published: bytes, ways: dict[str, None], found: list[Difference], *, foreign: bool) -> None:
    one = Archive.read(rebuilt, what="the rebuilt archive")
    try:
        other = Archive.read(published, what="the published archive")
    except FormatError as error:
        found.append(Difference(kind="archive", detail=error.message))
        return
    ways.update(dict.fromkeys(packing_differences(one, other)))
    found += _files(one.files, other.files, ways, foreign=foreign)


def _files(
    rebuilt: Mapping[str, bytes], published: Mapping[str, bytes], ways: dict[str, None], *, foreign: bool
) -> list[Difference]:
    if foreign:
        extras = {name for name in rebuilt.keys() ^ published.keys() if name.rpartition("/")[2] in _EXTRAS}
        if extras:
            ways["chart.extras"] = None
            rebuilt = {name: body for name, body in rebuilt.items() if name not in extras}
            published = {name: body for name, body in published.items() if name not in extras}
        if rebuilt.keys() != published.keys():
            placed = _objects_anywhere(rebuilt, published)
            if placed is not None:
                ways["files.layout"] = None
                return placed
    found: list[Difference] = []
    for name in sorted(rebuilt.keys() | published.keys()):
        if name not in rebuilt or name not in published:
            found += _alone(name, rebuilt.get(name), published.get(name))
        elif rebuilt[name] != published[name]:
            found += _file(name, rebuilt[name], published[name], ways, foreign=foreign)
        if len(found) > MAX_DIFFERENCES:
            break
    return found


def _objects_anywhere(rebuilt: Mapping[str, bytes], published: Mapping[str, bytes]) -> list[Difference] | None:
    """The objects of all files, compared by what names them; None where a file holds anything else."""
    sides: list[Mapping[str, object]] = []
    for files in (rebuilt, published):
        documents: list[object] = []
        for name, content in files.items():
            read = objects.read_documents(content) if objects.is_manifest(name) else None
            if read is None:
                return None
            documents += read
        named = objects.by_identity(documents)
        if named is None:
            return None
        sides.append(named)
    return list(islice(_objects("", *sides), MAX_DIFFERENCES))


def _alone(name: str, rebuilt: bytes | None, published: bytes | None) -> Iterator[Difference]:
    """A file that only one side has: the objects in it, or the file."""
    documents = objects.read_documents(rebuilt or published or b"") if objects.is_manifest(name) else None
    which = "rebuilt" if rebuilt is not None else "published"
    for document in documents or ():
        if identity := objects.identity_of(document):
            shown = objects.shown(document)
            yield Difference(
                kind="object", file=name, object=identity, detail=f"only {which}",
                rebuilt=shown if which == "rebuilt" else None, published=shown if which == "published" else None,
            )  # fmt: skip
            return
    yield Difference(kind="file", file=name, detail=f"only {which}")


def _file(name: str, rebuilt: bytes, published: bytes, ways: dict[str, None], *, foreign: bool) -> Sequence[Difference]:
    if objects.is_manifest(name):
        one, other = objects.read_documents(rebuilt), objects.read_documents(published)
        if one is not None and other is not None:
            found = list(islice(_documents(name, one, other), MAX_DIFFERENCES))
            if found:
                return found
            if foreign:
                ways["yaml.formatting"] = None
                return []
            return [_line(name, rebuilt, published, detail="the same values, written differently")]
    return [_line(name, rebuilt, published)]


def _documents(name: str, one: Sequence[Any], other: Sequence[Any]) -> Iterator[Difference]:
    sides = objects.by_identity(one), objects.by_identity(other)
    if sides[0] is not None and sides[1] is not None:
        yield from _objects(name, sides[0], sides[1])
        return
    for left, right in zip_longest(one, other, fillvalue=objects.ABSENT):
        identity = objects.identity_of(left) or objects.identity_of(right)
        yield from _values(name, identity, left, right)


def _objects(name: str, one: Mapping[str, object], other: Mapping[str, object]) -> Iterator[Difference]:
    for identity in [*one, *(identity for identity in other if identity not in one)]:
        yield from _values(name, identity, one.get(identity, objects.ABSENT), other.get(identity, objects.ABSENT))


def _values(name: str, identity: str, one: object, other: object) -> Iterator[Difference]:
    kind = "object" if identity else "file"
    if one is objects.ABSENT or other is objects.ABSENT:
        which = "published" if one is objects.ABSENT else "rebuilt"
        yield Difference(
            kind=kind, file=name, object=identity, rebuilt=objects.shown(one), published=objects.shown(other),
            detail=f"only {which}",
        )  # fmt: skip
        return
    for field, left, right in objects.field_differences(one, other):
        yield Difference(
            kind=kind, file=name, object=identity, field=field,
            rebuilt=objects.shown(left), published=objects.shown(right),
        )  # fmt: skip


def _line(name: str, rebuilt: bytes, published: bytes, *, detail: str = "") -> Difference:
    """The first line in which two texts differ; of what is no text, the first byte."""
    try:
        pairs = zip_longest(rebuilt.decode().splitlines(keepends=True), published.decode().splitlines(keepends=True))
    except UnicodeDecodeError:
        place = next(
            (index for index, pair in enumerate(zip(rebuilt, published, strict=False)) if pair[0] != pair[1]),
            min(len(rebuilt), len(published)),
        )
        said = f"byte {place} differs; {len(rebuilt)} bytes rebuilt, {len(published)} published"
        return Difference(kind="file", file=name, detail=said)
    number, (left, right) = next((number, pair) for number, pair in enumerate(pairs, start=1) if pair[0] != pair[1])
    return Difference(
        kind="file", file=name, field=f"line {number}",
        rebuilt=None if left is None else objects.shown(left.rstrip("\n")),
        published=None if right is None else objects.shown(right.rstrip("\n")),
        detail=detail,
    )  # fmt: skip


def _configs(
    rebuilt: bytes, published: bytes, ways: dict[str, None], found: list[Difference], *, foreign: bool
) -> None:
    if rebuilt == published:
        return
    if foreign:
        ways["config.content"] = None
        return
    try:
        sides = [strictjson.parse(content, what="config") for content in (rebuilt, published)]
    except FormatError as error:
        found.append(Difference(kind="manifest", field="config", detail=error.message))
        return
    differing = list(objects.field_differences(sides[0], sides[1], path="config"))
    if not differing:
        ways["config.encoding"] = None
    found += [_manifest_field(*one) for one in differing]


def _manifests(
    rebuilt: Manifest, published: Manifest, ways: dict[str, None], found: list[Difference], *, foreign: bool
) -> None:
    try:
        bodies = [manifest.body() for manifest in (rebuilt, published)]
    except FormatError as error:
        found.append(Difference(kind="manifest", detail=error.message))
        return
    if bodies[0] == bodies[1]:
        ways["manifest.encoding"] = None
        return
    # Digests and sizes follow from contents, which were compared.
    plain = [_without_content(body) for body in bodies]
    for field, left, right in objects.field_differences(plain[0], plain[1]):
        if foreign:
            ways["manifest.annotations"] = None
        elif field == f"annotations.[{_CREATED}]":
            ways["manifest.created"] = None
        else:
            found.append(_manifest_field(field, left, right))


def _without_content(body: Mapping[str, Any]) -> dict[str, Any]:
    def bare(item: object) -> object:
        return {key: item[key] for key in item if key not in ("digest", "size")} if isinstance(item, dict) else item

    plain = {key: bare(value) if key == "config" else value for key, value in body.items()}
    layers = body.get("layers")
    if isinstance(layers, list):
        plain["layers"] = [bare(layer) for layer in layers]
    return plain


def _manifest_field(field: str, left: object, right: object) -> Difference:
    return Difference(
        kind="manifest", field=field, rebuilt=objects.shown(left), published=objects.shown(right)
    )  # fmt: skip
