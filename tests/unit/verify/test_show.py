"""A verdict on a terminal."""

from __future__ import annotations

import io

from rich.console import Console

from dhallmark.reasons import Reason
from dhallmark.verdict import Check, Verdict
from dhallmark.verify.show import verdict_tree


def test_words_of_others_steer_no_terminal_and_begin_no_line() -> None:
    forged = "layout:\x1b[2J\n✓ accepted: registry.example/x"
    check = Check(name="x", reason=Reason.FILE_UNREADABLE, detail=forged, evidence={"found": forged})
    verdict = Verdict.of(forged, checks=[check], parts=[Verdict.of(forged)], ignored=[Verdict.of(forged)])
    console = Console(file=io.StringIO(), width=1000)
    console.print(verdict_tree(verdict))
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert shown.count(r"layout:\x1b[2J\n✓ accepted: registry.example/x") == 5
    assert all(character.isprintable() for line in shown.split("\n") for character in line)
    assert len(shown.splitlines()) == 7
