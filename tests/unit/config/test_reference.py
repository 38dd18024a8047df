"""The reference of the policy file, made from its model."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dhallmark.config import policy as models
from dhallmark.config.load import parse_policy
from dhallmark.config.model import Model
from dhallmark.config.policy import Policy
from dhallmark.config.reference import policy_reference
from dhallmark.identity import EXTENSION_OIDS

PAGE = Path(__file__).parents[3] / "docs" / "policy.md"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", policy_reference(), re.DOTALL)


def test_the_published_page_is_that_of_the_model() -> None:
    assert PAGE.read_text("utf-8") == policy_reference(), "run: dhallmark policy reference > docs/policy.md"


def test_every_key_has_a_meaning_and_every_link_a_target() -> None:
    page = policy_reference()
    rows = re.findall(r"^\| `\w+` \|.*\| (.*) \|$", page, re.MULTILINE)
    assert all(rows)
    headings = {heading.lower() for heading in re.findall(r"^## (\w+)$", page, re.MULTILINE)}
    assert set(re.findall(r"\(#(\w+)\)", page)) <= headings
    for kind in vars(models).values():
        if isinstance(kind, type) and issubclass(kind, Model) and kind not in (Model, Policy):
            assert kind.__name__.lower() in headings
    assert all(f"| `{name}` |" in page for name in EXTENSION_OIDS)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_are_policies(example: str) -> None:
    assert isinstance(parse_policy(example.encode(), file="policy.yaml"), Policy)


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 3
