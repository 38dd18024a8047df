"""Debian packages: the machine's own mirrors, and installing what is missing.

No mirror is named in this project. The ones in apt's sources serve, or the one that the user gives.
"""

import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from toolchain import command
from toolchain.cache import Cache
from toolchain.console import step
from toolchain.errors import ToolchainError

SOURCES = Path("/etc/apt")
_ONE_LINE = re.compile(r"^deb\s+(?:\[[^\]]*\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)$")


@dataclass(frozen=True, kw_only=True)
class Source:
    """One archive of binary packages as apt knows it."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]


def parse_one_line(text: str) -> list[Source]:
    """Parse a `sources.list` file (sources.list(5), one-line style)."""
    found = (_ONE_LINE.match(line.split("#", 1)[0].strip()) for line in text.splitlines())
    return [
        Source(uri=hit["uri"], suites=(hit["suite"],), components=tuple(hit["components"].split()))
        for hit in found
        if hit
    ]


def parse_deb822(text: str) -> list[Source]:
    """Parse a `*.sources` file (sources.list(5), deb822 style); disabled and source-only stanzas are left out."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    sources = []
    for stanza in re.split(r"\n\s*\n", "\n".join(lines)):
        fields: dict[str, list[str]] = {}
        name = ""
        for line in stanza.splitlines():
            if line[:1].isspace():
                fields[name] = fields.get(name, []) + line.split()
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.split()
        if "deb" not in fields.get("types", []) or fields.get("enabled") == ["no"]:
            continue
        sources += [
            Source(uri=uri, suites=tuple(fields.get("suites", ())), components=tuple(fields.get("components", ())))
            for uri in fields.get("uris", [])
        ]
    return sources


def machine_sources(folder: Path = SOURCES) -> list[Source]:
    """Read all of apt's sources on this machine, in apt's order."""
    sources: list[Source] = []
    main = folder / "sources.list"
    if main.is_file():
        sources += parse_one_line(main.read_text())
    parts = folder / "sources.list.d"
    for path in sorted(parts.iterdir()) if parts.is_dir() else ():
        if path.suffix == ".list":
            sources += parse_one_line(path.read_text())
        elif path.suffix == ".sources":
            sources += parse_deb822(path.read_text())
    return sources


@dataclass(frozen=True, kw_only=True)
class Mirrors:
    """Where packages of a Debian suite come from."""

    main: str
    security: str | None


def mirrors(sources: Iterable[Source], *, chosen: str | None, codename: str) -> Mirrors:
    """Pick the Debian archive out of the machine's sources, by the suite that the machine itself runs.

    Raises:
        ToolchainError: none of them carries `codename`, and the user chose no mirror.
    """
    main = None
    security = None
    for source in sources:
        if "main" not in source.components:
            continue
        if codename in source.suites and main is None:
            main = source.uri
        if f"{codename}-security" in source.suites and security is None:
            security = source.uri
    if chosen is not None:
        return Mirrors(main=chosen, security=security)
    if main is None:
        raise ToolchainError(
            f"apt's sources on this machine have no Debian archive for {codename!r}: name one with --mirror",
        )
    return Mirrors(main=main, security=security)


def machine_codename(release: Path = Path("/etc/os-release")) -> str:
    """Return the code name of the running Debian release, or an empty text elsewhere."""
    text = release.read_text() if release.is_file() else ""
    found = re.search(r"^VERSION_CODENAME=\"?([a-z]+)\"?$", text, re.MULTILINE)
    return found[1] if found else ""


def read_list(path: Path) -> list[str]:
    """Read a package list: one name a line, `#` starts a comment."""
    names = [line.split("#", 1)[0].strip() for line in path.read_text().splitlines()]
    return [name for name in names if name]


def missing_packages(lines: Iterable[str]) -> list[str]:
    """Return the packages whose program is not there.

    Each line of the list of host packages is a program and the package that has it: a program that came from
    elsewhere is as good as Debian's.
    """
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    pairs = (line.split() for line in lines)
    return sorted({package for program, package in pairs if shutil.which(program, path=path) is None})


def install_missing(cache: Cache, lines: Iterable[str]) -> None:
    """Install the host's missing packages through apt.

    Raises:
        ToolchainError: something is missing and the user is not root, or the machine has no apt.
    """
    missing = missing_packages(lines)
    if not missing:
        return
    names = " ".join(missing)
    if os.geteuid() != 0:
        raise ToolchainError(f"these Debian packages are missing: {names}. As root: apt-get install {names}")
    if shutil.which("apt-get") is None:
        raise ToolchainError(f"this machine has no apt; install what these Debian packages hold: {names}")
    log = cache.root / "logs" / "apt.log"
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with cache.lock("apt"), step(f"Debian packages: {names}"):
        command.run(["apt-get", "update"], log=log, env=env)
        command.run(["apt-get", "install", "--yes", "--no-install-recommends", *missing], log=log, env=env)
