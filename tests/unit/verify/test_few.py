"""Few verdicts without an event loop: the same ones, in the same order."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from dhallmark.reasons import Reason
from dhallmark.verify.basis import TreeTarget
from dhallmark.verify.batch import verify_many
from dhallmark.verify.crew import Crew
from dhallmark.verify.few import FEW, are_few, verify_few
from dhallmark.verify.files import FileTarget
from dhallmark.verify.judged import Judged
from dhallmark.verify.target import FolderTarget, ListTarget, Target

if TYPE_CHECKING:
    from tests.unit.verify.conftest import SignedFiles


def test_few_verdicts_are_those_that_many_would_be(signed_files: SignedFiles, tmp_path: Path) -> None:
    good, bad = (signed_files.add(name, about=about) for name, about in (("good", b""), ("bad", b"other")))
    files = [FileTarget(subject=p.name, artifact=str(p), bundles=(f"{p}.sigstore.json",)) for p in (good, bad)]
    (tmp_path / "environments").mkdir()
    targets: list[Target] = [files[0], ListTarget("list", 2, files), ListTarget("empty", 0, []), TreeTarget(tmp_path)]
    assert are_few(targets)

    async def many() -> list[Judged]:
        async with Crew(signed_files.basis, workers=0) as crew:
            return [judged async for judged in verify_many(targets, crew)]

    found = list(verify_few(targets, signed_files.basis.judge()))
    assert found == sorted(anyio.run(many), key=lambda judged: judged.number)
    assert [judged.reason for judged in found] == [
        None,
        None,
        Reason.SUBJECT_MISMATCH,
        Reason.NOTHING_CHECKED,
        Reason.NOTHING_CHECKED,
    ]


def test_what_is_many_or_must_be_waited_for_is_not_few(tmp_path: Path) -> None:
    one = FileTarget(subject="x", artifact="x", bundles=())
    many: list[list[Target]] = [
        [FolderTarget(tmp_path)],
        [ListTarget("list", FEW, []), one],
        [one] * (FEW + 1),
    ]
    assert not any(are_few(targets) for targets in many)
    assert are_few([ListTarget("list", FEW, [])])
