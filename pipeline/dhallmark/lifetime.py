"""Processes that do not outlive the one that started them, however that ends."""

from __future__ import annotations

import sys


def die_with_parent() -> None:
    """Have this process killed when the thread that started it ends (prctl(2), PR_SET_PDEATHSIG).

    Elsewhere than on Linux nothing happens: it is for what ends by itself in time, and should end at once.
    """
    if sys.platform == "linux":
        import ctypes
        import signal

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


_PR_SET_PDEATHSIG = 1
"""Of <sys/prctl.h>."""
