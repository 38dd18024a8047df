"""Collecting the checks of one verification, step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from operator import attrgetter
from typing import TypeVar

from dhallmark.verdict import Check
from dhallmark.verify.refusal import Refusal

T = TypeVar("T")
_REASON = attrgetter("reason")


@dataclass(slots=True)
class Run:
    """The checks so far."""

    checks: list[Check] = field(default_factory=list)

    def step(
        self, name: str, action: Callable[[], T], *, seen: Callable[[T], Mapping[str, str]] | None = None
    ) -> T | None:
        """What `action` returns, or None where it refused; either way a check of that name.

        `seen` makes the evidence of a check that passed.
        """
        try:
            value = action()
        except Refusal as refusal:
            self.checks.append(refusal.check(name))
            return None
        self.checks.append(_passed(name) if seen is None else Check(name=name, evidence=seen(value)))
        return value

    @property
    def passed(self) -> bool:
        """True where no check so far found anything."""
        return not any(map(_REASON, self.checks))


@cache
def _passed(name: str) -> Check:
    """A check that passed and has nothing to show: the same one each time, since there are a score for each bundle."""
    return Check(name=name)
