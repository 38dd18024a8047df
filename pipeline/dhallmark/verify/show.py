"""A verdict as a tree for people: what was accepted in one line, what was not with what was seen."""

from __future__ import annotations

from rich.text import Text
from rich.tree import Tree

from dhallmark.reason_catalogue import CATALOGUE
from dhallmark.verdict import Check, Outcome, Verdict
from dhallmark.verify.refusal import printable

_STYLES = {Outcome.ACCEPTED: "green", Outcome.REJECTED: "bold red", Outcome.INDETERMINATE: "magenta"}
_MARKS = {Outcome.ACCEPTED: "✓", Outcome.REJECTED: "✗", Outcome.INDETERMINATE: "?"}


def verdict_tree(verdict: Verdict) -> Tree:
    """`verdict` with every part; below one that is not accepted, each check that found something."""
    tree = Tree(_line(verdict), guide_style="dim")
    _fill(tree, verdict)
    return tree


def _text(text: str, style: str = "") -> Text:
    """`text` on one line that steers no terminal: a layout's index and a registry's answer are words of others."""
    return Text(printable(text), style=style)


def _line(verdict: Verdict) -> Text:
    outcome = verdict.outcome
    return _text(f"{_MARKS[outcome]} {verdict.summary()}", style=_STYLES[outcome])


def _fill(tree: Tree, verdict: Verdict) -> None:
    for check in verdict.checks:
        if check.reason is not None:
            _fill_check(tree, check)
    for part in verdict.parts:
        branch = tree.add(_line(part))
        if part.outcome is not Outcome.ACCEPTED:
            _fill(branch, part)
    if verdict.ignored:
        counted = len(verdict.ignored)
        branch = tree.add(Text(f"{counted} beside them that {'counts' if counted == 1 else 'count'} for nothing"))
        for item in verdict.ignored:
            branch.add(_text(item.summary(), style="dim"))


def _fill_check(tree: Tree, check: Check) -> None:
    if check.reason is None:
        return
    branch = tree.add(_text(f"{check.reason.value}: {check.detail or CATALOGUE[check.reason].summary}"))
    for name, value in check.evidence.items():
        branch.add(_text(f"{name}: {value}"))
    branch.add(Text(f"what to do: {CATALOGUE[check.reason].remedy}"))
