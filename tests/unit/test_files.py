import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from dhallmark.digest import Digest
from dhallmark.files import (
    UnreadableFileError,
    digest_regular,
    directory_atomic,
    read_regular,
    write_atomic,
    write_if_changed,
)


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


def test_pieces_are_written_as_one_file_or_not_at_all(tmp_path: Path) -> None:
    write_atomic(tmp_path / "file", (b"%d\n" % number for number in range(3)))
    assert (tmp_path / "file").read_bytes() == b"0\n1\n2\n"

    def broken() -> Iterator[bytes]:
        yield b"half"
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        write_atomic(tmp_path / "file", broken())
    assert (tmp_path / "file").read_bytes() == b"0\n1\n2\n"
    assert names(tmp_path) == {"file"}


def test_a_regular_file_is_read_to_its_last_byte_and_no_further(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_regular(path, max_bytes=5) == b"12345"
    assert digest_regular(path, max_bytes=5) == (Digest.of(b"12345"), None)
    assert digest_regular(path, max_bytes=5, keep=5) == (Digest.of(b"12345"), b"12345")
    assert digest_regular(path, max_bytes=5, keep=4) == (Digest.of(b"12345"), None)
    with pytest.raises(UnreadableFileError, match="stopped"):
        digest_regular(path, max_bytes=5, stopped=lambda: True)
    for read in (read_regular, digest_regular):
        with pytest.raises(UnreadableFileError, match="5 bytes; at most 4"):
            read(path, max_bytes=4)


@pytest.mark.parametrize("size", [0, 1, 2**20 - 1, 2**20, 2**20 + 1, 2**21 + 1])
def test_a_file_of_any_size_is_read_whole(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    path = tmp_path / "file"
    path.write_bytes(content)
    assert read_regular(path, max_bytes=size) == content
    assert digest_regular(path, max_bytes=size, keep=size) == (Digest.of(content), content)


@pytest.mark.parametrize("size", [3, 8])
def test_a_file_that_grows_or_shrinks_meanwhile_is_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    true = path.stat()
    monkeypatch.setattr(os, "fstat", lambda _: os.stat_result((*true[:6], size, *true[7:])))
    assert read_regular(path, max_bytes=8) == b"12345"
    assert digest_regular(path, max_bytes=8, keep=8) == (Digest.of(b"12345"), b"12345")


def test_a_file_that_does_not_say_its_size_is_read_whole() -> None:
    assert b"Pid:" in read_regular("/proc/self/status", max_bytes=2**16)
    with pytest.raises(UnreadableFileError, match="more than 10 bytes"):
        read_regular("/proc/self/status", max_bytes=10)


@pytest.mark.parametrize("kind", ["pipe", "folder", "missing", "null", "device", "endless", "loop"])
def test_what_is_no_regular_file_is_an_error_and_no_wait(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to("x")
    other = {"null": Path("a\0b"), "device": Path("/dev/zero"), "endless": Path("/proc/self/mem")}
    with pytest.raises(UnreadableFileError):
        read_regular(other.get(kind, path), max_bytes=100)
