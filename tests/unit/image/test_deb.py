"""Reading Debian packages."""

from __future__ import annotations

import tarfile
from pathlib import Path
from types import ModuleType

import pytest

from dhallmark.errors import FormatError
from dhallmark.image.deb import read_control, read_entries
from dhallmark.image.tree import Directory, File, HardLink, Symlink, read


def entries_of(content: bytes, folder: Path) -> list[object]:
    path = folder / "x.deb"
    path.write_bytes(content)
    return list(read_entries(path, scratch=folder / "x.tar"))


@pytest.mark.parametrize("compression", ["xz", ""])
def test_files_directories_and_links_come_with_their_attributes(
    debs: ModuleType, tmp_path: Path, compression: str
) -> None:
    content = debs.deb(
        "tool",
        "1.0",
        [
            (debs.entry("./", tarfile.DIRTYPE, mode=0o755), b""),
            (debs.entry("./usr/bin", tarfile.DIRTYPE, mode=0o755), b""),
            (debs.entry("./usr/bin/tool", mode=0o755), b"#!program"),
            (debs.entry("./usr/bin/alias", tarfile.SYMTYPE, target="tool"), b""),
            (debs.entry("./usr/bin/same", tarfile.LNKTYPE, target="./usr/bin/tool"), b""),
        ],
        compression=compression,
    )
    directory, file, alias, same = entries_of(content, tmp_path)
    assert isinstance(directory, Directory)
    assert isinstance(file, File)
    assert (file.path, file.mode, file.mtime, read(file.content)) == (
        "usr/bin/tool", 0o755, 1_600_000_000, b"#!program",
    )  # fmt: skip
    assert isinstance(alias, Symlink)
    assert alias.target == "tool"
    assert isinstance(same, HardLink)
    assert same.target == "usr/bin/tool"


def test_control_fields_are_read(debs: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "x.deb"
    path.write_bytes(debs.deb("tool", "1.0", []))
    assert read_control(path)["control"].startswith(b"Package: tool\nVersion: 1.0\n")


def test_devices_are_refused(debs: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="device"):
        entries_of(debs.deb("tool", "1.0", [(debs.entry("./dev/null", tarfile.CHRTYPE), b"")]), tmp_path)


def test_paths_that_leave_the_root_are_refused(debs: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="leaves the root"):
        entries_of(debs.deb("tool", "1.0", [(debs.entry("./../etc/passwd"), b"x")]), tmp_path)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"debian-binary": b"2.0\n"}, "no data.tar"),
        ({"data.tar.zst": b"x"}, "compression"),
    ],
)
def test_other_archives_are_refused(debs: ModuleType, tmp_path: Path, members: dict[str, bytes], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        entries_of(debs.ar(members), tmp_path)


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="not a Debian package"):
        entries_of(b"hello", tmp_path)
