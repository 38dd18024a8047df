"""Messages of a verifier that stops at the first step that fails: which step it was, and what that is as a reason."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from dhallmark.reasons import Reason


class Steps:
    """A verifier's messages in the order of its steps, the first first."""

    def __init__(self, rows: Sequence[tuple[Reason, str]]) -> None:
        """Each row is a reason and an expression for the whole message, in which `.` is any character."""
        self._rows = tuple((reason, re.compile(pattern, re.DOTALL)) for reason, pattern in rows)

    def find(self, message: str) -> tuple[int, Reason] | None:
        """How far verification came, and the reason. None for a message that is not known."""
        for rank, (reason, pattern) in enumerate(self._rows):
            if pattern.fullmatch(message):
                return rank, reason
        return None

    def furthest(self, messages: Iterable[str]) -> Reason | None:
        """The reason of what came furthest; None where there is no message, or one that is not known."""
        found = [self.find(message) for message in messages]
        known = [step for step in found if step is not None]
        return max(known, key=lambda step: step[0])[1] if known and len(known) == len(found) else None
