"""Two archives of the same files: each way in which they may be packed differently has a name, and only those."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.audit.archive import WAYS, Archive, packing_differences
from dhallmark.errors import FormatError
from dhallmark.package.archive import write_archive

FILES = {"web/Chart.yaml": b"name: web\n", "web/templates/a.yaml": b"kind: A\n"}
TIME = 1_700_000_000
COMMENT = {"comment": "x"}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What dhallmark packs."""
    place = tmp_path_factory.mktemp("archive") / "web.tgz"
    write_archive(place, dict(FILES), mtime=TIME)
    return place.read_bytes()


def packed(
    files: Mapping[str, bytes] = FILES,
    *,
    change: Callable[[tarfile.TarInfo], object] = lambda _: None,
    reverse: bool = False,
    folders: bool = False,
    form: int = tarfile.USTAR_FORMAT,
    compress: int = 0,
) -> bytes:
    """The same by Python's tarfile, told otherwise in one way."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        if folders:
            info = tarfile.TarInfo("web")
            info.type, info.mtime = tarfile.DIRTYPE, TIME
            archive.addfile(info)
        for name in sorted(files, reverse=reverse):
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = len(files[name]), 0o644, TIME
            change(info)
            archive.addfile(info, io.BytesIO(files[name]))
    return gzip.compress(out.getvalue(), compress, mtime=0)


CASES: list[tuple[str, bytes]] = [
    ("tar.order", packed(reverse=True)),
    ("tar.folders", packed(folders=True)),
    ("tar.mtime", packed(change=lambda info: setattr(info, "mtime", 1))),
    ("tar.owner", packed(change=lambda info: setattr(info, "uname", "someone"))),
    ("tar.owner", packed(change=lambda info: setattr(info, "gid", 1000))),
    ("tar.mode", packed(change=lambda info: setattr(info, "mode", 0o600))),
    ("tar.dialect", packed(form=tarfile.GNU_FORMAT)),
    (
        "tar.dialect",
        packed(form=tarfile.PAX_FORMAT, change=lambda info: setattr(info, "pax_headers", COMMENT)),
    ),
    ("gzip.compression", packed(compress=9)),
]


@pytest.mark.parametrize(("way", "content"), CASES)
def test_each_way_is_named_and_no_other(way: str, content: bytes) -> None:
    found = packing_differences(Archive.read(packed(), what="one"), Archive.read(content, what="other"))
    # Python writes a level into the gzip header.
    assert [one for one in found if one != "gzip.header"] == [way]
    assert set(found) <= set(WAYS)


def test_the_same_bytes_differ_in_no_way(own: bytes) -> None:
    assert packing_differences(Archive.read(own, what="one"), Archive.read(own, what="other")) == ()


@pytest.mark.parametrize(
    "header",
    [
        b"\x1f\x8b\x08\x00\x01\x02\x03\x04\x00\xff",
        b"\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\xffweb.tar\x00",
        b"\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\xff\x02\x00xx",
        b"\x1f\x8b\x08\x10\x00\x00\x00\x00\x00\xffsaid\x00",
    ],
    ids=["time", "name", "extra", "comment"],
)
def test_a_gzip_header_is_one_way_whatever_it_holds(own: bytes, header: bytes) -> None:
    other = Archive.read(header + own[10:], what="other")
    assert other.header == header
    assert packing_differences(Archive.read(own, what="one"), other) == ("gzip.header",)


def test_blocks_at_the_end_are_a_way(own: bytes) -> None:
    tar = gzip.decompress(packed()) + bytes(10240)
    found = packing_differences(
        Archive.read(packed(), what="one"), Archive.read(gzip.compress(tar, 0, mtime=0), what="other")
    )
    assert found == ("tar.padding",)


def test_a_name_with_a_dot_before_it_is_another_spelling(own: bytes) -> None:
    # The strict reader knows one spelling of a name, so that no two readers see two files.
    with pytest.raises(FormatError):
        Archive.read(packed({f"./{name}": body for name, body in FILES.items()}), what="other")


@given(st.binary(max_size=600))
def test_any_bytes_give_an_archive_or_an_error(content: bytes) -> None:
    try:
        Archive.read(content, what="any")
    except FormatError:
        return


@given(st.integers(0, 2000), st.integers(1, 255))
def test_a_changed_byte_never_gives_another_error(place: int, change: int) -> None:
    content = bytearray(packed(compress=9))
    content[place % len(content)] ^= change
    try:
        Archive.read(bytes(content), what="any")
    except FormatError:
        return


def test_every_way_says_what_it_is() -> None:
    assert all(WAYS.values())


def test_the_reader_of_this_project_reads_what_it_packs(own: bytes, tmp_path: Path) -> None:
    assert Archive.read(own, what="own").files == FILES
    assert not Archive.read(own, what="own").compressed
