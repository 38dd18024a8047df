"""Rebuilds, each made once however many artifacts it is for, and kept where an audit that was killed finds it again."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import anyio
import anyio.to_thread
from pydantic import Field

from dhallmark import strictjson
from dhallmark.audit.conditions import Conditions
from dhallmark.audit.materials import Materials, complete_cache
from dhallmark.audit.rebuilt import Rebuilt
from dhallmark.audit.sealed import Rebuild, rebuild_sealed
from dhallmark.config.model import Model
from dhallmark.errors import Error, FormatError, InputError, RenderError
from dhallmark.files import write_atomic
from dhallmark.package.chart import regular_files
from dhallmark.reasons import Reason
from dhallmark.record import Record, parse_record
from dhallmark.render.causes import reason_of
from dhallmark.verify.refusal import Refusal

DONE: Final = "rebuild.json"
"""Stands in a rebuild's folder once it is whole."""
ORDER: Final = "order.json"
"""What is to be rebuilt, for who does it elsewhere."""


class Order(Record):
    """What is to be rebuilt: the materials are in `source/` and `cache/` beside it."""

    config: str
    """Path of `dhallmark.yaml` in the source."""
    epoch: int
    """Seconds since 1970."""
    image: str = ""
    """The image that the build ran in, where it is recorded."""
    tools: dict[str, str] = Field(default_factory=dict)
    """The recorded versions."""


class _Done(Record):
    build: str
    tools: dict[str, str]
    conditions: dict[str, str]
    image: str = ""
    sealed: bool = True
    attempts: int | None = None


class Key(Model):
    """What makes two rebuilds the same."""

    materials: str
    """Digest of the bundle, or the commit."""
    config: str
    epoch: int
    image: str = ""

    @property
    def folder(self) -> str:
        """A name for a folder of its own."""
        text = f"{self.materials}\n{self.config}\n{self.epoch}\n{self.image}"
        return hashlib.sha256(text.encode()).hexdigest()[:24]


class Rebuilder(Protocol):
    """Makes a rebuild, or finds it."""

    async def rebuild(self, key: Key, materials: Materials, order: Order) -> Rebuilt:
        """The rebuild from `materials`. Refuses where there is none."""
        ...


@dataclass(slots=True)
class SealedRebuilder:
    """Rebuilds with this installation, in namespaces without a network."""

    work: Path
    """Where rebuilds are kept."""
    conditions: Conditions = field(default_factory=Conditions)
    seeds: tuple[Path, ...] = ()
    """Folders of Dhall cache entries."""
    _known: dict[str, Rebuilt | Refusal] = field(default_factory=dict)
    _locks: defaultdict[str, anyio.Lock] = field(default_factory=lambda: defaultdict(anyio.Lock))

    async def rebuild(self, key: Key, materials: Materials, order: Order) -> Rebuilt:
        """Rebuild, unless that was done before. A failure is remembered, too."""
        name = key.folder
        async with self._locks[name]:
            if name not in self._known:
                try:
                    self._known[name] = await self._rebuild(self.work / name, materials, order)
                except Refusal as refusal:
                    self._known[name] = refusal
        found = self._known[name]
        if isinstance(found, Refusal):
            raise found
        return found

    async def _rebuild(self, folder: Path, materials: Materials, order: Order) -> Rebuilt:
        known = _load(folder)
        if known is not None:
            return known
        await anyio.to_thread.run_sync(prepare, folder, materials, order, self.seeds)
        # What a killed run left is of no use; each new one has a folder of its own until it is whole.
        output = Path(tempfile.mkdtemp(prefix="out-", dir=folder)) / "rebuilt"
        found = await rebuild_sealed(
            folder, output, config=order.config, epoch=order.epoch, conditions=self.conditions
        )  # fmt: skip
        rebuilt = read_rebuilt(found)
        done = _Done(
            build=str(found.build.relative_to(folder)),
            tools=dict(found.tools),
            conditions=dict(found.conditions),
            attempts=found.attempts,
        )
        write_atomic(folder / DONE, strictjson.dump(done.to_json()))
        return rebuilt


def prepare(folder: Path, materials: Materials, order: Order, seeds: tuple[Path, ...]) -> None:
    """Write materials and order into `folder`, anew. Refuses sources that no release may have, and missing imports."""
    if folder.exists():
        shutil.rmtree(folder)
    materials.write(folder)
    write_atomic(folder / ORDER, strictjson.dump(order.to_json()))
    try:
        complete_cache(folder, order.config, seeds)
    except RenderError as error:
        raise Refusal(reason_of(error.message), f"{error.where}: {error.message}") from error
    except InputError as error:
        raise Refusal(Reason.RENDER_INVALID, f"{error.where}: {error.message}") from error


def read_rebuilt(found: Rebuild) -> Rebuilt:
    """The records of a rebuild. Refuses what cannot be read, and links, which could lead to the auditor's files."""
    try:
        regular_files(found.build)
        return Rebuilt(found)
    except FormatError as error:
        raise Refusal(Reason.TOOL_UNAVAILABLE, f"the rebuild left no records that can be read: {error}") from error


def _load(folder: Path) -> Rebuilt | None:
    """A rebuild that is whole; None where there is none."""
    try:
        done = parse_record(_Done, (folder / DONE).read_bytes(), file=DONE)
        build = folder / done.build
        return Rebuilt(
            Rebuild(
                build=build, tools=done.tools, conditions=done.conditions, image=done.image, sealed=done.sealed,
                attempts=done.attempts,
            )
        )  # fmt: skip
    except (OSError, Error):
        return None
