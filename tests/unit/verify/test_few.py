"""Few verdicts without an event loop: the same ones, in the same order."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from dhallmark.reasons import Reason
from dhallmark.verify.basis import TreeTarget
from dhallmark.verify.batch import verify_many
from dhallmark.verify.crew import Crew
from dhallmark.verify.few import FEW, are_few, files_are_many, verify_few
from dhallmark.verify.files import FileTarget
from dhallmark.verify.judged import Judged
from dhallmark.verify.target import FolderTarget, LayoutTarget, ListTarget, Target

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


@pytest.mark.parametrize(
    ("files", "listed", "many"),
    [(0, 0, False), (FEW, FEW, False), (FEW + 1, 0, True), (0, FEW + 1, True)],
)
def test_processes_are_made_ready_for_many_files_on_the_disk(
    tmp_path: Path, files: int, listed: int, *, many: bool
) -> None:
    """Neither a folder's bundles count, nor what must be asked for, nor a folder that is not there."""
    for number in range(files):
        (tmp_path / f"sub-{number % 2}").mkdir(exist_ok=True)
        for name in (f"{number}", f"{number}.sigstore.json", f"{number}.other.sigstore.json"):
            (tmp_path / f"sub-{number % 2}" / name).touch()
    layouts = [LayoutTarget(tmp_path)] * (FEW + 1)
    folders = [FolderTarget(tmp_path), FolderTarget(tmp_path / "missing")]
    assert files_are_many([ListTarget("list", listed, []), *folders, *layouts]) == many
