"""Layers hold what a folder holds, in bytes that depend on nothing else."""

import os
import socket
import tarfile
from pathlib import Path

import pytest

from toolchain.tarball import index, write_layer

EPOCH = 1_700_000_000


def make_tree(root: Path) -> Path:
    (root / "etc").mkdir(parents=True)
    (root / "etc/file").write_text("content")
    (root / "etc/link").symlink_to("file")
    (root / "bin").mkdir()
    (root / "bin/tool").write_text("#!")
    (root / "bin/tool").chmod(0o755)
    return root


def names(layer: Path) -> list[str]:
    with tarfile.open(layer) as archive:
        return archive.getnames()


def test_same_tree_made_at_other_times_in_other_order_is_the_same_layer(tmp_path: Path) -> None:
    one = make_tree(tmp_path / "one")
    two = tmp_path / "two"
    (two / "bin").mkdir(parents=True)
    (two / "bin/tool").write_text("#!")
    (two / "bin/tool").chmod(0o755)
    (two / "etc").mkdir()
    (two / "etc/link").symlink_to("file")
    (two / "etc/file").write_text("content")
    os.utime(two / "etc/file", (EPOCH + 99, EPOCH + 99))
    for root in (one, two):
        write_layer(root, root.with_suffix(".tar"), epoch=EPOCH)
    assert one.with_suffix(".tar").read_bytes() == two.with_suffix(".tar").read_bytes()


@pytest.mark.parametrize(("time", "expected"), [(EPOCH - 5, EPOCH - 5), (EPOCH + 5, EPOCH)])
def test_times_end_at_the_epoch(tmp_path: Path, time: int, expected: int) -> None:
    root = make_tree(tmp_path / "root")
    os.utime(root / "etc/file", (time, time))
    write_layer(root, tmp_path / "layer.tar", epoch=EPOCH)
    with tarfile.open(tmp_path / "layer.tar") as archive:
        assert archive.getmember("etc/file").mtime == expected


def test_modes_links_and_content_are_kept(tmp_path: Path) -> None:
    write_layer(make_tree(tmp_path / "root"), tmp_path / "layer.tar", epoch=EPOCH)
    with tarfile.open(tmp_path / "layer.tar") as archive:
        assert archive.getnames() == ["bin", "bin/tool", "etc", "etc/file", "etc/link"]
        assert archive.getmember("bin/tool").mode == 0o755
        assert archive.getmember("etc/link").linkname == "file"
        content = archive.extractfile("etc/file")
        assert content is not None
        assert content.read() == b"content"


def test_sockets_and_mounted_file_systems_are_left_out(tmp_path: Path) -> None:
    root = tmp_path / "r"
    (root / "proc/1").mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "socket"))
        write_layer(root, tmp_path / "layer.tar", epoch=EPOCH)
    assert names(tmp_path / "layer.tar") == ["proc"]


def test_layer_on_a_base_holds_changes_and_whiteouts_only(tmp_path: Path) -> None:
    root = make_tree(tmp_path / "root")
    (root / "gone/deep").mkdir(parents=True)
    (root / "gone/deep/file").touch()
    (root / "etc/old").touch()
    below = index(root)
    (root / "etc/file").write_text("changed")
    (root / "bin/tool").chmod(0o700)
    (root / "new").touch()
    (root / "etc/old").unlink()
    (root / "gone/deep/file").unlink()
    (root / "gone/deep").rmdir()
    (root / "gone").rmdir()
    write_layer(root, tmp_path / "layer.tar", epoch=EPOCH, below=below)
    assert names(tmp_path / "layer.tar") == ["bin/tool", "etc/file", "new", "etc/.wh.old", ".wh.gone"]


def test_touching_a_file_changes_nothing(tmp_path: Path) -> None:
    root = make_tree(tmp_path / "root")
    below = index(root)
    os.utime(root / "etc/file", (1, 1))
    write_layer(root, tmp_path / "layer.tar", epoch=EPOCH, below=below)
    assert names(tmp_path / "layer.tar") == []
