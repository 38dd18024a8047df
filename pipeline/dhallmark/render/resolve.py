"""The step `resolve`: sources to normal forms, with the record of all that took part.

Dhall runs twice for a whole release, at a time: once to report the graph of all imports, once to normalise one
expression that holds every unit, so that units share the work of their imports. Where that fails, units are tried one
by one, to name the one at fault.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TypeVar

import anyio

from dhallmark.digest import Digest
from dhallmark.errors import Error, Location, RenderError
from dhallmark.files import directory_atomic, write_new
from dhallmark.plan import Plan, Unit
from dhallmark.progress import Progress, Silent
from dhallmark.render import cbor
from dhallmark.render.closure import Closure, Import, UnitRecord, write_closure
from dhallmark.render.dhall import Dhall, find_dhall
from dhallmark.render.diagnostics import render_error
from dhallmark.render.discovery import Discovery, File, discover
from dhallmark.render.graph import Graph, Node, parse_dot

_T = TypeVar("_T")
_CACHE_PREFIX = ".dhall-"
_PLAIN = re.compile(r"[A-Za-z0-9._-]+")
_SUFFIX = {"code": "", "text": " as Text", "bytes": " as Bytes", "location": " as Location"}


async def resolve(
    plan: Plan,
    *,
    root: Path,
    build: Path,
    dhall: Dhall | None = None,
    seeds: Sequence[Path] = (),
    progress: Progress | None = None,
) -> Closure:
    """Resolve and normalise all units of `plan`; write `<build>/resolve/`; return the closure.

    `root` is the folder of `dhallmark.yaml`. `seeds` are folders with Dhall cache entries (`1220<hex>`); an entry of
    one of them, or of an earlier run's `<build>/resolve/cache`, stands in for the network where its bytes have the
    hash that the import demands. With all of them there, no network is needed.
    Raises RenderError for what is wrong in the sources, ToolError where Dhall cannot be run.
    """
    report = progress or Silent()
    dhall = dhall or await find_dhall()
    report.start("resolve", total=len(plan.units))
    entries = {path for unit in plan.units for path in _entry_paths(plan, unit)}
    discovery = discover(entries, root=root)
    with _fresh_cache(build) as cache:
        _seed(cache, discovery, [build / "resolve" / "cache", *seeds])
        run = _Run(plan=plan, root=root, dhall=dhall, cache=cache, discovery=discovery)
        graph, forms = await run.evaluate()
        nodes = run.check(graph)
        closure = run.closure(graph, nodes, forms)
        with directory_atomic(build / "resolve") as directory:
            for unit in plan.units:
                write_new(directory / "normal" / f"{unit.path}.dhallb", forms.units[unit])
                report.advance("resolve")
            for digest in closure.frozen_entries():
                write_new(directory / "cache" / _entry_name(digest), _cached(cache, digest))
            write_closure(closure, directory / "closure.json")
    report.done("resolve", summary=f"{len(plan.units)} units, {len(closure.imports)} imports")
    return closure


def _entry_paths(plan: Plan, unit: Unit) -> list[str]:
    values = plan.config.environments[unit.environment].values
    entry = plan.application(unit).entry
    return [entry] if values is None else [entry, values]


def unit_expression(plan: Plan, unit: Unit) -> str:
    """The Dhall expression of a unit: its entry, applied to the environment's values where it has some."""
    return " ".join(_quote(path) for path in _entry_paths(plan, unit))


def _quote(path: str) -> str:
    """A path relative to the root as a Dhall import. Raises RenderError for one that Dhall cannot write."""
    if not path.isprintable() or '"' in path:
        raise RenderError(
            f"{path!r} cannot be imported by Dhall",
            where=Location(file=path),
            hint='give the file a name of printable characters, without "',
        )
    return "./" + "/".join(part if _PLAIN.fullmatch(part) else f'"{part}"' for part in path.split("/"))


@contextmanager
def _fresh_cache(build: Path) -> Iterator[Path]:
    """A cache of this run's own. An older one could hide a local import: Dhall does not read what a hash gives it."""
    build.mkdir(parents=True, exist_ok=True)
    for abandoned in build.glob(f"{_CACHE_PREFIX}*"):
        with _locked(abandoned) as locked:
            if locked:
                shutil.rmtree(abandoned, ignore_errors=True)
    path = Path(tempfile.mkdtemp(prefix=_CACHE_PREFIX, dir=build))
    with _locked(path):
        try:
            (path / "dhall").mkdir()
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Hold a lock on a folder; False where another process has it. The lock of a killed process is gone with it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        locked = True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            locked = False
        yield locked
    finally:
        os.close(descriptor)


def _entry_name(digest: Digest) -> str:
    """The file name of a cache entry: a multihash (0x12 SHA-256, 0x20 bytes) in hex."""
    return "1220" + digest.hex


