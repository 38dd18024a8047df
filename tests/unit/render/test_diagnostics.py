from pathlib import Path

import pytest

from dhallmark.render.diagnostics import render_error
from dhallmark.render.sources import SourceImport

TYPE_ERROR = """dhall:
↳ ./apps/a.dhall

\x1b[1;31mError\x1b[0m: Wrong type of function argument

- Natural
+ Text

3│     f "s"

/project/apps/a.dhall:3:5

1│ ./apps/a.dhall

(input):1:8

Use "dhall --explain" for detailed errors
"""
REMOTE = "dhall:\nError: Remote host not found\n\nURL: http://h.test/p.dhall\n"


def test_the_innermost_position_is_taken() -> None:
    error = render_error(TYPE_ERROR, root=Path("/project"), unit="dev/a")
    assert str(error.where) == "apps/a.dhall:3:5"
    assert error.message.startswith("dev/a: Wrong type of function argument\n- Natural\n+ Text")
    assert "--explain" not in error.message


def test_a_position_in_dhallmarks_own_expression_is_none() -> None:
    text = "dhall:\nError: Not a function\n\n1│ 1 2\n\n(input):1:1\n"
    assert render_error(text, root=Path("/project")).where is None


def test_a_remote_import_gets_the_position_that_dhall_leaves_out() -> None:
    item = SourceImport(kind="remote", target="http://h.test/p.dhall", line=4, column=2)
    error = render_error(REMOTE, root=Path("/project"), remotes=[("lib/x.dhall", item)])
    assert str(error.where) == "lib/x.dhall:4:2"
    assert error.message.startswith("Remote host not found")
    assert error.hint


@pytest.mark.parametrize("text", ["", "Segmentation fault", "Error:", "\x1b[1;31mError\x1b[0m: \n\n"])
def test_any_text_becomes_an_error_with_a_message(text: str) -> None:
    assert render_error(text, root=Path("/project")).message


def test_a_long_message_is_cut() -> None:
    error = render_error("Error: bad\n\n" + "- type\n" * 100_000, root=Path("/project"))
    assert len(error.message) < 2000
