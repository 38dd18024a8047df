"""Every id of the catalogue is a control, or is proven by a command whose test is named here."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from dhallmark.cli.controls import controls
from dhallmark.controls.catalogue import CONTROLS
from dhallmark.controls.catalogue.elsewhere import AUDIT, ELSEWHERE, LINT
from dhallmark.gitops.lint.catalogue import RULES

ROOT = Path(__file__).parents[4]
NUMBERS: Mapping[str, Sequence[int]] = {
    "S": range(1, 15),
    "C": (*range(1, 16), 17, 18),
    "T": (*range(1, 9), 10),
    "P": (*range(1, 10), 12, 13, *range(15, 22)),
    "R": (*range(1, 7), 8, 9),
    "G": range(1, 11),
    "H": range(1, 4),
    "B": range(1, 6),
}
"""The catalogue as it was drawn up; what was added since is a control."""
IDS = [f"{group}{number}" for group, numbers in NUMBERS.items() for number in numbers]
MISTAKES = "tests/unit/gitops/lint/test_history.py::test_a_mistake_is_found_by_its_rule_where_it_stands"
AUDITED = "tests/component/audit/test_audit.py"
PROVEN: Mapping[str, str] = {
    **dict.fromkeys(("G1", "G2", "G3", "G4", "G5", "G8", "G9", "G10"), MISTAKES),
    "B1": f"{AUDITED}::test_a_byte_that_was_changed_is_different",
    "B2": f"{AUDITED}::test_what_is_packed_otherwise_is_equivalent_and_never_equal",
    "B3": f"{AUDITED}::test_a_materials_bundle_that_is_gone_is_named",
    "B4": f"{AUDITED}::test_a_tool_of_another_version_is_told_and_decides_only_where_something_differs",
    "B5": f"{AUDITED}::test_a_tool_that_tries_the_network_reaches_nothing_and_is_told",
}
"""Where each id that is no control is tested."""


@pytest.mark.parametrize("name", IDS)
def test_an_id_is_a_control_or_says_who_proves_it(name: str) -> None:
    families = {control.id.partition("-")[0] for control in CONTROLS}
    commands = {one.id: one.command for one in ELSEWHERE}
    assert (name in families) is not (name in commands)


def test_nothing_is_proven_elsewhere_without_a_test() -> None:
    assert [one.id for one in ELSEWHERE] == list(PROVEN)
    assert set(PROVEN) <= set(IDS)


@pytest.mark.parametrize("place", sorted(set(PROVEN.values())))
def test_the_test_that_is_named_is_there(place: str) -> None:
    file, _, name = place.partition("::")
    module = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in module.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("name", [one.id for one in ELSEWHERE if one.command == LINT])
def test_a_rule_of_the_linter_has_the_id(name: str) -> None:
    assert name in {rule.control for rule in RULES.values()}


def test_the_list_of_controls_has_them_and_a_choice_has_not() -> None:
    assert controls(list_controls=True).data["elsewhere"] == [
        {"id": one.id, "title": one.title, "command": LINT if one.id.startswith("G") else AUDIT} for one in ELSEWHERE
    ]
    assert controls(list_controls=True, only=("S1",)).data["elsewhere"] == []