def _seed(cache: Path, discovery: Discovery, seeds: Sequence[Path]) -> None:
    """Copy the entries that remote imports demand. One whose bytes have another digest is as good as not there."""
    for digest in sorted({item.digest for _, item in discovery.remotes() if item.digest}):
        for seed in seeds:
            try:
                content = (seed / _entry_name(digest)).read_bytes()
            except OSError:
                continue
            if Digest.of(content) == digest:
                (cache / "dhall" / _entry_name(digest)).write_bytes(content)
                break


def _cached(cache: Path, digest: Digest) -> bytes:
    path = cache / "dhall" / _entry_name(digest)
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise RenderError(f"Dhall left no cache entry for {digest}") from error
    if Digest.of(content) != digest:
        raise RenderError(f"Dhall's cache entry for {digest} has other bytes")
    return content


class _Entry:
    """Looks for the cache entry that begins with `head`. Dhall puts an entry in place whole, by a rename."""

    def __init__(self, cache: Path, head: bytes) -> None:
        self.directory = cache / "dhall"
        self.head = head
        self.others: set[str] = set()
        self.digest: Digest | None = None

    def found(self) -> bool:
        for name in {path.name for path in self.directory.glob("1220*")} - self.others:
            with (self.directory / name).open("rb") as file:
                if file.read(len(self.head)) == self.head:
                    self.digest = Digest.from_hex(name.removeprefix("1220"))
                    return True
            self.others.add(name)
        return False


@dataclass(frozen=True, slots=True)
class _Forms:
    """What one run of Dhall normalised."""

    units: Mapping[Unit, bytes]
    """The encoded normal forms."""
    files: Mapping[File, Digest]
    """The semantic hashes of local imports."""


