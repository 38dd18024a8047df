"""How library functions tell that they get on, without knowing who listens.

A function that takes long takes `progress: Progress | None = None` and calls it; the command line shows it on
standard error (`dhallmark.cli.output`), a Dagger function lets the engine's view show those lines.
"""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """A listener. Calls are cheap, may come from any task of the thread that started the work, and never raise."""

    def start(self, name: str, *, total: int | None = None) -> None:
        """Work called `name` (such as `render`) begins; `total` is how many parts it has, if that is known."""
        ...

    def expect(self, name: str, *, by: int) -> None:
        """`name` has `by` more parts than was known so far."""
        ...

    def advance(self, name: str, *, by: int = 1) -> None:
        """`by` more parts of `name` are done."""
        ...

    def done(self, name: str, *, summary: str = "") -> None:
        """All of `name` is done; `summary` says in a few words what came out, such as `24 charts`."""
        ...


class Silent:
    """Tells nobody."""

    def start(self, name: str, *, total: int | None = None) -> None:
        """Nothing."""

    def expect(self, name: str, *, by: int) -> None:
        """Nothing."""

    def advance(self, name: str, *, by: int = 1) -> None:
        """Nothing."""

    def done(self, name: str, *, summary: str = "") -> None:
        """Nothing."""
