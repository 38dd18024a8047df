"""A program of its own, since tests have threads: a crew whose processes are copies of it. See `test_forked.py`.

    python forking.py MODE FILE     FILE: a pickle of a basis and of the items to judge

It prints a JSON document.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import sys
import threading
import time
from pathlib import Path

import anyio
import anyio.lowlevel

from dhallmark.verify.basis import Basis
from dhallmark.verify.batch import verify_many
from dhallmark.verify.crew import PAYS, Crew
from dhallmark.verify.files import FileTarget
from dhallmark.verify.forked import can_fork
from dhallmark.verify.target import ListTarget


def children() -> list[int]:
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


async def judge(crew: Crew, items: list[FileTarget]) -> list[str]:
    found = [one async for one in verify_many([ListTarget("list", len(items), items)], crew)]
    found.sort(key=lambda one: one.number)
    return [one.line.decode() for one in found]


async def judge_twice(crew: Crew, items: list[FileTarget], *, kill: bool) -> dict[str, object]:
    async with crew:
        await anyio.lowlevel.checkpoint()
        copies = sorted(crew.pids)
        if kill:
            for pid in copies:
                os.kill(pid, signal.SIGKILL)
            while crew.pids & set(copies):  # noqa: ASYNC110 - nobody tells
                await anyio.sleep(0.01)
        first = await judge(crew, items)
        return {"copies": copies, "lines": first, "again": await judge(crew, items), "now": sorted(crew.pids)}


async def stay_busy(crew: Crew, items: list[FileTarget]) -> None:
    """Tell the processes once all of them have been asked for verdicts that take them long."""
    async with crew, anyio.create_task_group() as group:
        crew.expect(2 * PAYS)
        while len(crew.pids) < crew.workers:  # noqa: ASYNC110 - nobody tells
            await anyio.sleep(0.01)
        for _ in crew.pids:
            group.start_soon(judge, crew, items)
        await anyio.sleep(0.5)
        print(json.dumps({"forked": sorted(crew.pids)}), flush=True)


def main() -> None:
    mode, file = sys.argv[1:]
    basis, items = pickle.loads(Path(file).read_bytes())  # noqa: S301 - the test's own
    assert isinstance(basis, Basis)
    if mode.endswith("thread"):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    crew = Crew(basis, workers=2)
    possible = can_fork()
    crew.fork()
    body: dict[str, object] = {"possible": possible, "forked": children()}
    if mode == "wait":
        print(json.dumps(body), flush=True)
        time.sleep(60)
    if mode.startswith("busy"):
        anyio.run(stay_busy, crew, items)
    body |= anyio.run(lambda: judge_twice(crew, items, kill=mode == "kill"))
    print(json.dumps({**body, "left": children()}))


if __name__ == "__main__":
    main()
