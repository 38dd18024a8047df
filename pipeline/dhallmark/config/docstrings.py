"""What stands below a model's field in its source: the field's description in schemas and hints.

pydantic can read these itself (`use_attribute_docstrings`), for every model and each time that a process starts, which
takes a tenth of the time of a short command. Here they are read where somebody asks for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from types import MappingProxyType


@cache
def attribute_docstrings(cls: type) -> Mapping[str, str]:
    """The docstring of each attribute of `cls` and its bases that has one, by the attribute's name."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("dhallmark."):
            found.update(_own(base))
    return MappingProxyType(found)


def _own(cls: type) -> dict[str, str]:
    import ast
    import inspect
    import textwrap

    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    body = definition.body if isinstance(definition, ast.ClassDef) else []
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }
