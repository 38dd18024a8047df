"""The catalogue of controls: one module a group, each with a tuple CONTROLS. Adding a control takes one place."""

from __future__ import annotations

from collections.abc import Sequence

from dhallmark.control import Control, Group
from dhallmark.controls.catalogue import certificate, signature, statement
from dhallmark.errors import UsageError

CONTROLS: tuple[Control, ...] = (*signature.CONTROLS, *certificate.CONTROLS, *statement.CONTROLS)


def select(*, only: Sequence[str] = (), groups: Sequence[Group] = ()) -> tuple[Control, ...]:
    """The controls with the ids `only` and of `groups`; all where neither is given.

    An id without its suffix names all its cases: `P1` is `P1-absent` and `P1-other`. Raises UsageError for an id that
    does not exist.
    """
    found = []
    for control in CONTROLS:
        named = control.id in only or control.id.partition("-")[0] in only
        if named or control.group in groups or not (only or groups):
            found.append(control)
    for wanted in only:
        if not any(wanted in (control.id, control.id.partition("-")[0]) for control in found):
            ids = ", ".join(control.id for control in CONTROLS)
            raise UsageError(f"no control {wanted!r}", hint=f"controls: {ids}")
    return tuple(found)
