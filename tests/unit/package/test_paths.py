from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.errors import FormatError
from dhallmark.package.paths import check_name, check_names


@pytest.mark.parametrize("name", ["Chart.yaml", "templates/001-service-web.yaml", "a/b/c", ".helmignore", "größe.yaml"])
def test_names_that_mean_one_file_everywhere_pass(name: str) -> None:
    check_names([name], what="archive")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "empty"),
        ("/etc/passwd", "absolute"),
        ("../x", r"'\.\.'"),
        ("a/../../x", r"'\.\.'"),
        ("a//b", "empty part"),
        ("./a", "empty part"),
        ("a/", "empty part"),
        ("..\\x", "special"),
        ("C:x", "special"),
        ("a\0b", "printed"),
        ("a\nb", "printed"),
        ("a\u202eb", "printed"),
        ("a.", "space or dot"),
        ("a /b", "space or dot"),
        ("gro\u0308sse", "NFC"),
        ("x" * 256, "part longer"),
        ("x/" * 600 + "x", "longer than 1024"),
        ("\ud800", "printed"),
    ],
)
def test_names_that_lead_elsewhere_or_read_two_ways_are_refused(name: str, problem: str) -> None:
    with pytest.raises(FormatError, match=problem):
        check_name(name, what="archive")


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["a", "a"], "twice"),
        (["README", "readme"], "one file on some systems"),
        (["stra\u00dfe", "strasse"], "one file on some systems"),
        (["Templates/a", "templates/b"], "one file on some systems"),
        (["a", "a/b"], "a file and a folder"),
        (["a/b", "a"], "a file and a folder"),
        (["\u212b", "x"], "NFC"),
    ],
)
def test_names_that_collide_on_some_file_system_are_refused(names: list[str], problem: str) -> None:
    with pytest.raises(FormatError, match=problem):
        check_names(names, what="archive")


def test_files_in_one_folder_do_not_collide() -> None:
    check_names(["a/x", "a/y", "ab", "a-b"], what="archive")


@given(st.lists(st.text(max_size=40), max_size=6))
def test_any_names_pass_or_are_refused_with_a_format_error(names: list[str]) -> None:
    try:
        check_names(names, what="archive")
    except FormatError:
        return
    assert len({name.casefold() for name in names}) == len(names)
    assert not any(".." in name.split("/") or name.startswith("/") for name in names)
