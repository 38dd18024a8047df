"""The docstrings of fields, read from the source when somebody asks."""

from __future__ import annotations

from dhallmark.config.docstrings import attribute_docstrings
from dhallmark.config.model import Environment, Model
from dhallmark.config.policy import Policy


class Derived(Environment):
    """A model for this test: what stands here is not dhallmark's own."""

    more: str = ""
    """Not looked for."""


def test_every_field_of_the_policy_is_described() -> None:
    described = attribute_docstrings(Policy)
    assert set(Policy.model_fields) <= set(described)
    assert described["builders"].startswith("The builder ids that the provenance may name.")


def test_docstrings_are_inherited_and_stay_whole() -> None:
    assert attribute_docstrings(Derived) == attribute_docstrings(Environment)
    assert "Without it, entries are used as they are." in attribute_docstrings(Derived)["values"]
    assert attribute_docstrings(Model) == {}
