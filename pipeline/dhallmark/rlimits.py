"""Bounds on what a process may take, never wider than those of whoever asks for them (getrlimit(2), prlimit(2))."""

from __future__ import annotations

import resource
from collections.abc import Mapping

SELF = 0
"""The process that asks."""


def restrict(pid: int, most: Mapping[int, int]) -> None:
    """Give the process `pid` at most `most` of each `resource.RLIMIT_…`, for good: the hard limit goes down, too.

    A process that has ended already is within any limit.
    """
    for kind, wanted in most.items():
        # A tighter bound of whoever started this process stays: raising it would be refused.
        hard = resource.getrlimit(kind)[1]
        bound = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        try:
            resource.prlimit(pid, kind, (bound, bound))
        except ProcessLookupError:
            return
