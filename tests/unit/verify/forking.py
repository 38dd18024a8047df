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
from dhallmark.verify.crew import Crew
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


def main() -> None:
    mode, file = sys.argv[1:]
    basis, items = pickle.loads(Path(file).read_bytes())  # noqa: S301 - the test's own
    assert isinstance(basis, Basis)
    if mode == "thread":
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    crew = Crew(basis, workers=2)
    possible = can_fork()
    crew.fork()
    body: dict[str, object] = {"possible": possible, "forked": children()}
    if mode == "wait":
        print(json.dumps(body), flush=True)
        time.sleep(60)
    body |= anyio.run(lambda: judge_twice(crew, items, kill=mode == "kill"))
    print(json.dumps({**body, "left": children()}))


if __name__ == "__main__":
    main()
