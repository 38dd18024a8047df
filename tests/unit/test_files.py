import os
import stat
from pathlib import Path

import pytest

from dhallmark.files import directory_atomic, write_atomic, write_if_changed


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def test_a_file_is_written_whole_with_its_mode_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_atomic(tmp_path / "new" / "file", "tëxt", mode=0o644)
    finally:
        os.umask(before)
    path = tmp_path / "new" / "file"
    assert path.read_bytes() == "tëxt".encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_atomic(tmp_path / "file", b"old")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        write_atomic(tmp_path / "folder", b"a file cannot replace a folder")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert names(tmp_path) == {"file", "folder"}


def test_an_unchanged_file_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert write_if_changed(path, b"same")
    os.utime(path, (1, 1))
    assert not write_if_changed(path, b"same")
    assert path.stat().st_mtime == 1
    assert write_if_changed(path, b"other")
    assert path.read_bytes() == b"other"


@pytest.mark.parametrize("existing", [False, True], ids=["new", "existing"])
def test_a_directory_takes_its_place_on_success(tmp_path: Path, existing: bool) -> None:  # noqa: FBT001
    target = tmp_path / "tree"
    if existing:
        target.mkdir()
        (target / "old").write_text("old")
    with directory_atomic(target) as folder:
        (folder / "new").write_text("new")
        assert not (target / "new").exists()
    assert names(target) == {"new"}
    assert names(tmp_path) == {"tree"}


def test_a_failed_directory_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "tree"
    target.mkdir()
    (target / "old").write_text("old")

    def fail() -> None:
        with directory_atomic(target) as folder:
            (folder / "half").write_text("half")
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        fail()
    assert names(target) == {"old"}
    assert names(tmp_path) == {"tree"}
