"""Where each wanted object stands in a repository, and what has to change there.

A source is found by its kind and URL, in whatever file it stands: writing a second one beside it would be a way past
the first (G5). What stands there already is changed in place; what does not is added to a file of dhallmark's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dhallmark.digest import Digest
from dhallmark.errors import InputError, Location
from dhallmark.gitops.lint.model import Resource
from dhallmark.gitops.lint.scan import find_files, scan
from dhallmark.gitops.lint.yamlfile import Mapping as Node
from dhallmark.gitops.lint.yamlfile import read
from dhallmark.gitops.tree import ROOT
from dhallmark.gitops.write.edit import ABSENT, Change, append, documents, edit, sync
from dhallmark.gitops.write.wanted import ObjectFile, OwnFile, Wanted
from dhallmark.gitops.write.yamltext import dump, dump_all

MARK = "dhallmark gitops write"
"""Stands in every file that dhallmark writes as a whole."""
SUMS = "SHA256SUMS"
"""Beside files that are copies byte for byte, and have no room for a mark: which bytes dhallmark put there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """A file, before and after."""

    path: str
    """From the root of the repository, with `/`."""
    before: bytes | None
    """None where there is none yet."""
    after: bytes | None
    """None where it is removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """What has to change in a repository."""

    changes: tuple[FileChange, ...]
    unchanged: int
    """How many files say already what is wanted."""
    adopted: tuple[str, ...]
    """`<file>: <object>` of those that stand in somebody's file and are changed there; who applies them is theirs."""


@dataclass(slots=True)
class _Place:
    """Where one object stands or will stand."""

    wanted: Wanted
    file: str
    namespace: str
    found: bool


@dataclass(slots=True)
class _Repository:
    """The files of a repository, as they will be."""

    root: Path
    texts: dict[str, str] = field(default_factory=dict)
    before: dict[str, bytes | None] = field(default_factory=dict)
    _resources: list[Resource] | None = None

    def text(self, path: str) -> str | None:
        """The text of a file, None where it is not there. Raises InputError for what is no text or a symlink."""
        if path in self.texts:
            return self.texts[path]
        content = self.bytes(path)
        if content is None:
            return None
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError("not UTF-8", where=Location(file=str(self.root / path))) from error

    def bytes(self, path: str) -> bytes | None:
        """What a file holds now; None where it is not there."""
        if path not in self.before:
            target = self.root / path
            for part in (target, *target.parents):
                if part == self.root:
                    break
                if part.is_symlink():
                    raise InputError(
                        "a symlink, which is not written through",
                        where=Location(file=str(part)),
                        hint="replace it by what it points to",
                    )
            self.before[path] = target.read_bytes() if target.is_file() else None
        return self.before[path]

    def resources(self) -> list[Resource]:
        """Every object of a consumer's outside of the deploy tree, which is signed and not edited."""
        if self._resources is None:
            paths = find_files(self.root, exclude=(f"{ROOT}/",)) if self.root.is_dir() else ()
            self._resources = [found for path in paths for found in scan(self.root, path).resources]
        return self._resources


def place(root: Path, files: Sequence[ObjectFile], own: Sequence[OwnFile]) -> Placed:
    """What has to change below `root` so that it says what `files` and `own` want. Nothing is written.

    Raises InputError for a file in the way that dhallmark did not write, for two sources of one URL, and for an object
    that cannot be changed in place.
    """
    repository = _Repository(root)
    places = {file.path: _find_all(repository, file) for file in files}
    away = [one for path, found in places.items() for one in found.values() if one.file != path]
    followed = frozenset(str(one.wanted.body.get("spec", {}).get("url", "")) for one in away)
    adopted: list[str] = []
    for file in files:
        adopted += _place_file(repository, file, places[file.path], followed)
    for item in own:
        _place_own(repository, item)
    touched = [
        FileChange(path=path, before=before, after=repository.texts[path].encode())
        for path, before in repository.before.items()
        if path in repository.texts
    ]
    changes = tuple(one for one in touched if one.before != one.after)
    return Placed(changes=changes, unchanged=len(touched) - len(changes), adopted=tuple(dict.fromkeys(adopted)))


_Identity = tuple[str, str, str, str]
"""API group, kind, namespace and name."""


def _find_all(repository: _Repository, file: ObjectFile) -> Mapping[_Identity, _Place]:
    """Where the sources of a file stand."""
    own = _identities(repository, file.path)
    return {one.identity: _find(repository, file.path, one, own) for one in file.objects if one.elsewhere}


def _place_file(
    repository: _Repository, file: ObjectFile, places: Mapping[_Identity, _Place], followed: frozenset[str]
) -> Iterator[str]:
    """Place the objects of a file. `followed` are URLs of sources in somebody's files. Yields what is changed there."""
    own = _identities(repository, file.path)
    new: list[Mapping[str, Any]] = []
    for wanted in file.objects:
        found = places.get(wanted.identity)
        targets = [found] if found is not None else _beside(repository, wanted, file.path, list(places.values()), own)
        if wanted.source and wanted.source in followed and wanted.identity not in own:
            continue  # Somebody applies it already.
        for target in targets:
            body = _in_namespace(wanted, target.namespace)
            if target.found:
                _change(repository, target, body)
            elif target.file == file.path:
                new.append(body)
            else:
                repository.texts[target.file] = append(repository.text(target.file) or "", body)
            if target.file != file.path:
                yield f"{target.file}: {wanted.body['kind']} {_name(body)}"
    _add(repository, file, new)


