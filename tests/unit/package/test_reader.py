from __future__ import annotations

import contextlib
import gzip
import io
import tarfile
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.errors import FormatError
from dhallmark.package.reader import Limits, read_archive

_SMALL = Limits(compressed=1_000_000, expanded=500_000, members=20)


def tar(*members: tuple[tarfile.TarInfo, bytes], format_: int = tarfile.USTAR_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format_) as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def member(
    name: str,
    content: bytes = b"x",
    *,
    kind: bytes = tarfile.REGTYPE,
    link: str = "",
    pax: dict[str, str] | None = None,
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = link
    info.pax_headers = pax or {}
    return info, content


def read(raw: bytes, limits: Limits = _SMALL) -> dict[str, bytes]:
    return read_archive(gzip.compress(raw), what="chart.tgz", limits=limits)


@pytest.mark.parametrize("format_", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_plain_archives_of_each_dialect_are_read(format_: int) -> None:
    raw = tar(member("web/Chart.yaml", b"name: web\n"), member("web/values.yaml", b""), format_=format_)
    assert read(raw) == {"web/Chart.yaml": b"name: web\n", "web/values.yaml": b""}


def test_long_and_non_ascii_names_come_from_pax_headers() -> None:
    long = "web/templates/" + "n" * 200 + ".yaml"
    raw = tar(member(long, b"1"), member("web/größe.yaml", b"2"), format_=tarfile.PAX_FORMAT)
    assert read(raw) == {long: b"1", "web/größe.yaml": b"2"}


def test_folders_are_left_out() -> None:
    raw = tar(member("web/", b"", kind=tarfile.DIRTYPE), member("web/Chart.yaml"))
    assert list(read(raw)) == ["web/Chart.yaml"]


def test_a_global_comment_such_as_git_writes_is_ignored() -> None:
    raw = tarfile.TarInfo.create_pax_global_header({"comment": "4b825dc642cb6eb9a060e54bf8d69288fbee4904"})
    assert read(raw + tar(member("a", b"1"))) == {"a": b"1"}


def _broken(change: Callable[[bytearray], None]) -> bytes:
    raw = bytearray(tar(member("a", b"1" * 600)))
    change(raw)
    return bytes(raw)


def _sum(raw: bytearray) -> None:
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw[:512])


def _set(start: int, value: bytes, *, repair: bool = True) -> Callable[[bytearray], None]:
    def change(raw: bytearray) -> None:
        raw[start : start + len(value)] = value
        if repair:
            _sum(raw)

    return change


def _pax_record(body: bytes) -> bytes:
    info = tarfile.TarInfo("pax")
    info.type = b"x"
    info.size = len(body)
    return info.tobuf(tarfile.USTAR_FORMAT) + body + bytes(-len(body) % 512) + tar(member("a", b"1"))


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (tar(member("../evil")), "unsafe"),
        (tar(member("web/../../evil")), "unsafe"),
        (tar(member("/etc/cron.d/evil")), "absolute"),
        (tar(member("..\\evil")), "unsafe"),
        (tar(member("../evil/", b"", kind=tarfile.DIRTYPE)), "unsafe"),
        (tar(member("evil", b"", kind=tarfile.SYMTYPE, link="/etc/passwd")), "symbolic link"),
        (tar(member("evil", b"", kind=tarfile.LNKTYPE, link="/etc/passwd")), "hard link"),
        (tar(member("evil", b"", kind=tarfile.CHRTYPE)), "character device"),
        (tar(member("evil", b"", kind=tarfile.BLKTYPE)), "block device"),
        (tar(member("evil", b"", kind=tarfile.FIFOTYPE)), "named pipe"),
        (tar(member("evil", b"", kind=tarfile.CONTTYPE)), "no regular file"),
        (tar(member("evil", kind=tarfile.GNUTYPE_SPARSE)), "no regular file"),
        (tar(member("n" * 200), format_=tarfile.GNU_FORMAT), "no regular file"),
        (tar(member("a", b"1"), member("a", b"2")), "twice"),
        (tar(member("Chart.yaml", b"1"), member("chart.yaml", b"2")), "one file on some systems"),
        (tar(member("a", b"1"), member("a/b", b"2")), "a file and a folder"),
        (tar(member("a", b"1"), member("a/", b"", kind=tarfile.DIRTYPE)), "a file and a folder"),
        (tar(member("a", pax={"GNU.sparse.name": "b"}), format_=tarfile.PAX_FORMAT), "may change"),
        (tar(member("a", pax={"linkpath": "b"}), format_=tarfile.PAX_FORMAT), "may change"),
        (_pax_record(b"9 size=9\n"), "may change"),
        (_pax_record(b"0 path=b\n"), "malformed"),
        (_pax_record(b"999 path=b\n"), "malformed"),
        (_pax_record(b"x path=b\n"), "malformed"),
        (_pax_record(b"8 path=b\n"), "malformed"),
        (_pax_record(b"9 path=b\n9 path=c\n"), "twice"),
        (_pax_record(b"8 path=\n"), "empty path"),
        (_pax_record(b"9 path=\xff\n"), "UTF-8"),
        (_pax_record(b"9 path=b\n")[:1024], "a header is cut off"),
        (_pax_record(b"9 path=b\n")[:1024] + _pax_record(b"9 path=b\n"), "after a pax header"),
        (_pax_record(b"9 path=b\n")[:1024] + bytes(1024), "ends with a pax header"),
        (tarfile.TarInfo.create_pax_global_header({"path": "evil"}) + tar(member("a")), "names files"),
        (tar(*[member(f"f{number}") for number in range(30)]), "more than 20 members"),
        (tar(member("big", bytes(600_000))), "expands to more than"),
        (tar(member("a")) + b"more", "follows its end"),
        (tar(member("a"))[:1024], "a header is cut off"),
        (tar(member("a"))[: 1024 + 512], "its end is cut off"),
        (tar(member("a", b"1" * 600))[:900], "cut off"),
        (_broken(_set(0, b"b", repair=False)), "wrong checksum"),
        (_broken(_set(257, b"oldtar\0\0")), "not a ustar"),
        (_broken(_set(124, b"9999999")), "no octal"),
        (_broken(_set(124, b"\x80\0\0\0")), "no octal"),
        (_broken(_set(124, b"77777777777")), "cut off"),
        (_broken(_set(90, b"hidden")), "after its end"),
        (_broken(_set(0, b"\xff\xfe")), "UTF-8"),
        (_broken(_set(512 + 600, b"padding", repair=False)), "padding"),
        (b"", "a header is cut off"),
    ],
)  # fmt: skip
def test_hostile_archives_are_refused(raw: bytes, problem: str) -> None:
    with pytest.raises(FormatError, match=problem):
        read(raw)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "cut off"),
        (b"not gzip at all", "not gzip"),
        (gzip.compress(tar(member("a")))[:-4], "cut off"),
        (gzip.compress(tar(member("a"))) + b"trailing", "follows the gzip stream"),
        (gzip.compress(tar(member("a"))) + gzip.compress(b""), "follows the gzip stream"),
        (gzip.compress(bytes(50_000_000)), "expands to more than"),
        (bytes(1_000_001), "more than the 1000000 allowed"),
        (gzip.compress(tar(member("a")))[:-8] + bytes(8), "not gzip"),
    ],
    ids=["empty", "text", "cut", "trailing", "two-members", "bomb", "long", "wrong-checksum"],
)
def test_streams_that_are_not_one_gzip_member_are_refused(content: bytes, problem: str) -> None:
    with pytest.raises(FormatError, match=problem):
        read_archive(content, what="chart.tgz", limits=_SMALL)


@given(st.binary(max_size=3000))
def test_any_bytes_give_files_or_a_format_error(content: bytes) -> None:
    for candidate in (content, gzip.compress(content)):
        with contextlib.suppress(FormatError):
            read_archive(candidate, what="fuzz", limits=_SMALL)


@given(st.data())
def test_any_change_of_a_good_archive_gives_files_or_a_format_error(data: st.DataObject) -> None:
    raw = bytearray(tar(member("web/Chart.yaml", b"1" * 700), member("é", b"2"), format_=tarfile.PAX_FORMAT))
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        files = read(bytes(raw))
    except FormatError:
        return
    assert all(".." not in name.split("/") and not name.startswith("/") for name in files)


def test_a_bomb_is_refused_before_it_is_expanded() -> None:
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(compressor.compress(bytes(1 << 20)) for _ in range(300)) + compressor.flush()
    with pytest.raises(FormatError, match="expands to more than"):
        read_archive(bomb, what="bomb")
