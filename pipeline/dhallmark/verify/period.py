"""Periods of validity: of certificates, of logs and their keys, of authorities."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Period:
    """A closed interval of time: both ends belong to it. An end that is None is open."""

    start: datetime | None
    end: datetime | None

    def contains(self, moment: datetime) -> bool:
        return (self.start is None or self.start <= moment) and (self.end is None or moment <= self.end)

    def __str__(self) -> str:
        start, end = (moment.isoformat() if moment else "…" for moment in (self.start, self.end))
        return f"{start} to {end}"


@dataclass(frozen=True, slots=True)
class Periods:
    """Several intervals, each of which will do."""

    each: tuple[Period, ...]

    def contains(self, moment: datetime) -> bool:
        return any(period.contains(moment) for period in self.each)

    def __str__(self) -> str:
        return " or ".join(map(str, self.each))
