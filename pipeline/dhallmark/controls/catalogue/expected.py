"""How expectations are written in the catalogue.

`by_all(reason)` is the usual one: dhallmark refuses for `reason`, and every other consumer does what its dialect says
of that reason (`controls.consumers.dialect`). Where one control differs from that, `but` names the consumers: by name,
or several at once as a tuple such as `FLUX`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from dhallmark.control import Expectation
from dhallmark.controls.consumers.dialect import COSIGN, COSIGN_ATTESTATION, DHALLMARK, DIALECTS, FLUX_2_8, FLUX_2_9
from dhallmark.reasons import Reason
from dhallmark.verdict import Outcome, outcome_of

__all__ = [
    "COSIGN",
    "COSIGNS",
    "COSIGN_ATTESTATION",
    "DHALLMARK",
    "FLUX",
    "FLUX_2_8",
    "FLUX_2_9",
    "OTHERS",
    "accepted",
    "accepted_by_all",
    "by_all",
    "hole",
    "mistaken",
    "only",
    "rejected",
]

FLUX: Final = (*FLUX_2_8, *FLUX_2_9)
COSIGNS: Final = tuple(name for name in DIALECTS if name.startswith("cosign"))
OTHERS: Final = tuple(name for name in DIALECTS if name != DHALLMARK)
"""Everyone but dhallmark."""

But = Mapping[str | tuple[str, ...], Expectation | None]
"""Exceptions: by consumer, or for several; None where a consumer is not asked. A later entry wins."""


def rejected(reason: Reason) -> Expectation:
    """Refused for `reason` and no other; `indeterminate` where the catalogue of reasons says so."""
    return Expectation(outcome=outcome_of(reason), reason=reason)


def accepted() -> Expectation:
    """Accepted, and rightly: for positive controls."""
    return Expectation(outcome=Outcome.ACCEPTED)


def hole(does: str) -> Expectation:
    """Accepted, because the consumer cannot see the flaw by design. Shown as an open hole, not as a pass.

    `does` is what it does, as the rest of a sentence that begins with its name.
    """
    return Expectation(outcome=Outcome.ACCEPTED, out_of_scope=does)


def mistaken(reason: Reason, does: str) -> Expectation:
    """Refused, and for a reason that is not the true one: `does` says what the consumer takes for what."""
    return Expectation(outcome=rejected(reason).outcome, reason=reason, out_of_scope=does)


def by_all(reason: Reason, *, but: But | None = None) -> Mapping[str, Expectation]:
    """Refused for `reason` by dhallmark, and by every other consumer as its dialect has it."""
    return _with({name: _said(name, reason) for name in DIALECTS}, but)


def accepted_by_all(*, but: But | None = None) -> Mapping[str, Expectation]:
    """Accepted by every consumer."""
    return _with(dict.fromkeys(DIALECTS, accepted()), but)


def only(consumer: str, expectation: Expectation) -> Mapping[str, Expectation]:
    """What `consumer` says, where no other is asked."""
    return MappingProxyType({consumer: expectation})


def _said(consumer: str, reason: Reason) -> Expectation:
    dialect = DIALECTS[consumer]
    does = dialect.blind.get(reason)
    return hole(does) if does is not None else rejected(dialect.coarse.get(reason, reason))


def _with(expected: Mapping[str, Expectation], but: But | None) -> Mapping[str, Expectation]:
    found: dict[str, Expectation | None] = dict(expected)
    for names, expectation in (but or {}).items():
        for name in (names,) if isinstance(names, str) else names:
            if name not in DIALECTS:
                raise KeyError(f"no consumer {name!r}")
            found[name] = expectation
    return MappingProxyType({name: expectation for name, expectation in found.items() if expectation is not None})
