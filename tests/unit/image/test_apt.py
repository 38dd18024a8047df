"""What apt prints, as packages of the lock."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from dhallmark.digest import Digest
from dhallmark.errors import FormatError, UsageError
from dhallmark.image import apt
from dhallmark.image.lock import DebianPackage

SITES = {"http://mirror.test/debian": "debian", "http://mirror.test/debian-security": "debian-security"}
SHA256 = "a" * 64


def parse(line: str) -> DebianPackage:
    match = apt._URI_LINE.match(line)
    assert match is not None
    return apt._package(match, SITES)


def package(content: bytes, *, archive: str = "debian") -> DebianPackage:
    return DebianPackage(
        name="tool", version="1:2.0", architecture="all", archive=archive, path="pool/main/t/tool_2.0_all.deb",
        size=len(content), sha256=Digest.of(content).hex,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://mirror.test/debian", "debian"),
        ("https://mirror.test/some/where/debian-security/", "debian-security"),
    ],
)
def test_an_archive_is_named_by_the_end_of_its_mirror(url: str, name: str) -> None:
    assert apt.archive_name(url) == name


def test_a_package_is_read_without_its_mirror() -> None:
    found = parse(
        "'http://mirror.test/debian-security/pool/updates/main/z/zlib/zlib1g_1.3%2br_amd64.deb' "
        f"zlib1g_1%3a1.3+r_amd64.deb 88720 SHA256:{SHA256}"
    )
    assert found.name == "zlib1g"
    assert found.version == "1:1.3+r"
    assert found.archive == "debian-security"
    assert found.path == "pool/updates/main/z/zlib/zlib1g_1.3%2br_amd64.deb"
    assert found.file == "zlib1g_1.3+r_amd64.deb"


def test_a_package_of_an_unknown_mirror_is_refused() -> None:
    with pytest.raises(FormatError, match="no known mirror"):
        parse(f"'http://other.test/debian/pool/main/a/a_1_all.deb' a_1_all.deb 1 SHA256:{SHA256}")


def test_without_the_main_archive_nothing_is_resolved() -> None:
    with pytest.raises(UsageError, match="debian"):
        apt.resolve(["dash"], suite="trixie", architecture="amd64", mirrors={"debian-security": "http://mirror.test/x"})


def test_a_mirror_that_is_missing_is_named(tmp_path: Path) -> None:
    async def fetch() -> None:
        await apt.fetch([package(b"x", archive="debian-security")], mirrors={"debian": "x"}, destination=tmp_path)

    with pytest.raises(UsageError, match="debian-security"):
        anyio.run(fetch)


def test_what_the_cache_has_is_not_fetched_again(tmp_path: Path) -> None:
    content = b"a package"
    one = package(content)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / one.file).write_bytes(content)

    async def fetch() -> None:
        await apt.fetch([one], mirrors={"debian": "x"}, destination=tmp_path / "debs", cache=tmp_path / "cache")

    anyio.run(fetch)
    assert (tmp_path / "debs" / one.file).read_bytes() == content
