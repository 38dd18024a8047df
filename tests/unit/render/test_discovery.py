from pathlib import Path

import pytest

from dhallmark.digest import Digest
from dhallmark.errors import RenderError
from dhallmark.render import discovery
from dhallmark.render.discovery import File, discover

HASH = "sha256:" + "ab" * 32
URL = "https://packages.example.test/p.dhall"


def write(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_dhall", ".dhall")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_all_files_are_found_once_with_the_digest_of_their_bytes(tmp_path: Path) -> None:
    write(
        tmp_path,
        apps__a_dhall="../lib/x.dhall ../lib/../lib/y.dhall",
        lib__x_dhall="./y.dhall",
        lib__y_dhall="./t.sql as Text",
    )
    (tmp_path / "lib" / "t.sql").write_text("./not-an-import.dhall")
    found = discover(["apps/a.dhall"], root=tmp_path)
    assert sorted(found.files) == [
        File("apps/a.dhall"), File("lib/t.sql", "text"), File("lib/x.dhall"), File("lib/y.dhall")
    ]  # fmt: skip
    assert found.files[File("lib/x.dhall")] == Digest.of(b"./y.dhall")
    assert found.children("apps/a.dhall") == [File("lib/x.dhall"), File("lib/y.dhall")]
    assert not found.has_alternatives()


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("[ ../../x.dhall ]", "leaves the project", 3),
        ("[ /etc/hostname as Text ]", "leaves the project", 3),
        ("[ ~/x.dhall ]", "leaves the project", 3),
        ("[ env:HOME as Text ]", "from the environment: env:HOME", 3),
        ("[ missing ]", "never resolves", 3),
        (f"[ 1 ? missing {HASH} ]", "never resolves", 7),
        (f"[ {URL} ]", "not frozen", 3),
        (f"[ ./b.dhall ? {URL} ]", "not frozen", 15),
        (f"[ {URL} using ./headers.dhall {HASH} ]", "request headers", 3),
    ],
)
def test_an_import_that_a_release_may_not_have_is_refused_where_it_stands(
    tmp_path: Path, text: str, message: str, column: int
) -> None:
    write(tmp_path, apps__a_dhall="1", apps__b_dhall=f"let x = 1\n\nin {text}")
    with pytest.raises(RenderError, match=message) as caught:
        discover(["apps/b.dhall"], root=tmp_path)
    where = caught.value.where
    assert where is not None
    assert (where.file, where.line, where.column) == ("apps/b.dhall", 3, column + 3)
    assert caught.value.hint


def test_a_location_is_not_read(tmp_path: Path) -> None:
    write(tmp_path, a_dhall=f"[ ../../x as Location, {URL} as Location, ./nowhere as Location ]")
    found = discover(["a.dhall"], root=tmp_path)
    assert set(found.files) == {File("a.dhall")}
    assert found.remotes() == []


@pytest.mark.parametrize("name", ["b.dhall", "lib/b.dhall"])
def test_a_symlink_that_leaves_the_project_is_refused(tmp_path: Path, name: str) -> None:
    root = tmp_path / "project"
    write(root, a_dhall=f"./{name}")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "b.dhall").write_text("1")
    if "/" in name:
        (root / "lib").symlink_to(tmp_path / "outside")
    else:
        (root / name).symlink_to(tmp_path / "outside" / "b.dhall")
    with pytest.raises(RenderError, match="symlink that leaves the project") as caught:
        discover(["a.dhall"], root=root)
    assert str(caught.value.where) == "a.dhall:1:1"


def test_a_symlink_inside_the_project_and_a_project_behind_one_are_followed(tmp_path: Path) -> None:
    write(tmp_path / "project", a_dhall="./link.dhall", b_dhall="1")
    (tmp_path / "project" / "link.dhall").symlink_to("b.dhall")
    (tmp_path / "elsewhere").symlink_to("project")
    assert File("link.dhall") in discover(["a.dhall"], root=tmp_path / "elsewhere").files


def test_an_import_cycle_is_walked_once(tmp_path: Path) -> None:
    write(tmp_path, a_dhall="./b.dhall", b_dhall="./a.dhall")
    assert len(discover(["a.dhall"], root=tmp_path).files) == 2


def test_a_missing_entry_and_a_missing_import_differ(tmp_path: Path) -> None:
    write(tmp_path, a_dhall="./nowhere.dhall ? 1")
    assert discover(["a.dhall"], root=tmp_path).has_alternatives()
    with pytest.raises(RenderError, match=r"no such file: b\.dhall"):
        discover(["b.dhall"], root=tmp_path)


def test_bytes_that_are_no_utf_8_are_refused_where_they_stand(tmp_path: Path) -> None:
    (tmp_path / "a.dhall").write_bytes(b"let x = 1\nin \xff")
    with pytest.raises(RenderError, match="not UTF-8") as caught:
        discover(["a.dhall"], root=tmp_path)
    assert str(caught.value.where) == "a.dhall:2:4"


def test_a_source_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "MAX_SOURCE", 10)
    write(tmp_path, a_dhall="1" * 11)
    with pytest.raises(RenderError, match="larger than"):
        discover(["a.dhall"], root=tmp_path)
