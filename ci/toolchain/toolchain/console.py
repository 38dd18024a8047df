"""What the user sees while something is made: one line when it starts, one when it ends."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


def say(text: str) -> None:
    """Print a line of progress to standard error, so that standard output stays machine-readable."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Announce a step, and say how long it took."""
    say(f"  … {what}")
    start = time.monotonic()
    yield
    say(f"  ✓ {what} ({time.monotonic() - start:.0f} s)")
