"""From what an auditor names to audits: references, whole repositories, image layouts and deploy trees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from dhallmark.audit.audit import Options, order_of
from dhallmark.audit.inventory import read_tree, with_registry
from dhallmark.audit.many import AT_ONCE, Gather, audit_all
from dhallmark.audit.materials import Materials
from dhallmark.audit.model import Audit, Sameness
from dhallmark.audit.rebuilder import Key, Order, Rebuilder, prepare
from dhallmark.audit.state import State
from dhallmark.audit.subject import Subject, layout_subject, registry_subject
from dhallmark.errors import UsageError
from dhallmark.oci.concurrently import concurrently
from dhallmark.oci.store import LayoutStore
from dhallmark.progress import Progress
from dhallmark.report.records import VerdictRecord
from dhallmark.verdict import Check, Verdict
from dhallmark.verify.judge import Judge
from dhallmark.verify.reference import Reference, Registries, list_repository
from dhallmark.verify.refusal import Refusal
from dhallmark.verify.target import LayoutTarget, ReferenceTarget
from dhallmark.verify.targets import parse_target


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is to be audited, and by what."""

    words: tuple[str, ...] = ()
    inventory: Path | None = None
    """A deploy tree."""
    judge: Judge | None = None
    """None where statements are not looked at."""
    options: Options = field(default_factory=Options)
    subject_name: str = ""
    plain_http: bool = False
    registry_ca: Path | None = None
    at_once: int = AT_ONCE

    async def run(
        self, rebuilder: Rebuilder, *, state: State | None = None, progress: Progress | None = None
    ) -> tuple[tuple[Audit, ...], tuple[Check, ...]]:
        """All audits, and the checks that are about the deploy tree as a whole. Raises UsageError, InputError."""
        async with Registries(plain_http=self.plain_http, ca=self.registry_ca) as registries:
            work, failed, checks = await self._work(registries)
            found = await audit_all(
                work, rebuilder, self.options, state=state, at_once=self.at_once, progress=progress
            )  # fmt: skip
            return (*failed, *found), checks

    async def prepare(self, into: Path, seeds: tuple[Path, ...]) -> tuple[str, ...]:
        """Write what has to be rebuilt below `into`, a folder each; their names. Raises UsageError, InputError.

        Audits that end before a rebuild have no folder; they end alike when they are done.
        """
        made: dict[str, None] = {}
        for key, materials, order in await self.orders():
            if key.folder not in made:
                try:
                    await anyio.to_thread.run_sync(prepare, into / key.folder, materials, order, seeds)
                except Refusal:
                    continue
                made[key.folder] = None
        return tuple(made)

    async def orders(self) -> Sequence[tuple[Key, Materials, Order]]:
        """What has to be rebuilt for everything that is named; each as often as it is asked for."""
        async with Registries(plain_http=self.plain_http, ca=self.registry_ca) as registries:
            work, _, _ = await self._work(registries)

            async def one(gather: Gather) -> tuple[Key, Materials, Order] | Audit:
                return await order_of(await gather(), self.options)

            found = await concurrently([partial(one, gather) for gather in work], limit=self.at_once)
        return [one for one in found if not isinstance(one, Audit)]

    async def _work(self, registries: Registries) -> tuple[list[Gather], list[Audit], tuple[Check, ...]]:
        """How to find out about everything that is named; what could not be listed; checks of the deploy tree."""
        work: list[Gather] = []
        failed: list[Audit] = []
        checks: tuple[Check, ...] = ()
        for word in self.words:
            target = parse_target(
                word, refer=lambda reference: ReferenceTarget(reference=reference, registries=registries)
            )
            if isinstance(target, LayoutTarget):
                work += self._layout(target.folder)
            elif isinstance(target, ReferenceTarget):
                references = await self._references(target.reference, registries)
                if isinstance(references, Verdict):
                    failed.append(_failed(references))
                else:
                    work += [
                        partial(registry_subject, one, registries, self.judge, name=self.subject_name)
                        for one in references
                    ]
            else:
                raise UsageError(
                    f"{word} is nothing that can be audited",
                    hint="name an artifact in a registry, oci://REGISTRY/REPOSITORY, an image layout, or --inventory",
                )
        if self.inventory is not None:
            inventory = await anyio.to_thread.run_sync(read_tree, self.inventory, self.judge)
            checks = inventory.checks
            work += [partial(_placed, chart, registries) for chart in inventory.charts]
        return work, failed, checks

    async def _references(self, reference: Reference, registries: Registries) -> Sequence[Reference] | Verdict:
        if not reference.is_repository:
            return [reference]
        return await list_repository(reference, registries)

    def _layout(self, folder: Path) -> list[Gather]:
        store = LayoutStore.open(folder)
        return [
            partial(
                layout_subject,
                store,
                one.digest,
                self.judge,
                subject=f"{folder}@{one.digest}",
                name=self.subject_name,
            )
            for one in store.artifacts
        ]


async def _placed(chart: Subject, registries: Registries) -> Subject:
    return await with_registry(chart, registries)


def _failed(verdict: Verdict) -> Audit:
    """What could not even be listed, as an audit."""
    return Audit(
        subject=verdict.subject,
        sameness=Sameness.UNKNOWN,
        verdict=VerdictRecord.model_validate(verdict.to_json()),
    )
