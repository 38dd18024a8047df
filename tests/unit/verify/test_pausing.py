"""Verifications in step: each by itself, all of each, in the order of their items, with the verdicts of each alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from dhallmark.reasons import Reason
from dhallmark.verify import basis as module
from dhallmark.verify.basis import Item, TreeTarget, verdict_on, verdicts_on
from dhallmark.verify.files import FileTarget, gather_file
from dhallmark.verify.judge import Evidence
from dhallmark.verify.pausing import Pausing, alone, in_step

if TYPE_CHECKING:
    from tests.unit.verify.conftest import Instance, SignedFiles


def work(name: str, steps: int, seen: list[str]) -> Pausing[str]:
    for number in range(steps):
        seen.append(f"{name}{number}")
        yield
    seen.append(f"{name} ends")
    return name.upper()


def test_all_do_a_step_before_any_does_the_next() -> None:
    seen: list[str] = []
    assert in_step([work("a", 3, seen), work("b", 1, seen), work("c", 2, seen)]) == ["A", "B", "C"]
    assert seen == ["a0", "b0", "c0", "a1", "b ends", "c1", "a2", "c ends", "a ends"]
    assert in_step([]) == []


def test_alone_it_runs_to_its_end() -> None:
    seen: list[str] = []
    assert alone(work("a", 2, seen)) == "A"
    assert seen == ["a0", "a1", "a ends"]


def target(files: SignedFiles, name: str, *, bundle: str | None = None) -> FileTarget:
    path = files.folder / name
    return FileTarget(str(path), str(path), (str(files.folder / (bundle or f"{name}.sigstore.json")),))


@pytest.fixture
def mixed(signed_files: SignedFiles, stranger: Instance) -> list[Item]:
    """Good items among bad ones, of which no two are wrong in the same way."""
    for name in ("good", "better", "swapped"):
        signed_files.add(name)
    signed_files.add("about-another", about=b"other")
    (signed_files.folder / "garbled.sigstore.json").write_text("{")
    (signed_files.folder / "garbled").write_text("x")
    signed_files.add("forged", bundle="")
    forged = stranger.sign(b'{"_type":"https://in-toto.io/Statement/v1"}')
    (signed_files.folder / "forged.sigstore.json").write_text(json.dumps(forged))
    return [
        target(signed_files, "good"),
        target(signed_files, "about-another"),
        target(signed_files, "garbled"),
        target(signed_files, "missing"),
        target(signed_files, "forged"),
        TreeTarget(signed_files.folder),
        target(signed_files, "swapped", bundle="good.sigstore.json"),
        target(signed_files, "better"),
    ]


@pytest.mark.parametrize(("together", "held"), [(1, 2**30), (3, 2**30), (32, 2**30), (32, 1)])
def test_in_step_each_item_gets_the_verdict_that_it_gets_alone(
    signed_files: SignedFiles, mixed: list[Item], monkeypatch: pytest.MonkeyPatch, together: int, held: int
) -> None:
    monkeypatch.setattr(module, "TOGETHER", together)
    monkeypatch.setattr(module, "_HELD_BYTES", held)
    judge = signed_files.basis.judge()
    found = list(verdicts_on(mixed, judge))
    assert found == [verdict_on(item, judge) for item in mixed]
    assert [verdict.reason for verdict in found] == [
        None,
        Reason.SUBJECT_MISMATCH,
        Reason.BUNDLE_MALFORMED,
        Reason.FILE_UNREADABLE,
        Reason.STATEMENT_MALFORMED,
        found[5].reason,
        Reason.SUBJECT_MISMATCH,
        None,
    ]


def test_what_is_held_at_once_is_bounded(signed_files: SignedFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    signed_files.add("large", b"x" * 10_000)
    item = target(signed_files, "large")
    monkeypatch.setattr(module, "_HELD_BYTES", 30_000)
    gathered: list[int] = []

    def gather(item: FileTarget, *, stopped: Callable[[], bool]) -> Evidence:
        gathered.append(0)
        return gather_file(item, stopped=stopped)

    monkeypatch.setattr(module, "gather_file", gather)
    counts = [len(gathered) for _ in verdicts_on([item] * 20, signed_files.basis.judge())]
    assert len(counts) == 20
    assert all(read - given <= 3 for given, read in enumerate(counts))


def test_none_comes_once_nobody_waits(signed_files: SignedFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    signed_files.add("good")
    answers: Iterator[bool] = iter([False, False, False, *[True] * 100])
    monkeypatch.setattr(module, "TOGETHER", 1)
    found = list(
        verdicts_on([target(signed_files, "good")] * 50, signed_files.basis.judge(), stopped=lambda: next(answers))
    )
    assert len(found) < 3
