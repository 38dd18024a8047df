"""Choosing one record for each step, so that all artifact rules hold.

A rule may look at any step, earlier or later; it is applied as soon as all that it looks at is chosen, so that what
cannot fit is left early. The number of applications is limited: signers who are allowed to do a step could otherwise
make a verifier try all combinations of what they signed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from dhallmark.verify.layouts.evidence import StepRecord
from dhallmark.verify.layouts.model import Item, Layout, Rule
from dhallmark.verify.layouts.rules import Side, apply_rules, require_consumed
from dhallmark.verify.refusal import Refusal

MAX_ATTEMPTS = 2048
"""Applications of the rules of one side of an item."""

Chain = Mapping[str, StepRecord]
"""The record of each item, by its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """The rules of one side of an item, and that nothing is left over."""

    item: str
    side: Side
    rules: tuple[Rule, ...]

    @property
    def needs(self) -> frozenset[str]:
        """The items whose records are looked at."""
        return frozenset({self.item, *(rule.step for rule in self.rules if rule.step)})

    def apply(self, chain: Chain) -> None:
        """Refuse unless it holds. `chain` has all that it needs."""
        record = chain[self.item]
        require_consumed(self.side, apply_rules(self.side, self.rules, record, chain), record)

    def holds(self, chain: Chain) -> bool:
        try:
            self.apply(chain)
        except Refusal:
            return False
        return True


def tests_of(layout: Layout) -> tuple[Test, ...]:
    """Two for each step and inspection: of its materials and of its products."""
    items: Sequence[Item] = (*layout.steps, *layout.inspections)
    return tuple(
        Test(item=item.name, side=side, rules=item.materials if side is Side.MATERIALS else item.products)
        for item in items
        for side in Side
    )


@dataclass(slots=True, kw_only=True)
class Search:
    """Looks for a chain. For one use."""

    tests: Sequence[Test]
    choices: Sequence[tuple[str, Sequence[StepRecord]]]
    """The records that can stand for each step; at least one of each."""
    fixed: Chain
    """Records that are not chosen: those of inspections."""
    accept: Callable[[Chain], bool]
    """What must hold of the whole chain besides."""
    gave_up: bool = False
    """True where the limit ended the search: there might be a chain that was not tried."""
    _chain: dict[str, StepRecord] = field(default_factory=dict)
    _nearest: dict[str, StepRecord] = field(default_factory=dict)
    _attempts: int = 0

    def run(self) -> Chain:
        """A chain for which everything holds; where there is none, the one that came furthest, for the report."""
        self._chain = dict(self.fixed)
        if self._extend(0):
            return self._chain
        first: Iterable[tuple[str, StepRecord]] = ((name, records[0]) for name, records in self.choices)
        return {**dict(first), **self._nearest}

    def _extend(self, index: int) -> bool:
        if len(self._chain) > len(self._nearest):
            self._nearest = dict(self._chain)
        if index == len(self.choices):
            return self.accept(self._chain)
        name, records = self.choices[index]
        for record in records:
            self._chain[name] = record
            if self._fits(name) and self._extend(index + 1):
                return True
            del self._chain[name]
        return False

    def _fits(self, name: str) -> bool:
        """Whether all that looks at `name` holds, as far as all of it is chosen."""
        for test in self.tests:
            if name in test.needs and test.needs <= self._chain.keys():
                self._attempts += 1
                self.gave_up = self._attempts > MAX_ATTEMPTS
                if self.gave_up or not test.holds(self._chain):
                    return False
        return True
