from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.errors import FormatError
from dhallmark.package.archive import MAX_TIME, write_archive
from dhallmark.package.reader import read_archive

_PART = st.text(st.characters(codec="utf-8", categories=("L", "N"), include_characters="-_."), min_size=1, max_size=30)


def test_the_bytes_are_these_and_no_others(tmp_path: Path) -> None:
    # A golden value: whoever changes the writer changes every digest of every release.
    sha256, size = write_archive(tmp_path / "a.tgz", {"b/Chart.yaml": b"name: b\n", "a.txt": b""}, mtime=1_700_000_000)
    assert (sha256, size) == (
        "4dde783e6fd9630f5640aa41e9711b91516eb9ae5afce609aad052bdfb4d3d9e",
        10263,
    )
    assert hashlib.sha256((tmp_path / "a.tgz").read_bytes()).hexdigest() == sha256


def test_the_compressed_stream_leaves_a_compressor_no_choice(tmp_path: Path) -> None:
    content = os.urandom(200_000)
    write_archive(tmp_path / "a.tgz", {"x": content}, mtime=0)
    data = (tmp_path / "a.tgz").read_bytes()
    assert data[:10] == bytes.fromhex("1f8b08000000000000ff")
    position, blocks = 10, []
    while True:
        final, length, inverse = (
            data[position],
            *[int.from_bytes(data[position + offset : position + offset + 2], "little") for offset in (1, 3)],
        )
        assert length ^ inverse == 0xFFFF
        blocks.append((final, length))
        position += 5 + length
        if final:
            break
    assert position + 8 == len(data)
    assert all(length == 65535 and final == 0 for final, length in blocks[:-1])
    assert len(blocks) == 4


def test_other_readers_read_the_same(tmp_path: Path) -> None:
    members = {"web/Chart.yaml": b"name: web\n", "web/templates/" + "n" * 180 + ".yaml": b"x" * 70_000, "é": b"1"}
    write_archive(tmp_path / "a.tgz", members, mtime=5)
    with tarfile.open(tmp_path / "a.tgz") as archive:
        found = archive.getmembers()
        assert [item.name for item in found] == sorted(members, key=str.encode)
        assert {item.name: archive.extractfile(item).read() for item in found} == members  # type: ignore[union-attr]
        for item in found:
            assert (item.mode, item.uid, item.gid, item.uname, item.gname, item.mtime) == (0o644, 0, 0, "", "", 5)
            assert item.isreg()
    assert read_archive((tmp_path / "a.tgz").read_bytes(), what="a.tgz") == members


@given(
    members=st.dictionaries(
        st.lists(_PART, min_size=1, max_size=3).map("/".join), st.binary(max_size=2000), max_size=6
    ),
    mtime=st.integers(0, MAX_TIME),
)
def test_what_is_written_is_read_back_or_refused(
    members: dict[str, bytes], mtime: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("archive")
    try:
        first = write_archive(directory / "1", members, mtime=mtime)
    except FormatError:
        assert not list(directory.iterdir())
        return
    shuffled = dict(reversed(list(members.items())))
    assert write_archive(directory / "2", shuffled, mtime=mtime) == first
    assert read_archive((directory / "1").read_bytes(), what="archive") == members
    assert gzip.decompress((directory / "1").read_bytes())


def test_folder_clock_umask_and_order_change_nothing(tmp_path: Path) -> None:
    results = []
    for number, umask in enumerate((0o022, 0o077)):
        directory = tmp_path / f"somewhere-{number}"
        directory.mkdir()
        source = directory / "file"
        source.write_bytes(b"content")
        source.chmod(0o755 if number else 0o600)
        os.utime(source, (time.time() - 1000 * number,) * 2)
        previous = os.umask(umask)
        try:
            members: dict[str, bytes | Path] = {"b": source, "a": b"first"}
            results.append(write_archive(directory / "out.tgz", members, mtime=7))
        finally:
            os.umask(previous)
        assert (directory / "out.tgz").stat().st_mode & 0o777 == 0o644
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("members", "mtime", "problem"),
    [
        ({}, 0, "nothing to put"),
        ({"../x": b""}, 0, "unsafe"),
        ({"a": b"", "A": b""}, 0, "one file"),
        ({"a": b""}, -1, "time"),
        ({"a": b""}, MAX_TIME + 1, "time"),
    ],
)
def test_archives_that_could_not_be_trusted_are_not_written(
    members: dict[str, bytes | Path], mtime: int, problem: str, tmp_path: Path
) -> None:
    with pytest.raises(FormatError, match=problem):
        write_archive(tmp_path / "a.tgz", members, mtime=mtime)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_the_old_archive_whole(tmp_path: Path) -> None:
    target = tmp_path / "a.tgz"
    target.write_bytes(b"old")
    with pytest.raises(FileNotFoundError):
        write_archive(target, {"a": b"1", "b": tmp_path / "missing"}, mtime=0)
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.tgz"]


def test_a_file_that_grows_while_it_is_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    growing = tmp_path / "log"
    growing.write_bytes(b"12345")
    monkeypatch.setattr(Path, "open", lambda *_args, **_kwargs: io.BytesIO(b"123456"))
    with pytest.raises(FormatError, match="changed while"):
        write_archive(tmp_path / "a.tgz", {"log": growing}, mtime=0)
