"""Mirrors are read from the machine's own apt sources, in both of apt's formats."""

from pathlib import Path

import pytest

from toolchain.apt import (
    Mirrors,
    Source,
    machine_codename,
    machine_sources,
    mirrors,
    missing_packages,
    parse_deb822,
    parse_one_line,
    read_list,
)
from toolchain.errors import ToolchainError

ONE_LINE = """
# deb http://old.invalid/debian trixie main
deb http://mirror.invalid/debian trixie main contrib # comment
deb-src http://mirror.invalid/debian trixie main
deb [signed-by=/usr/share/k.gpg arch=amd64] http://mirror.invalid/security trixie-security main
"""

DEB822 = """
Types: deb
# URIs: http://snapshot.invalid/debian
URIs: http://mirror.invalid/debian
Suites: trixie trixie-updates
Components: main
Signed-By: /usr/share/keyrings/k.gpg

Types: deb deb-src
URIs: http://mirror.invalid/security
Suites: trixie-security
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb-src
URIs: http://sources.invalid/debian
Suites: trixie
Components: main

Types: deb
Enabled: no
URIs: http://disabled.invalid/debian
Suites: trixie
Components: main
"""

MAIN = Source(uri="http://mirror.invalid/debian", suites=("trixie",), components=("main", "contrib"))
SECURITY = Source(uri="http://mirror.invalid/security", suites=("trixie-security",), components=("main",))


def test_one_line_format() -> None:
    assert parse_one_line(ONE_LINE) == [MAIN, SECURITY]


def test_deb822_format() -> None:
    assert parse_deb822(DEB822) == [
        Source(uri="http://mirror.invalid/debian", suites=("trixie", "trixie-updates"), components=("main",)),
        SECURITY,
    ]


def test_sources_of_a_machine_are_read_from_every_file(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text(ONE_LINE)
    (tmp_path / "sources.list.d" / "b.sources").write_text(DEB822)
    (tmp_path / "sources.list.d" / "a.list").write_text("deb http://other.invalid/x stable main\n")
    (tmp_path / "sources.list.d" / "c.save").write_text("deb http://unused.invalid/x stable main\n")
    assert [source.uri for source in machine_sources(tmp_path)] == [
        "http://mirror.invalid/debian",
        "http://mirror.invalid/security",
        "http://other.invalid/x",
        "http://mirror.invalid/debian",
        "http://mirror.invalid/security",
    ]


def test_machine_without_sources_has_none(tmp_path: Path) -> None:
    assert machine_sources(tmp_path) == []


@pytest.mark.parametrize(
    ("sources", "chosen", "expected"),
    [
        ([MAIN, SECURITY], None, Mirrors(main=MAIN.uri, security=SECURITY.uri)),
        ([MAIN], None, Mirrors(main=MAIN.uri, security=None)),
        ([MAIN, SECURITY], "http://given.invalid/", Mirrors(main="http://given.invalid/", security=SECURITY.uri)),
        ([], "http://given.invalid/", Mirrors(main="http://given.invalid/", security=None)),
    ],
)
def test_mirrors_are_those_of_the_running_release(sources: list[Source], chosen: str | None, expected: Mirrors) -> None:
    assert mirrors(sources, chosen=chosen, codename="trixie") == expected


def test_sources_of_other_vendors_are_not_taken_for_debian() -> None:
    vendor = Source(uri="http://vendor.invalid", suites=("stable",), components=("main",))
    with pytest.raises(ToolchainError, match="--mirror"):
        mirrors([vendor], chosen=None, codename="trixie")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("VERSION_CODENAME=bookworm\nID=debian\n", "bookworm"), ('VERSION_CODENAME="noble"\n', "noble"), ("ID=x\n", "")],
)
def test_code_name_of_the_machine(tmp_path: Path, text: str, expected: str) -> None:
    release = tmp_path / "os-release"
    release.write_text(text)
    assert machine_codename(release) == expected


def test_only_packages_of_absent_programs_are_missing() -> None:
    lines = ["sh dash", "no-such-program-here one-package", "no-such-either one-package", "no-third another"]
    assert missing_packages(lines) == ["another", "one-package"]


def test_package_list_skips_comments(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("# why\n\nrunc # the runtime\n git \n")
    assert read_list(path) == ["runc", "git"]
