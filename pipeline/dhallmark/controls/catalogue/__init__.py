"""The catalogue of controls: one module a group, each with a tuple CONTROLS. Adding a control takes one place."""

from __future__ import annotations

from collections.abc import Sequence

from dhallmark.control import Control, Group
from dhallmark.controls.catalogue import (
    certificate,
    chart,
    gitops,
    log,
    policy,
    registry,
    repository,
    signature,
    source,
    statement,
    steps,
)
from dhallmark.controls.catalogue.differences import as_seen
from dhallmark.errors import UsageError

_STATED: tuple[Control, ...] = (
    *signature.CONTROLS,
    *certificate.CONTROLS,
    *source.CONTROLS,
    *log.CONTROLS,
    *statement.CONTROLS,
    *steps.CONTROLS,
    *policy.CONTROLS,
    *registry.CONTROLS,
    *repository.CONTROLS,
    *gitops.CONTROLS,
    *chart.CONTROLS,
)
CONTROLS: tuple[Control, ...] = tuple(as_seen(control) for control in _STATED)
FIRST: tuple[Control, ...] = tuple(control for control in CONTROLS if control.release)
"""The few that every release runs: unsigned, tampered, replayed, wrong identity, wrong issuer, wrong predicate."""


def select(
    *, only: Sequence[str] = (), cases: Sequence[str] = (), groups: Sequence[Group] = (), first: bool = False
) -> tuple[Control, ...]:
    """The controls with the ids `only` or `cases`, of `groups`, and the `first`; all where nothing is given.

    In `only` an id without its suffix names all its cases: `P1` is `P1-absent` and `P1-other`. In `cases` an id names
    the one control that has it. Raises UsageError for an id that does not exist.
    """
    found = []
    for control in CONTROLS:
        named = control.id in (*only, *cases) or control.id.partition("-")[0] in only
        chosen = named or control.group in groups or (first and control.release)
        if chosen or not (only or cases or groups or first):
            found.append(control)
    for wanted in (*only, *cases):
        names = {control.id for control in found} | {
            control.id.partition("-")[0] for control in found if wanted in only
        }
        if wanted not in names:
            ids = ", ".join(control.id for control in CONTROLS)
            raise UsageError(f"no control {wanted!r}", hint=f"controls: {ids}")
    return tuple(found)
