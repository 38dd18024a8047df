"""in-toto links: what a step read, ran and wrote.

The recording is in-toto's own (`in_toto.runlib.in_toto_run`); this module chooses what is recorded, so that the same
commit gives the same bytes in any folder, for any user:

- names are relative to the project, or start with `build/` (`dhallmark.steps.artifacts`);
- the command is recorded in its canonical form, without the paths of this machine;
- neither output nor environment is recorded.

`in-toto-run` itself gives the same link when it runs the canonical command in the project's folder.
Source: in-toto specification 1.0, 4.4 "File formats: [name].[KEYID-PREFIX].link".
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from in_toto.runlib import in_toto_run

from dhallmark import strictjson
from dhallmark.digest import Digest
from dhallmark.errors import ExitCode, FormatError, InputError, Location, ToolError
from dhallmark.files import write_atomic
from dhallmark.steps.artifacts import (
    BUILD,
    FOLDER,
    NO_EXCLUDES,
    Hashes,
    hash_names,
    keep_locale,
    list_names,
    open_view,
    require_all,
    require_covered,
)
from dhallmark.steps.relay import relay

STEPS = ("resolve", "render", "package", "publish")
"""The recorded steps of a release, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One recorded step."""

    name: str
    command: tuple[str, ...]
    materials: Hashes
    """Name to digest set; exactly `sha256`."""
    products: Hashes
    byproducts: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """The payload that is signed, in its one encoding."""
        return strictjson.dump_compact(
            {
                "_type": "link",
                "name": self.name,
                "command": list(self.command),
                "materials": self.materials,
                "products": self.products,
                "byproducts": self.byproducts,
                "environment": self.environment,
            }
        )

    @classmethod
    def parse(cls, payload: bytes, *, file: str = "link") -> Link:
        """Read a link. Raises FormatError for anything that is not one, or that holds other digests than SHA-256."""
        body = strictjson.parse(payload, what=file)
        if not isinstance(body, dict) or body.get("_type") != "link":
            raise FormatError("not an in-toto link", where=Location(file=file))
        unknown = body.keys() - {"_type", "name", "command", "materials", "products", "byproducts", "environment"}
        if unknown:
            raise FormatError("a link has no such field", where=Location(file=file, field=min(unknown)))
        name, command = body.get("name"), body.get("command")
        if not isinstance(name, str) or not name:
            raise FormatError("must be a non-empty string", where=Location(file=file, field="name"))
        if not isinstance(command, list) or not all(isinstance(word, str) for word in command):
            raise FormatError("must be a list of strings", where=Location(file=file, field="command"))
        return cls(
            name=name,
            command=tuple(command),
            materials=_hashes(body, "materials", file=file),
            products=_hashes(body, "products", file=file),
            byproducts=_object(body, "byproducts", file=file),
            environment=_object(body, "environment", file=file),
        )


def record_step(
    name: str,
    command: Sequence[str],
    *,
    materials: Sequence[str],
    products: Sequence[str],
    build: Path,
    root: Path | None = None,
    covered: Sequence[str] = (),
    recorded_command: Sequence[str] | None = None,
    used: Callable[[], Collection[str]] | None = None,
    write: Callable[[str], object] = sys.stderr.write,
) -> bytes:
    """Run `command` as the step `name` and return its link's payload; write it to `links/<name>.link` of `build`.

    `materials` and `products` are names of files and folders: relative to the project `root` (the folder that holds
    `build`, where it is not given), or `build/…`, or `dir:…` for a folder as one artifact. The folders `covered` must
    hold nothing that is no product. `recorded_command` stands in the link in place of `command`. `used`
    is called when the command has ended, and says which of the materials it read; the others are left out.
    What the command prints to standard error goes to `write` as it comes; its standard output is dropped.

    Not for use from several threads: in-toto keeps its resolvers in a global. Raises InputError for a file that must
    not or cannot be recorded, or a material that changed meanwhile; ToolError, with the exit code of `command` where
    it is one of dhallmark's, where `command` fails. Then no link is written, and an older one is gone.
    """
    file = build / "links" / f"{name}.link"
    file.unlink(missing_ok=True)
    with open_view(root or build.resolve().parent, build) as view:
        before = list_names(view, materials)
        with keep_locale(), relay(write) as listener:
            try:
                metadata = in_toto_run(
                    name,
                    [view.uri(material) for material in materials],
                    _Present(view.uri(product) for product in products),
                    listener.wrap(command),
                    exclude_patterns=NO_EXCLUDES,
                    lstrip_paths=view.prefixes,
                    timeout=None,
                )
            except OSError as error:
                raise ToolError(f"step {name}: {error.strerror or error}", command=tuple(command)) from error
        recorded = metadata.get_payload()
        status = recorded.byproducts["return-value"]
        if status != 0:
            raise _failed(name, recorded_command or command, status=status, stderr=listener.tail)
        require_all(before, recorded.materials)
        require_all(list_names(view, products), recorded.products)
        for folder in covered:
            require_covered(view, folder, recorded.products)
        kept = _only(recorded.materials, used()) if used else recorded.materials
        _require_unchanged(kept, hash_names(view, sorted(kept)))
    link = Link(
        name=name,
        command=tuple(recorded_command or command),
        materials=kept,
        products=recorded.products,
        byproducts=recorded.byproducts,
        environment=recorded.environment,
    )
    write_atomic(file, link.to_bytes())
    return link.to_bytes()


class _Present(list[str]):
    """URIs of products, without the folders that are not there when in-toto comes to record them.

    It passes over a file that is missing, but not over a folder: a command that failed would be met with that.
    """

    def __iter__(self) -> Iterator[str]:
        return (
            uri for uri in super().__iter__() if not uri.startswith(FOLDER) or Path(uri.removeprefix(FOLDER)).is_dir()
        )


def read_links(build: Path) -> tuple[Link, ...]:
    """The links of all STEPS of a build directory, in order. Raises FormatError where one is missing or malformed."""
    return tuple(read_link(build, step) for step in STEPS)


def read_link(build: Path, step: str) -> Link:
    """The link of one step of a build directory. Raises FormatError where it is missing, malformed or another's."""
    file = build / "links" / f"{step}.link"
    try:
        content = file.read_bytes()
    except FileNotFoundError as error:
        raise FormatError(
            "this step has not been recorded", where=Location(file=str(file)), hint=f"run `dhallmark step {step}`"
        ) from error
    link = Link.parse(content, file=str(file))
    if link.name != step:
        raise FormatError(f"holds the link of step {link.name!r}", where=Location(file=str(file)))
    return link


