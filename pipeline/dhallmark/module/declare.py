"""Dagger's decorators, typed, with this project's choices in their names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast, dataclass_transform

import dagger

C = TypeVar("C")
F = TypeVar("F", bound=Callable[..., Any])


@dataclass_transform(kw_only_default=True)
def object_type(cls: type[C]) -> type[C]:
    """A class whose functions the engine offers; its fields are its constructor's arguments."""
    return dagger.object_type(cls)


def function(method: F) -> F:
    """A function of the module. Engines keep its result and give it again for the same arguments."""
    return cast("F", dagger.function(method))


def fresh(method: F) -> F:
    """A function of the module that runs at every call: what it says is about now, or it signs."""
    return cast("F", dagger.function(cache="never")(method))  # type: ignore[call-overload]  # The stub lacks `cache`.
