"""Which process runs which tests, where several run at once: those of a file stay together, since they share a lab.

Our own scheduler for `pytest-xdist`: with the locked versions of it and pytest, marks that name groups are lost.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController  # type: ignore[import-untyped]

RELEASED, APART = "a release that is looked at", "releases apart"
_APART = {"test_calls.py", "test_engines.py", "test_image.py", "test_starting.py", "test_steps.py"}
"""Files of Dagger tests that do not look at the release that is made once."""


def group_of(nodeid: str) -> str:
    """The tests that one process runs one after another: those of a file.

    All of the Dagger tests are two groups. One process has the release that is made once, and the tests that look at
    it; another the rest, of which most wait for engines with an empty cache. They share an engine.
    """
    file = Path(nodeid.partition("::")[0])
    if file.parts[:2] != ("tests", "dagger"):
        return str(file)
    return APART if file.name in _APART else RELEASED


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Gives groups to processes as they get free."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)

    def _assign_work_unit(self, node: WorkerController) -> None:
        super()._assign_work_unit(node)
        if self.assigned_work[node].keys() & {RELEASED, APART}:
            # It holds a session with the engine, and its threads, until it ends: no place to test what forks.
            node.shutdown()
