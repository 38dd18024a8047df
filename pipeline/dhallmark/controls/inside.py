"""What a consumer's own process does in a judgement: asks about the good artifact, the mutant, and the good one again.

Everything around it (namespaces, root file system, registry, limits) was made by `dhallmark.controls.judgement` before.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from dhallmark.consumer import Consumer, Target, at_work
from dhallmark.control import Kind
from dhallmark.controls.case import GOOD, MUTANT, Case, Side
from dhallmark.controls.consumers.files import examine_files
from dhallmark.controls.registry import TAG
from dhallmark.digest import Digest
from dhallmark.verdict import Verdict

BEFORE: Final = "before"
AFTER: Final = "after"
ASKED: Final = (BEFORE, MUTANT, AFTER)
VERSION: Final = "version"

Say = Callable[[Mapping[str, object]], None]


async def judge(
    case: Case, folder: Path, consumer: Consumer, *, host: str, scratch: Path, configuration: Path | None, say: Say
) -> None:
    """Ask `consumer` about both sides of the case in `folder`, of which artifacts are served at `host`.

    `say` takes each answer as soon as it is there.
    """
    say({VERSION: consumer.version})
    async with at_work(consumer) as asked:
        for when in ASKED:
            name, digest = (MUTANT, case.mutant) if when == MUTANT else (GOOD, case.good)
            side = Side(folder / name)
            _enter(scratch / f"{when}-directory", side)
            if case.kind is not Kind.ARTIFACT:
                say({when: _answer(await examine_files(case.kind, side))})
                continue
            target = Target(
                repository=f"{host}/{name}",
                digest=Digest(digest or ""),
                tag=TAG if case.by_tag else "",
                trusted_root=side.trusted_root,
                policy=side.policy,
                subject_name=case.subject_name,
                plain_http=True,
                configuration=configuration,
            )
            say({when: _answer(await asked.verify(target))})


def _enter(directory: Path, side: Side) -> None:
    """Change to a new working directory, in which lies what the case says."""
    if side.working_directory.is_dir():
        shutil.copytree(side.working_directory, directory)
    else:
        directory.mkdir()
    os.chdir(directory)


def _answer(verdict: Verdict) -> dict[str, object]:
    reason = verdict.reason
    words = next((check.detail for check in verdict.walk() if check.reason is not None and check.reason is reason), "")
    return {"outcome": verdict.outcome.value, "reason": reason.value if reason else None, "words": words}
