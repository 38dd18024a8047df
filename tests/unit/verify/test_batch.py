"""Many verdicts in one run: the same ones in this process and in others, whatever becomes of those."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from dhallmark.digest import Digest
from dhallmark.oci.layout import LayoutWriter
from dhallmark.reasons import Reason
from dhallmark.verdict import Outcome, Verdict
from dhallmark.verify import crew as module
from dhallmark.verify.basis import TreeTarget
from dhallmark.verify.batch import CHUNK, verify_many
from dhallmark.verify.crew import Crew
from dhallmark.verify.files import FileTarget
from dhallmark.verify.judged import Judged
from dhallmark.verify.target import FolderTarget, LayoutTarget, ListTarget, Target

if TYPE_CHECKING:
    from tests.unit.verify.conftest import SignedFiles

pytestmark = pytest.mark.anyio
HUGE = 48 * 1024**3
"""Bytes of a file with nothing in it: hashing it takes far longer than any test."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def target(path: Path) -> FileTarget:
    return FileTarget(subject=path.name, artifact=str(path), bundles=(f"{path}.sigstore.json",))


async def judge(targets: Iterable[Target], crew: Crew) -> list[Verdict]:
    """The verdicts in the order of the targets."""
    with anyio.fail_after(60):
        found: list[Judged] = [judged async for judged in verify_many(targets, crew)]
    assert sorted(judged.number for judged in found) == list(range(len(found)))
    return [judged.verdict for judged in sorted(found, key=lambda judged: judged.number)]


async def staffed(crew: Crew) -> None:
    """Return once both processes of the crew run."""
    crew.expect(1)
    with anyio.fail_after(60):
        while len(crew.pids) < 2:  # noqa: ASYNC110 - they tell nobody
            await anyio.sleep(0.01)