def _add(repository: _Repository, file: ObjectFile, new: Sequence[Mapping[str, Any]]) -> None:
    """Add objects to dhallmark's file, or write it."""
    text = repository.text(file.path)
    if text is None and new:
        repository.texts[file.path] = dump_all(new, header=file.header)
    elif text is not None:
        for body in new:
            text = append(text, body)
        repository.texts[file.path] = text


def _identities(repository: _Repository, path: str) -> frozenset[_Identity]:
    text = repository.text(path)
    if text is None:
        return frozenset()
    where = str(repository.root / path)
    return frozenset(_identity(one) for one in documents(text, file=where) if isinstance(one, dict))


def _identity(document: Mapping[str, Any]) -> _Identity:
    meta = document.get("metadata")
    meta = meta if isinstance(meta, dict) else {}
    group = str(document.get("apiVersion", "")).rpartition("/")[0]
    return group, str(document.get("kind", "")), str(meta.get("namespace", "")), str(meta.get("name", ""))


def _find(repository: _Repository, path: str, wanted: Wanted, own: frozenset[_Identity]) -> _Place:
    """Where a source stands: once, wherever that is."""
    assert wanted.elsewhere is not None  # noqa: S101 - asked for those alone
    others = [one for one in repository.resources() if wanted.elsewhere(one)]
    places = {one.place: one for one in others}
    if len(places) > 1:
        told = ", ".join(f"{one.file}:{one.node.line}" for one in places.values())
        raise InputError(
            f"{len(places)} objects are about {wanted.body['kind']} {_name(wanted.body)}: {told}",
            where=Location(file=str(repository.root / next(iter(places.values())).file)),
            hint="remove all but one: each is a way past the others",
        )
    namespace = wanted.identity[2]
    if places:
        (one,) = places.values()
        return _Place(wanted, one.file, one.namespace or namespace, found=True)
    return _Place(wanted, path, namespace, found=wanted.identity in own)


def _beside(
    repository: _Repository,
    wanted: Wanted,
    path: str,
    sources: Sequence[_Place],
    own: frozenset[_Identity],
) -> list[_Place]:
    """Where an object goes that sources name: beside them, once for each namespace that they are in."""
    found: dict[str, _Place] = {}
    for source in sources:
        if source.namespace not in found:
            group, kind, _, name = wanted.identity
            there = own if source.file == path else _identities(repository, source.file)
            found[source.namespace] = _Place(
                wanted, source.file, source.namespace, found=(group, kind, source.namespace, name) in there
            )
    return list(found.values()) or [_Place(wanted, path, wanted.identity[2], found=wanted.identity in own)]


def _in_namespace(wanted: Wanted, namespace: str) -> Mapping[str, Any]:
    if wanted.identity[2] == namespace:
        return wanted.body
    return {**wanted.body, "metadata": {**wanted.body["metadata"], "namespace": namespace}}


def _name(body: Mapping[str, Any]) -> str:
    return str(body.get("metadata", {}).get("name", ""))


def _change(repository: _Repository, target: _Place, body: Mapping[str, Any]) -> None:
    """Change an object where it stands."""
    wanted, where = target.wanted, str(repository.root / target.file)
    text = repository.text(target.file)
    assert text is not None  # noqa: S101 - it was found there
    found = documents(text, file=where)

    def select(document: Mapping[str, Any]) -> bool:
        if wanted.elsewhere is None:
            return _identity(document) == _identity(body)
        resource = _resource(document, target.file)
        return resource is not None and wanted.elsewhere(resource)

    now = next((one for one in found if isinstance(one, dict) and select(one)), {})
    changes = sync(("apiVersion",), now.get("apiVersion"), body["apiVersion"])
    for path in wanted.owned:
        changes += sync(path, _at(now, path), wanted.value(path))
    for path in wanted.absent:
        changes.append(Change(path, ABSENT))
    for item in wanted.items:
        there = _at(now, item.path)
        there = there if isinstance(there, list) else []
        index = next((number for number, one in enumerate(there) if item.mine(one)), len(there))
        if not there:
            changes.append(Change(item.path, [dict(item.value)]))
        elif index == len(there):
            changes.append(Change((*item.path, index), dict(item.value)))
        else:
            changes += sync((*item.path, index), there[index], dict(item.value))
    repository.texts[target.file] = edit(text, select=select, changes=changes, file=where)


def _resource(document: Mapping[str, Any], file: str) -> Resource | None:
    """A document as the linter reads it, to be recognised by the same function."""
    nodes = read(dump(dict(document)).encode())
    return Resource.of(nodes[0], file=file) if nodes and isinstance(nodes[0], Node) else None


def _at(document: Any, path: Sequence[str]) -> Any:  # noqa: ANN401 - what YAML holds
    here = document
    for key in path:
        here = here.get(key) if isinstance(here, dict) else None
    return here


def _place_own(repository: _Repository, item: OwnFile) -> None:
    """A file that is dhallmark's as a whole: replaced where it is known to be."""
    there = repository.bytes(item.path)
    if there is not None and there != item.content and not _is_ours(repository, item.path, there):
        raise InputError(
            "a file is in the way that dhallmark did not write, or that somebody changed since",
            where=Location(file=str(repository.root / item.path)),
            hint="move it away; what dhallmark writes there follows from dhallmark.yaml and the policy",
        )
    repository.texts[item.path] = item.content.decode("utf-8")


def _is_ours(repository: _Repository, path: str, content: bytes) -> bool:
    if MARK.encode() in content:
        return True
    sums = repository.bytes(f"{path.rpartition('/')[0]}/{SUMS}") or b""
    return f"{Digest.of(content).hex}  {path.rpartition('/')[2]}\n".encode() in sums