class _Run:
    """The state of one call of `resolve`."""

    def __init__(self, *, plan: Plan, root: Path, dhall: Dhall, cache: Path, discovery: Discovery) -> None:
        self.plan = plan
        self.root = root
        self.dhall = dhall
        self.cache = cache
        self.discovery = discovery

    async def _dhall(self, *arguments: str, source: str, until: Callable[[], bool] | None = None) -> bytes:
        """Run Dhall on `source`, which holds all units; its standard output. Raises the RenderError of the unit at
        fault."""
        try:
            outcome = await self.dhall.run(
                *arguments, source=source, directory=self.root, cache=self.cache, until=until
            )
        except RenderError as error:  # A limit is hit.
            raise await self._culprit() or error from error
        if outcome.status != 0:
            remotes = self.discovery.remotes()
            raise await self._culprit() or render_error(outcome.stderr, root=self.root, remotes=remotes)
        return outcome.stdout

    async def evaluate(self) -> tuple[Graph, _Forms]:
        """Dhall's own graph of the imports, and the normal forms of all units and local imports.

        Dhall is run for both at a time. Only where an import has an alternative must the graph come first: a file that
        is not taken need not be sound.
        """
        if self.discovery.has_alternatives():
            graph = await self._graph()
            taken = {self._file(node) for node in self._reachable(graph) if node.local and node.mode != "location"}
            return graph, await self._normalise(sorted(taken & self.discovery.files.keys()))
        failures: list[Error] = []
        graphs: list[Graph] = []
        forms: list[_Forms] = []

        async def keep(results: list[_T], work: Callable[[], Awaitable[_T]]) -> None:
            try:
                results.append(await work())
            except Error as error:
                failures.append(error)

        async with anyio.create_task_group() as group:
            group.start_soon(keep, graphs, self._graph)
            group.start_soon(keep, forms, partial(self._normalise, sorted(self.discovery.files)))
        if failures:
            raise failures[0]
        return graphs[0], forms[0]

    async def _graph(self) -> Graph:
        fields = [f"u{index} = {unit_expression(self.plan, unit)}" for index, unit in enumerate(self.plan.units)]
        return parse_dot((await self._dhall("resolve", "--dot", source=_record(fields))).decode())

    def check(self, graph: Graph) -> frozenset[Node]:
        """The imports that took part; what Dhall says must agree with what the scan found."""
        nodes = frozenset(node for node in self._reachable(graph) if node.mode != "location")
        frozen = {(item.target, item.digest) for _, item in self.discovery.remotes()}
        for node in sorted(nodes, key=_id):
            if node.remote:
                known = (node.target, node.digest) in frozen
            else:
                known = node.local and self._file(node) in self.discovery.files
            if not known:
                raise RenderError(
                    f"Dhall imports {_id(node)}, which no scan of the sources showed",
                    hint="this is a defect of dhallmark: report it with the line that holds the import",
                )
        return nodes

    def _reachable(self, graph: Graph) -> frozenset[Node]:
        """Dhall's own nodes, and what stands below frozen local imports that it took from its cache.

        The cache is fresh, so that happens only where two files have the same hash: the second is not read.
        """
        nodes = set(graph.reachable())
        pending = [node for node in nodes if node.local and node.digest and not graph.children(node)]
        while pending:
            for file in self.discovery.children(self._file(pending.pop()).path):
                node = Node(f"./{file.path}", file.mode)
                if node not in nodes:
                    nodes.add(node)
                    pending.append(node)
        return frozenset(nodes)

    @staticmethod
    def _file(node: Node) -> File:
        return File(node.target.removeprefix("./"), node.mode)

    async def _normalise(self, files: Sequence[File]) -> _Forms:
        """All units and `files` in one expression, out of the cache file that it leaves."""
        units = [[File(path) for path in _entry_paths(self.plan, unit)] for unit in self.plan.units]
        # Each import is bound once: Dhall checks the type of what stands in its place, and that can be megabytes.
        bound = {file: f"i{index}" for index, file in enumerate(sorted({*files, *chain(*units)}))}
        lets = [f"let {name} = {_quote(file.path)}{_SUFFIX[file.mode]}" for file, name in bound.items()]
        expressions = [" ".join(bound[file] for file in unit) for unit in units] + [bound[file] for file in files]
        # Names that no source can hold, so that they can be found in the encoding.
        prefix = f"n{secrets.token_hex(16)}"
        names = cbor.field_names(prefix, len(expressions))
        fields = [f"{name} = {expression}" for name, expression in zip(names, expressions, strict=True)]
        source = "\n".join([*lets, f"in {_record(fields)}"])
        # Dhall writes the entry after all its checks. Then it encodes and hashes all of it once more, to print the
        # name that the entry has: a fifth of the whole run, which is not waited for.
        entry = _Entry(self.cache, cbor.record_head(names))
        await self._dhall("hash", "--cache", source=source, until=entry.found)
        if not entry.found() or entry.digest is None:
            raise RenderError("Dhall left no cache entry of the release's normal form", hint="is the disk full?")
        encoded = _cached(self.cache, entry.digest)
        forms = cbor.split_record(encoded, names, prefix=prefix, what="the release's normal form")
        count = len(self.plan.units)
        return _Forms(
            dict(zip(self.plan.units, forms[:count], strict=True)),
            {file: Digest.of(form) for file, form in zip(files, forms[count:], strict=True)},
        )

    async def _culprit(self) -> RenderError | None:
        """The error of the first unit that fails alone."""
        for unit in self.plan.units:
            entry = Location(file=self.plan.application(unit).entry, field=f"applications.{unit.application}.entry")
            source = unit_expression(self.plan, unit)
            try:
                outcome = await self.dhall.run("hash", source=source, directory=self.root, cache=self.cache)
            except RenderError as error:
                return RenderError(f"{unit.path}: {error.message}", where=entry, hint=error.hint)
            if outcome.status != 0:
                found = render_error(outcome.stderr, root=self.root, unit=unit.path, remotes=self.discovery.remotes())
                if found.where is None:
                    # The position is in the expression of `unit_expression`: entry and values do not fit together.
                    found.where = entry
                    found.hint = found.hint or (
                        "the entry must be a function from the environment's values to a list of objects"
                    )
                return found
        return None

    def closure(self, graph: Graph, nodes: frozenset[Node], forms: _Forms) -> Closure:
        """The record. A file that is imported both with and without a hash is one import, and frozen."""
        found: dict[str, Import] = {}
        for node in sorted(nodes, key=lambda node: (_id(node), node.digest or "")):
            imports = {_id(child) for child in graph.children(node) if child in nodes and not node.remote}
            if node.local:
                imports |= self._hidden(graph, node)
            # Dhall has checked a hash that pins an import; the others are those of what it normalised.
            semantic = node.digest or forms.files[self._file(node)]
            item = Import(
                id=_id(node),
                kind="remote" if node.remote else "local",
                path=None if node.remote else self._file(node).path,
                url=node.target if node.remote else None,
                mode=node.mode if node.mode != "location" else "code",
                sha256=semantic if node.remote else self.discovery.files[self._file(node)],
                semantic_hash=semantic,
                frozen=node.digest is not None,
                imports=tuple(sorted(imports)),
            )
            other = found.get(item.id)
            if other is not None:
                if other.semantic_hash != item.semantic_hash:
                    raise RenderError(f"{item.id} is imported with two different hashes", hint="freeze it once more")
                item = item.model_copy(
                    update={
                        "frozen": item.frozen or other.frozen,
                        "imports": tuple(sorted({*item.imports, *other.imports})),
                    }
                )
            found[item.id] = item
        units = tuple(
            UnitRecord(
                environment=unit.environment,
                application=unit.application,
                entries=tuple(_entry_paths(self.plan, unit)),
                semantic_hash=Digest.of(forms.units[unit]),
            )
            for unit in self.plan.units
        )
        return Closure(dhall=self.dhall.version, imports=tuple(found[name] for name in sorted(found)), units=units)

    def _hidden(self, graph: Graph, node: Node) -> set[str]:
        """What a frozen local import imports, where Dhall took it from the cache (see `_reachable`)."""
        if node.digest is None or graph.children(node):
            return set()
        path = self._file(node).path
        return {_id(Node(f"./{file.path}", file.mode)) for file in self.discovery.children(path)}


def _id(node: Node) -> str:
    """How closure.json names an import."""
    return node.target.removeprefix("./") + _SUFFIX[node.mode]


def _record(fields: Sequence[str]) -> str:
    return "{ " + "\n, ".join(fields) + "\n}\n"