def children() -> set[int]:
    """The processes that this one has started and that still run."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that has ended meanwhile
            found |= {int(pid) for pid in (task / "children").read_text().split()}
    return found


async def test_every_kind_of_target_gets_its_verdicts_in_order(signed_files: SignedFiles, tmp_path: Path) -> None:
    good, bad = signed_files.add("good"), signed_files.add("bad", about=b"other")
    folder = signed_files.folder / "folder"
    for name in ("folder/1", "folder/2"):
        signed_files.add(name)
    for name in ("layout", "empty", "tree/environments"):
        (tmp_path / name).mkdir(parents=True)
    LayoutWriter(tmp_path / "layout").finish()
    targets: list[Target] = [
        target(good),
        FolderTarget(folder),
        FolderTarget(tmp_path / "empty"),
        LayoutTarget(tmp_path / "layout"),
        TreeTarget(tmp_path / "tree"),
        ListTarget("list", 2, [target(bad), target(good)]),
        ListTarget("nothing", 0, []),
    ]
    told: list[int] = []
    async with Crew(signed_files.basis, workers=0) as crew:
        judged = sorted(
            [one async for one in verify_many(targets, crew, found=told.append)], key=lambda one: one.number
        )
    none = Reason.NOTHING_CHECKED
    assert [(one.verdict.subject.removeprefix(f"{tmp_path}/"), one.reason) for one in judged] == [
        ("good", None),
        ("files/folder/1", None),
        ("files/folder/2", None),
        ("empty", none),
        ("layout", none),
        ("tree", none),
        ("bad", Reason.SUBJECT_MISMATCH),
        ("good", None),
        ("nothing", none),
    ]
    assert sum(told) == len(judged)


async def test_a_layout_is_judged_with_what_refers_to_its_artifacts(signed_files: SignedFiles, tmp_path: Path) -> None:
    LayoutWriter(tmp_path / "layout").finish()
    (tmp_path / "layout" / "stranger").write_bytes(b"")
    async with Crew(signed_files.basis, workers=0) as crew:
        (verdict,) = await judge([LayoutTarget(tmp_path / "layout")], crew)
    assert verdict.reason is Reason.FILE_UNREADABLE


async def test_processes_give_the_verdicts_that_this_one_gives(signed_files: SignedFiles) -> None:
    targets = [target(signed_files.add(f"{number}", about=b"x" if number % 10 == 9 else b"")) for number in range(100)]
    async with Crew(signed_files.basis, workers=0) as alone:
        expected = await judge(targets, alone)
        assert children() == set()
    async with Crew(signed_files.basis, workers=2, pays=0) as crew:
        with anyio.fail_after(60):
            while len(children()) < 2:
                crew.expect(1)
                await anyio.sleep(0.01)
        found = [await judge(targets, crew) for _ in range(3)]
    assert found == [expected] * 3
    assert [verdict.outcome for verdict in expected].count(Outcome.REJECTED) == 10
    assert children() == set()


async def test_few_verdicts_start_no_process(signed_files: SignedFiles) -> None:
    path = signed_files.add("web")
    async with Crew(signed_files.basis, workers=2, pays=10) as crew:
        await judge([target(path)] * 10, crew)
        assert children() == set()


def huge(files: SignedFiles) -> FileTarget:
    path = files.add("huge")
    os.truncate(path, HUGE)
    return target(path)


async def kill_when_busy(crew: Crew, *, often: int) -> None:
    """Kill `often` processes of the crew, and return once it knows: what it asked of them until then is lost, too."""
    killed: set[int] = set()
    while len(killed) < often:
        await anyio.sleep(0.02)
        for pid in list(crew.pids - killed)[: often - len(killed)]:
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
    while crew.pids & killed:  # noqa: ASYNC110 - as above
        await anyio.sleep(0.01)


async def test_a_process_that_is_killed_costs_its_verdicts_and_no_others(signed_files: SignedFiles) -> None:
    good = target(signed_files.add("good"))
    async with Crew(signed_files.basis, workers=2, pays=0) as crew:
        await staffed(crew)
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: kill_when_busy(crew, often=2))
            lost = await judge([huge(signed_files), huge(signed_files)], crew)
        again = await judge([good] * 64, crew)
    assert {verdict.reason for verdict in lost} == {Reason.CHECK_LOST}
    assert {verdict.outcome for verdict in lost} == {Outcome.INDETERMINATE}
    assert lost[0].subject == "huge"
    assert {verdict.outcome for verdict in again} == {Outcome.ACCEPTED}, [one.to_json() for one in again]


async def test_when_every_process_is_lost_nobody_waits(
    signed_files: SignedFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_LOST", 0)
    async with Crew(signed_files.basis, workers=2, pays=0) as crew:
        await staffed(crew)
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: kill_when_busy(crew, often=2))
            lost = await judge([huge(signed_files)] * 50, crew)
    assert {verdict.reason for verdict in lost} == {Reason.CHECK_LOST}


class _Ended:
    """A process that dies while a request is being sent to it."""

    returncode = -9

    def __init__(self) -> None:
        self.gone, self.sending = anyio.Event(), anyio.Event()

    def kill(self) -> None: ...

    async def wait(self) -> int:
        return self.returncode

    async def send(self, _: bytes) -> None:
        self.sending.set()
        await self.gone.wait()
        raise anyio.BrokenResourceError

    async def receive_exactly(self, _: int) -> bytes:
        await self.sending.wait()
        raise anyio.EndOfStream


async def test_who_waits_for_a_turn_with_a_process_that_ends_does_not_wait_for_its_answer() -> None:
    ended = _Ended()
    process = module._Process(ended, ended, ended)  # type: ignore[arg-type]
    lost: list[str] = []

    async def ask() -> None:
        try:
            await process.run([])
        except module.LostError as error:
            lost.append(str(error))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            group.start_soon(ask)
            await ended.sending.wait()
            await process.listen()
            ended.gone.set()
    assert lost == ["the process that was to give it ended with -9"] * 2


@pytest.mark.parametrize("broken", ["python", "worker"])
async def test_where_no_process_starts_this_one_goes_on(
    signed_files: SignedFiles, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    if broken == "python":
        monkeypatch.setattr("sys.executable", str(signed_files.folder / "missing"))
    else:
        monkeypatch.setattr("sys.executable", "/bin/false")
    good = target(signed_files.add("good"))
    async with Crew(signed_files.basis, workers=2, pays=0) as crew:
        found = await judge([good] * 200, crew)
    assert {verdict.outcome for verdict in found} == {Outcome.ACCEPTED}


async def test_a_slow_reader_does_not_fill_the_memory(signed_files: SignedFiles) -> None:
    asked = 0

    def count() -> Iterator[FileTarget]:
        nonlocal asked
        while True:
            asked += 1
            yield FileTarget(subject=f"{asked}", artifact=str(signed_files.folder), bundles=())

    async with Crew(signed_files.basis, workers=0) as crew:
        taken = 0
        async for _ in verify_many([ListTarget("endless", 1_000_000, count())], crew):
            await anyio.sleep(0.005)
            taken += 1
            if taken == 200:
                break
    assert asked < taken + 20 * CHUNK


async def test_who_stops_listening_leaves_no_process_behind(signed_files: SignedFiles) -> None:
    stuck = huge(signed_files)
    with anyio.fail_after(60):
        async with Crew(signed_files.basis, workers=2, pays=0) as crew:
            await staffed(crew)
            with anyio.move_on_after(0.5):
                async for _ in verify_many([stuck] * 50, crew):
                    raise AssertionError("nothing can have come yet")
    assert children() == set()


async def test_the_working_directory_is_not_where_programs_come_from(
    signed_files: SignedFiles, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It may be what is to be verified (P15)."""
    hostile = tmp_path / "hostile"
    hostile.mkdir()
    for name in ("json.py", "pickle.py", "anyio.py", "sitecustomize.py"):
        (hostile / name).write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    monkeypatch.chdir(hostile)
    good = target(signed_files.add("good"))
    async with Crew(signed_files.basis, workers=2, pays=0) as crew:
        await staffed(crew)
        assert {verdict.outcome for verdict in await judge([good] * 64, crew)} == {Outcome.ACCEPTED}
    assert not (tmp_path / "ran").exists()


async def test_a_verdict_goes_through_a_process_unchanged(signed_files: SignedFiles) -> None:
    odd = signed_files.add("ö 'x' {}.tgz", bundle="")
    item = FileTarget(subject=odd.name, artifact=str(odd), bundles=())
    async with Crew(signed_files.basis, workers=0) as crew:
        (judged,) = [one async for one in verify_many([item], crew)]
    assert json.loads(judged.line)["subject"] == odd.name
    assert judged.verdict.checks[0].evidence == {"digest": Digest.of_file(odd)}
    assert (judged.outcome, judged.reason) == (judged.verdict.outcome, judged.verdict.reason)
