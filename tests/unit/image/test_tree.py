"""The tree of an image: what may stand where, and the order in which it is written."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from dhallmark.digest import Digest
from dhallmark.errors import FormatError
from dhallmark.image.archive import write_layer
from dhallmark.image.tree import Directory, File, HardLink, Symlink, Tree, clean_path

EPOCH = 1_700_000_000


def write(tree: Tree, path: Path) -> list[tarfile.TarInfo]:
    write_layer(tree, path, comment="test")
    with tarfile.open(path) as archive:
        return archive.getmembers()


@pytest.mark.parametrize(
    ("text", "clean"), [("./usr/bin/env", "usr/bin/env"), ("/usr//bin/", "usr/bin"), ("./", ""), ("a/./b", "a/b")]
)
def test_paths_are_relative_to_the_root(text: str, clean: str) -> None:
    assert clean_path(text) == clean


@pytest.mark.parametrize("text", ["../etc/passwd", "usr/../../etc", ".."])
def test_a_path_that_leaves_the_root_is_refused(text: str) -> None:
    with pytest.raises(FormatError, match="leaves the root"):
        clean_path(text)


def test_layers_do_not_depend_on_the_order_of_adding(tmp_path: Path) -> None:
    names = ["b", "a/z", "a/b/c", "c"]
    digests = set()
    for number, order in enumerate((names, list(reversed(names)))):
        tree = Tree(epoch=EPOCH)
        for name in order:
            tree.file(name, name.encode())
        digests.add(write_layer(tree, tmp_path / f"{number}.tar", comment="test").digest)
    assert len(digests) == 1


def test_no_time_is_later_than_the_epoch(tmp_path: Path) -> None:
    tree = Tree(epoch=EPOCH)
    tree.add(File(path="old", content=b"", mtime=EPOCH - 5))
    tree.add(File(path="new", content=b"", mtime=EPOCH + 5))
    assert {member.name: member.mtime for member in write(tree, tmp_path / "t.tar")} == {
        "old": EPOCH - 5,
        "new": EPOCH,
    }


def test_missing_parents_are_written_before_their_children(tmp_path: Path) -> None:
    tree = Tree(epoch=EPOCH)
    tree.file("usr/local/bin/helm", b"x", mode=0o755)
    members = write(tree, tmp_path / "t.tar")
    assert [member.name for member in members] == ["usr", "usr/local", "usr/local/bin", "usr/local/bin/helm"]
    assert all(member.isdir() and member.mode == 0o755 for member in members[:3])


def test_the_first_of_linked_files_holds_the_content(tmp_path: Path) -> None:
    tree = Tree(epoch=EPOCH)
    tree.add(File(path="z", content=b"body", mtime=EPOCH, mode=0o755))
    tree.add(HardLink(path="a", target="z", mtime=EPOCH))
    tree.add(HardLink(path="m", target="z", mtime=EPOCH))
    members = {member.name: member for member in write(tree, tmp_path / "t.tar")}
    assert (members["a"].isreg(), members["a"].size, members["a"].mode) == (True, 4, 0o755)
    assert (members["m"].linkname, members["z"].linkname) == ("a", "a")
    with tarfile.open(tmp_path / "t.tar") as archive:
        archive.extractall(tmp_path / "out", filter="data")
    assert (tmp_path / "out" / "z").read_bytes() == b"body"


def test_a_hard_link_to_nothing_is_refused() -> None:
    tree = Tree(epoch=EPOCH)
    tree.add(HardLink(path="a", target="nowhere", mtime=EPOCH))
    with pytest.raises(FormatError, match="nowhere"):
        tree.entries()


def test_two_packages_may_share_a_directory_but_no_file() -> None:
    tree = Tree(epoch=EPOCH)
    tree.add(Directory(path="etc", mtime=EPOCH))
    tree.add(Directory(path="etc", mtime=EPOCH))
    tree.add(Symlink(path="etc/x", target="y", mtime=EPOCH))
    with pytest.raises(FormatError, match="etc/x"):
        tree.file("etc/x", b"")


def test_links_and_owners_survive(tmp_path: Path) -> None:
    tree = Tree(epoch=EPOCH)
    tree.add(Symlink(path="bin", target="usr/bin", mtime=EPOCH))
    tree.add(Directory(path="tmp", mode=0o1777, mtime=EPOCH, uid=0, gid=8))
    link, directory = write(tree, tmp_path / "t.tar")
    assert (link.issym(), link.linkname) == (True, "usr/bin")
    assert (directory.mode, directory.gid, directory.uname) == (0o1777, 8, "")


def test_a_layer_is_named_by_its_bytes(tmp_path: Path) -> None:
    tree = Tree(epoch=EPOCH)
    tree.file("a", b"b")
    layer = write_layer(tree, tmp_path / "t.tar", comment="test")
    assert layer.digest == Digest.of((tmp_path / "t.tar").read_bytes())
    assert layer.size == (tmp_path / "t.tar").stat().st_size
