"""Names of materials and products: one name, one file, nothing left out."""

from __future__ import annotations

import locale
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.digest import Digest
from dhallmark.errors import InputError
from dhallmark.steps.artifacts import hash_names, list_names, open_view, refuse_collisions, require_all, require_covered


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project" / "apps").mkdir(parents=True)
    (tmp_path / "project" / "apps" / "web.dhall").write_text("1\n")
    (tmp_path / "project" / "build" / "render" / "dev").mkdir(parents=True)
    (tmp_path / "project" / "build" / "render" / "dev" / "Chart.yaml").write_text("a: 1\n")
    return tmp_path / "project"


def test_names_are_the_same_wherever_the_build_directory_stands(project: Path, tmp_path: Path) -> None:
    names = ["apps/web.dhall", "build/render"]
    with open_view(project, project / "build") as view:
        inside = hash_names(view, names)
    (project / "build").rename(tmp_path / "elsewhere")
    with open_view(project, tmp_path / "elsewhere") as view:
        outside = hash_names(view, names)
    assert (
        inside
        == outside
        == {
            "apps/web.dhall": {"sha256": Digest.of(b"1\n").hex},
            "build/render/dev/Chart.yaml": {"sha256": Digest.of(b"a: 1\n").hex},
        }
    )


def test_a_project_and_a_build_directory_behind_links_have_plain_names(project: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(project)
    with open_view(tmp_path / "link", tmp_path / "link" / "build") as view:
        assert list_names(view, ["apps", "build"]) == ("apps/web.dhall", "build/render/dev/Chart.yaml")


@pytest.mark.parametrize(
    "name", ["x.link", "x.link.dhall", "backup~", "module.pyc", ".git", ".hidden", "a b", "a:b", "[x]"]
)
def test_nothing_is_left_out_for_its_name(project: Path, name: str) -> None:
    (project / "apps" / name).write_text("x")
    with open_view(project, project / "build") as view:
        assert f"apps/{name}" in hash_names(view, ["apps"])


def _link_to_file(folder: Path) -> None:
    (folder / "x").symlink_to(folder / "web.dhall")


def _link_to_folder(folder: Path) -> None:
    (folder / "x").symlink_to(folder.parent)


def _broken_link(folder: Path) -> None:
    (folder / "x").symlink_to("nothing")


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "x")


def _backslash(folder: Path) -> None:
    (folder / "a\\b").write_text("x")


def _line_feed(folder: Path) -> None:
    (folder / "a\nb").write_text("x")


def _no_utf8(folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff")).write_text("x")


def _case(folder: Path) -> None:
    (folder / "WEB.dhall").write_text("x")


def _folder_case(folder: Path) -> None:
    for name in ("sub", "Sub"):
        (folder / name).mkdir()
        (folder / name / name).write_text("x")


def _unicode(folder: Path) -> None:
    for form in ("NFC", "NFD"):
        (folder / unicodedata.normalize(form, "é")).write_text("x")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_link_to_file, "symbolic link"),
        (_link_to_folder, "symbolic link"),
        (_broken_link, "symbolic link"),
        (_pipe, "neither a file nor a folder"),
        (_backslash, "backslash"),
        (_line_feed, "control character"),
        (_no_utf8, "no UTF-8"),
        (_case, "one file"),
        (_folder_case, "one file"),
        (_unicode, "one file"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(project: Path, make: Callable[[Path], None], message: str) -> None:
    make(project / "apps")
    with open_view(project, project / "build") as view, pytest.raises(InputError, match=message):
        list_names(view, ["apps"])


@pytest.mark.parametrize(
    "name", ["../x", "apps/../../x", "/etc/passwd", "", ".", "a\\b", "file:apps", "dir:dir:apps", "dir:"]
)
def test_a_name_that_is_not_plain_is_refused(project: Path, name: str) -> None:
    with open_view(project, project / "build") as view, pytest.raises(InputError):
        list_names(view, [name])


def test_a_name_that_leads_through_a_link_is_refused(project: Path) -> None:
    (project / "linked").symlink_to(project / "apps")
    (project / "build" / "linked").symlink_to(project / "apps")
    with open_view(project, project / "build") as view:
        for name in ("linked/web.dhall", "linked", "build/linked/web.dhall"):
            with pytest.raises(InputError, match="symbolic link"):
                list_names(view, [name])


def test_a_missing_file_is_named(project: Path) -> None:
    with open_view(project, project / "build") as view, pytest.raises(InputError, match="no such file") as caught:
        list_names(view, ["apps/none.dhall"])
    assert caught.value.where is not None
    assert caught.value.where.file == "apps/none.dhall"


def test_a_folder_can_be_one_artifact(project: Path) -> None:
    name = "dir:build/render/dev"
    with open_view(project, project / "build") as view:
        digests = hash_names(view, [name])
        assert list_names(view, [name]) == (name,)
        # What in-toto documents: the digest of the sorted output of sha256sum.
        listing = f"{Digest.of(b'a: 1' + chr(10).encode()).hex}  Chart.yaml\n"
        assert digests == {name: {"sha256": Digest.of(listing.encode()).hex}}
        (project / "build" / "render" / "dev" / "extra~").write_text("x")
        assert hash_names(view, [name]) != digests


@pytest.mark.parametrize("make", [_link_to_file, _broken_link, _pipe, _line_feed, _no_utf8, _unicode])
def test_a_folder_as_one_artifact_is_looked_into(project: Path, make: Callable[[Path], None]) -> None:
    make(project / "apps")
    with open_view(project, project / "build") as view, pytest.raises(InputError):
        hash_names(view, ["dir:apps"])


def test_hashing_a_folder_leaves_the_locale(project: Path) -> None:
    before = locale.setlocale(locale.LC_ALL, "C.UTF-8")
    with open_view(project, project / "build") as view:
        hash_names(view, ["dir:apps"])
    assert locale.setlocale(locale.LC_ALL) == before


@pytest.mark.parametrize(
    ("names", "covered"),
    [
        (["dir:build/render/dev"], True),
        (["dir:build/render"], True),
        (["build/render/dev/Chart.yaml"], True),
        (["dir:build/render/de"], False),
        (["dir:build/render/dev/Chart.yaml"], False),
        (["build/render/dev"], False),
        ([], False),
    ],
)
def test_a_file_that_no_name_covers_is_found(project: Path, names: list[str], *, covered: bool) -> None:
    with open_view(project, project / "build") as view:
        if covered:
            require_covered(view, "build/render", names)
        else:
            with pytest.raises(InputError, match="no part"):
                require_covered(view, "build/render", names)


@pytest.mark.parametrize(("expected", "recorded"), [({"a"}, {}), (set(), {"a": {}}), ({"a"}, {"b": {}})])
def test_a_record_that_differs_from_the_listing_is_refused(
    expected: set[str], recorded: dict[str, dict[str, str]]
) -> None:
    with pytest.raises(InputError, match="while the step was recorded"):
        require_all(expected, recorded)


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1), unique=True))
def test_names_that_pass_stay_apart_when_folded(names: list[str]) -> None:
    try:
        refuse_collisions(names)
    except InputError:
        return
    folded = {unicodedata.normalize("NFC", name).casefold() for name in names}
    assert len(folded) == len(names)
