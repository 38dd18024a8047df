"""The plan: which units a release is made of, in the one order that everything follows.

A unit is one application in one environment. Units are the grain of rendering and of sharding; artifacts are named
after them. Pure: a plan depends on nothing but the configuration.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dhallmark import strictjson
from dhallmark.config.model import Application, Config
from dhallmark.errors import UsageError
from dhallmark.files import write_if_changed

SCHEMA = "dhallmark.dev/plan/v1"


@dataclass(frozen=True, slots=True, order=True)
class Unit:
    """One application in one environment."""

    environment: str
    application: str

    @property
    def path(self) -> str:
        """`<environment>/<application>`: its folder in the outputs of every step, and the end of its repository."""
        return f"{self.environment}/{self.application}"


@dataclass(frozen=True, slots=True)
class Shard:
    """Part `index` of `count` of a plan; 1-based, as users write it: `2/3`."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read `i/n` with 1 <= i <= n. Raises UsageError."""
        match = re.fullmatch(r"([1-9]\d{0,4})/([1-9]\d{0,4})", text)
        if match and int(match[1]) <= int(match[2]):
            return cls(int(match[1]), int(match[2]))
        raise UsageError(f"not a shard: {text!r}", hint="write i/n with 1 <= i <= n, such as 2/3")


@dataclass(frozen=True, slots=True)
class Plan:
    """All units of a release, or of one shard of it."""

    config: Config
    units: tuple[Unit, ...]
    """Sorted by environment, then application."""

    def application(self, unit: Unit) -> Application:
        return self.config.applications[unit.application]

    @property
    def environments(self) -> tuple[str, ...]:
        """The environments that have a unit here, sorted."""
        return tuple(sorted({unit.environment for unit in self.units}))

    def in_environment(self, environment: str) -> Sequence[Unit]:
        return [unit for unit in self.units if unit.environment == environment]


def make_plan(config: Config, *, shard: Shard | None = None) -> Plan:
    """The plan of `config`, or of one shard: every n-th unit, so that environments spread over shards."""
    units = sorted(
        Unit(environment, name)
        for name, application in config.applications.items()
        for environment in application.environments or config.environments
    )
    if shard is not None:
        units = units[shard.index - 1 :: shard.count]
    return Plan(config, tuple(units))


def plan_to_json(plan: Plan, *, source: Mapping[str, object]) -> dict[str, object]:
    """The plan as `plan.json` holds it. `source` is the state of the source: revision, tree, dirty, repository."""
    return {
        "schema": SCHEMA,
        "project": plan.config.project,
        "version": plan.config.version,
        "source": dict(source),
        "units": [
            {
                "environment": unit.environment,
                "application": unit.application,
                "layer": plan.application(unit).layer,
            }
            for unit in plan.units
        ],
    }


def write_plan(plan: Plan, *, build: Path, source: Mapping[str, object]) -> dict[str, object]:
    """Write `<build>/plan.json` and return what it holds. Raises OSError."""
    body = plan_to_json(plan, source=source)
    write_if_changed(build / "plan.json", strictjson.dump(body))
    return body
