"""What a command returns: one value, printed as text for people or as JSON for machines.

Commands print nothing themselves. Standard output holds the result alone; progress and diagnostics go to standard
error, so that a pipe gets nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dhallmark.errors import ExitCode

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The outcome of a command."""

    data: Mapping[str, object]
    """What `--output json` prints; its `schema` names format and version, such as `dhallmark.dev/plan/v1`.

    A value may be `strictjson.Lines`, a list that is too long to be held at once.
    """
    text: RenderableType | Callable[[], RenderableType]
    """What `--output text` prints, or what makes it where that is not asked for each time."""
    exit_code: ExitCode = ExitCode.OK
    silent: bool = False
    """True where the command wrote to standard output itself, line by line, and nothing is to follow."""
    release: Callable[[], object] = lambda: None
    """Called once it was printed: gives back what `data` was read from."""
