"""Debian packages: which ones (apt's own resolver and signature checks), and their files (apt's own downloader).

apt works in directories of its own here, so that the machine's release, lists and installed packages have no say.
Mirrors are the user's: those of the machine's apt sources unless others are given.
"""

from __future__ import annotations

import re
import tempfile
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path

import anyio
from anyio import to_thread

from dhallmark.digest import Digest
from dhallmark.errors import FormatError, ToolError, UnavailableError, UsageError
from dhallmark.files import write_atomic
from dhallmark.image.lock import DebianPackage
from dhallmark.image.process import run

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_HELPER = Path("/usr/lib/apt/apt-helper")
_PARALLEL = 4
"""Downloads at a time: a mirror's patience is the limit, not this machine."""
_GONE = re.compile(r"^E: Failed to fetch \S+ +(404|410|File not found)\b", re.MULTILINE)
"""How apt says that a mirror answered, and does not have the file."""
_URI_LINE = re.compile(r"^'(?P<url>[^']+)' (?P<file>\S+) (?P<size>\d+) SHA256:(?P<sha256>[0-9a-f]{64})$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What a set of wanted packages comes to."""

    packages: tuple[DebianPackage, ...]
    """Sorted by name."""
    epoch: int
    """Newest `Date` of the releases that were read, in seconds since 1970."""


def machine_mirrors() -> dict[str, str]:
    """The mirrors of the machine's apt sources: archive name (`debian`, `debian-security`) to URL."""
    listing = run(
        ["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages"], what="reading the apt sources"
    )
    mirrors: dict[str, str] = {}
    for url in listing.split():
        mirrors.setdefault(archive_name(url), url)
    return mirrors


def archive_name(url: str) -> str:
    """`debian-security` for `http://mirror.example/debian-security/`."""
    return urllib.parse.urlsplit(url).path.rstrip("/").rpartition("/")[2]


def resolve(wanted: Sequence[str], *, suite: str, architecture: str, mirrors: Mapping[str, str]) -> Resolution:
    """The closure of `wanted`, without recommended packages, as apt would install it on an empty system.

    `mirrors` needs `debian`; `debian-security` gives security updates. Raises ToolError where apt refuses.
    """
    if "debian" not in mirrors:
        raise UsageError("no mirror of the archive 'debian'", hint="give one: --mirror debian=URL")
    with tempfile.TemporaryDirectory(prefix="dhallmark-apt-") as folder:
        root = Path(folder)
        apt = _private_apt(root, _sources(mirrors, suite), architecture)
        run(["apt-get", *apt, "update", "--error-on=any"], what="reading the Debian release")
        listing = run(
            ["apt-get", *apt, "--no-install-recommends", "--yes", "--print-uris", "install", *wanted],
            what="resolving Debian packages",
        )
        epoch = max(_release_date(path) for path in (root / "lists").glob("*InRelease"))
    by_site = {url.rstrip("/"): name for name, url in mirrors.items()}
    packages = [_package(match, by_site) for line in listing.splitlines() if (match := _URI_LINE.match(line))]
    if not packages:
        raise FormatError("apt named no package", hint="is the list of wanted packages empty?")
    return Resolution(packages=tuple(sorted(packages, key=lambda package: package.name)), epoch=epoch)


async def fetch(
    packages: Sequence[DebianPackage], *, mirrors: Mapping[str, str], destination: Path, cache: Path | None = None
) -> tuple[DebianPackage, ...]:
    """Download `packages` into `destination`, each checked against its hash. Files that fit are not fetched again.

    Returns those that their mirrors do not have, sorted by name: Debian keeps the newest version of a package only.
    `cache` is a folder that keeps files for other destinations; what it holds is checked like any other file.
    Raises UsageError where a mirror is missing, ToolError or UnavailableError where a download fails.
    """
    missing = sorted({package.archive for package in packages} - set(mirrors))
    if missing:
        raise UsageError(f"no mirror of: {', '.join(missing)}", hint=f"give one: --mirror {missing[0]}=URL")
    await anyio.Path(destination).mkdir(parents=True, exist_ok=True)
    limit = anyio.CapacityLimiter(_PARALLEL)
    gone: list[DebianPackage] = []

    async def fetch_one(package: DebianPackage) -> None:
        one = partial(
            _fetch_one, package, mirrors[package.archive], destination / package.file, cache=cache or destination
        )
        if not await to_thread.run_sync(one, limiter=limit):
            gone.append(package)

    async with anyio.create_task_group() as group:
        for package in packages:
            group.start_soon(fetch_one, package)
    return tuple(sorted(gone, key=lambda package: package.name))


def _fetch_one(package: DebianPackage, mirror: str, target: Path, *, cache: Path) -> bool:
    """Bring one package to `target`. False where the mirror answers, and does not have it."""
    for known in (target, cache / target.name):
        if known.is_file() and Digest.of_file(known).hex == package.sha256:
            if known != target:
                write_atomic(target, known.read_bytes())
            return True
    part = target.with_name(f".{target.name}.part")
    url = f"{mirror.rstrip('/')}/{package.path}"
    what = f"fetching {package.name} {package.version}"
    try:
        run(
            # As the user who asks: apt's own download user cannot write here.
            [str(_HELPER), "-o", "APT::Sandbox::User=", "download-file", url, str(part), f"SHA256:{package.sha256}"],
            what=what,
        )
        if Digest.of_file(part).hex != package.sha256:
            raise UnavailableError(f"{package.file}: the mirror sent other bytes than the lock names")
        if cache != target.parent:
            write_atomic(cache / target.name, part.read_bytes())
        part.replace(target)
    except ToolError as error:
        if _GONE.search(error.stderr):
            return False
        # apt's last line says no more than that something failed.
        said = next((line.removeprefix("E: ") for line in error.stderr.splitlines() if line.startswith("E: ")), "")
        raise ToolError(
            f"{what}: {said}" if said else error.message,
            command=error.command,
            status=error.status,
            stderr=error.stderr,
        ) from None
    finally:
        part.unlink(missing_ok=True)
    return True


def _private_apt(root: Path, sources: str, architecture: str) -> list[str]:
    for name in ("lists/partial", "archives/partial", "none"):
        (root / name).mkdir(parents=True)
    (root / "sources.list").write_text(sources)
    (root / "status").write_text("")
    settings = {
        "Dir::State::lists": root / "lists",
        "Dir::State::status": root / "status",
        "Dir::State::extended_states": root / "extended_states",
        "Dir::Cache": root,
        "Dir::Etc::sourcelist": root / "sources.list",
        "Dir::Etc::sourceparts": root / "none",
        "Dir::Etc::preferences": root / "no-preferences",
        "Dir::Etc::preferencesparts": root / "none",
        "APT::Architecture": architecture,
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
        "Acquire::ForceHash": "SHA256",
    }
    return [part for key, value in settings.items() for part in ("-o", f"{key}={value}")]


def _sources(mirrors: Mapping[str, str], suite: str) -> str:
    lines = [f"deb [signed-by={_KEYRING}] {mirrors['debian']} {name} main" for name in (suite, f"{suite}-updates")]
    if "debian-security" in mirrors:
        lines.append(f"deb [signed-by={_KEYRING}] {mirrors['debian-security']} {suite}-security main")
    return "\n".join(lines) + "\n"


def _release_date(path: Path) -> int:
    for line in path.read_text(errors="replace").splitlines():
        if line.startswith("Date: "):
            return int(parsedate_to_datetime(line.removeprefix("Date: ")).timestamp())
    raise FormatError(f"{path.name}: a Release file without a date")


def _package(match: re.Match[str], by_site: Mapping[str, str]) -> DebianPackage:
    for site, archive in by_site.items():
        if match["url"].startswith(site + "/pool/"):
            name, version, architecture = match["file"].removesuffix(".deb").rsplit("_", 2)
            return DebianPackage.model_validate(
                {
                    "name": name,
                    "version": urllib.parse.unquote(version),
                    "architecture": architecture,
                    "archive": archive,
                    "path": match["url"].removeprefix(site + "/"),
                    "size": int(match["size"]),
                    "sha256": match["sha256"],
                }
            )
    raise FormatError(f"apt named a package of no known mirror: {match['file']}")