def merge_links(links: Sequence[Link], *, whole: Hashes | None = None) -> Link:
    """The links of one step in several shards as the link of the undivided step.

    Materials and products are united. What no shard has as a whole, such as an index of everything, has another
    content in each or is made when they are merged: `whole` gives its digests in the merged build directory. A
    material of such a name is taken from there, and each of them that the step makes is a product.
    Raises FormatError where the shards disagree on anything else.
    """
    if not links:
        raise FormatError("there is no link to merge")
    first = links[0]
    file = f"links/{first.name}.link"
    for link in links[1:]:
        for what in ("name", "command", "byproducts", "environment"):
            if getattr(link, what) != getattr(first, what):
                raise FormatError(
                    f"the shards have different links of one step: {what}",
                    where=Location(file=file, field=what),
                    hint="merge shards of one release, made by one version of dhallmark",
                )
    whole = whole or {}
    folder = f"{BUILD}/{first.name}/"
    made = {name: digests for name, digests in whole.items() if name.removeprefix(FOLDER).startswith(folder)}
    return Link(
        name=first.name,
        command=first.command,
        materials=_unite((link.materials for link in links), whole, file=file),
        products=_unite((link.products for link in links), whole, file=file) | made,
        byproducts=first.byproducts,
        environment=first.environment,
    )


def _unite(parts: Iterable[Hashes], whole: Hashes, *, file: str) -> dict[str, Mapping[str, str]]:
    merged: dict[str, Mapping[str, str]] = {}
    for part in parts:
        for name, digests in part.items():
            if name in whole:
                merged[name] = whole[name]
            elif merged.setdefault(name, digests) != digests:
                raise FormatError(
                    "the shards have different files of this name",
                    where=Location(file=file, field=name),
                    hint="make all shards from one commit, with one version of each tool",
                )
    return merged


def _only(materials: Hashes, used: Collection[str]) -> dict[str, Mapping[str, str]]:
    for name in sorted(used):
        if name not in materials:
            raise InputError(
                "the step read a file that is not among its materials",
                where=Location(file=name),
                hint="a source that Git ignores or that lies outside the project cannot be released; move it",
            )
    return {name: materials[name] for name in used}


def _require_unchanged(before: Hashes, after: Hashes) -> None:
    for name, digests in before.items():
        if after[name] != digests:
            raise InputError(
                "the file changed while the step that reads it was running",
                where=Location(file=name),
                hint="let nothing else write to the project during a release, and run the step again",
            )


def _failed(name: str, command: Sequence[str], *, status: int, stderr: str) -> ToolError:
    error = ToolError(
        f"step {name}: `{' '.join(command)}` ended with {status}; see what it printed above",
        command=tuple(command),
        status=status,
        stderr=stderr,
    )
    # The step's own failure says what kind of failure this is.
    with suppress(ValueError):
        error.exit_code = ExitCode(status)
    return error


def _hashes(body: Mapping[str, Any], key: str, *, file: str) -> dict[str, dict[str, str]]:
    found = _object(body, key, file=file)
    for name, digests in found.items():
        if not isinstance(digests, dict) or digests.keys() != {"sha256"} or not isinstance(digests["sha256"], str):
            raise FormatError(
                "must have a sha256 digest, and no other", where=Location(file=file, field=f"{key}.{name}")
            )
        Digest.from_hex(digests["sha256"])
    return found


def _object(body: Mapping[str, Any], key: str, *, file: str) -> dict[str, Any]:
    value = body.get(key)
    if not isinstance(value, dict):
        raise FormatError("must be an object", where=Location(file=file, field=key))
    return value
