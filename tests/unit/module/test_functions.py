"""What the module declares, read from the classes themselves."""

from __future__ import annotations

import inspect
from typing import Any, get_type_hints

import pytest
from dagger import Doc
from dagger.mod import default_module
from dagger.mod._resolver import Function

from dhallmark.module import Dhallmark, Lab, Released

NEVER_CACHED = {
    (Dhallmark, "push"),
    (Dhallmark, "sign"),
    (Dhallmark, "publish"),
    (Dhallmark, "publish_image"),
    (Dhallmark, "lock_image"),
    (Dhallmark, "verify"),
    (Dhallmark, "audit"),
    (Dhallmark, "controls"),
    (Dhallmark, "prove"),
    (Dhallmark, "status"),
    (Dhallmark, "release"),
    (Lab, "token"),
    (Lab, "release"),
}
"""What signs, writes to a registry, or says how things are now (ADR 1, point 7)."""
FUNCTIONS = [
    (kind, name, function)
    for kind in (Dhallmark, Lab, Released)
    for name, function in default_module().get_object(kind.__name__).functions.items()
]


def identify(value: object) -> str | None:
    return value.__name__ if isinstance(value, type) else value if isinstance(value, str) else None


@pytest.mark.parametrize(("kind", "name", "function"), FUNCTIONS, ids=identify)
def test_every_function_has_a_line_of_documentation(kind: type, name: str, function: Function[Any, Any]) -> None:
    assert inspect.getdoc(getattr(kind, function.original_name))


@pytest.mark.parametrize(("kind", "name", "function"), FUNCTIONS, ids=identify)
def test_every_argument_is_described_and_given_by_name(kind: type, name: str, function: Function[Any, Any]) -> None:
    method = getattr(kind, function.original_name)
    hints = get_type_hints(method, include_extras=True)
    for parameter in list(inspect.signature(method).parameters.values())[1:]:
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY, parameter.name
        metadata = getattr(hints[parameter.name], "__metadata__", ())
        assert any(isinstance(one, Doc) for one in metadata), parameter.name


def test_what_signs_or_judges_is_never_taken_from_a_cache() -> None:
    found = {
        (kind, function.original_name)
        for kind in (Dhallmark, Lab, Released)
        for function in default_module().get_object(kind.__name__).functions.values()
        if function.cache_policy == "never"
    }
    assert found == NEVER_CACHED
