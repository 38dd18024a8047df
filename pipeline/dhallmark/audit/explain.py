"""Why is it not reproducible? Two rebuilds with one change of surroundings between them, one change after the other.

A change that makes a difference is named, with the files that it made differ. The first comparison changes nothing but
the time: a build that differs with it differs by the clock or by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from dhallmark.audit.conditions import Conditions, Variation, variations
from dhallmark.audit.sealed import Rebuild, rebuild_sealed
from dhallmark.config.model import Model
from dhallmark.digest import Digest
from dhallmark.progress import Progress, Silent
from dhallmark.reasons import Reason
from dhallmark.verify.refusal import Refusal

_PARTS: Final = ("resolve", "render", "package")
"""Of a build directory: in the order in which they are made."""
_PAUSE: Final = 2.1
"""Seconds between two rebuilds of which only the time is to differ, where the clock cannot be set."""
_MAX_FILES: Final = 20


class Finding(Model):
    """What one change of surroundings did."""

    variation: str
    changed: str
    """What was changed, from what to what."""
    matters: bool
    step: str = ""
    """The first step whose output differs: `resolve`, `render` or `package`."""
    files: tuple[str, ...] = ()
    """The files of that step that differ, the first twenty."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Made:
    """The files of a rebuild, by their path in the build directory."""

    files: dict[str, Digest]

    @classmethod
    def of(cls, rebuild: Rebuild) -> _Made:
        build = rebuild.build
        return cls(
            {
                path.relative_to(build).as_posix(): Digest.of_file(path)
                for part in _PARTS
                for path in sorted((build / part).rglob("*"))
                if path.is_file()
            }
        )


async def explain(
    work: Path,
    into: Path,
    *,
    config: str,
    epoch: int,
    base: Conditions | None = None,
    progress: Progress | None = None,
) -> tuple[Finding, ...]:
    """Rebuild from `work` (`source/` and `cache/`) once for each variation; `into` is a folder for what is made.

    Refuses where the first rebuild fails; one that fails under a variation is a finding.
    """
    base = base or Conditions()
    report = progress or Silent()
    changes = variations(base)
    report.start("explain", total=len(changes) + 1)
    first = await rebuild_sealed(work, into / "base", config=config, epoch=epoch, conditions=base)
    before = await anyio.to_thread.run_sync(_Made.of, first)
    report.advance("explain")
    found: list[Finding] = []
    by_chance = False
    for number, change in enumerate(changes):
        if change.conditions == base:
            await anyio.sleep(_PAUSE)
        finding = await _vary(work, into / str(number), change, base, before, config=config, epoch=epoch)
        if change.name == "time":
            by_chance = finding.matters
        elif by_chance and finding.matters:
            note = "the time matters already, so that nothing follows for this one"
            finding = finding.model_copy(update={"note": note})
        found.append(finding)
        report.advance("explain")
    report.done("explain", summary=said(found))
    return tuple(found)


async def _vary(
    work: Path, into: Path, change: Variation, base: Conditions, before: _Made, *, config: str, epoch: int
) -> Finding:
    changed = _changed(base, change)
    try:
        made = await rebuild_sealed(work, into, config=config, epoch=epoch, conditions=change.conditions)
    except Refusal as refusal:
        if refusal.reason is Reason.ISOLATION_UNAVAILABLE:
            raise
        return Finding(
            variation=change.name, changed=changed, matters=True, note=f"the rebuild fails: {refusal.detail}"
        )
    after = await anyio.to_thread.run_sync(_Made.of, made)
    differing = [
        name
        for name in sorted(before.files.keys() | after.files.keys())
        if before.files.get(name) != after.files.get(name)
    ]
    step = next((part for part in _PARTS if any(name.startswith(f"{part}/") for name in differing)), "")
    files = tuple(name for name in differing if name.startswith(f"{step}/"))[:_MAX_FILES]
    return Finding(
        variation=change.name, changed=changed, matters=bool(differing), step=step, files=files, note=change.note
    )


def _changed(base: Conditions, change: Variation) -> str:
    one, other = base.model_dump(), change.conditions.model_dump()
    told = [f"{name}: {one[name]} → {other[name]}" for name in one if one[name] != other[name]]
    return ", ".join(told) or "nothing but the time"


def said(findings: Sequence[Finding]) -> str:
    """What matters, in a few words."""
    names = [finding.variation for finding in findings if finding.matters]
    return f"what matters: {', '.join(names)}" if names else f"none of {len(findings)} changes matters"
