"""The root file system of the Debian packages, and the few files that their scripts would have made.

No script runs: what one would do that a pipeline needs is done here, from the packages' own data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dhallmark.digest import Digest
from dhallmark.errors import FormatError
from dhallmark.image import deb
from dhallmark.image.lock import DebianPackage, ImageLock
from dhallmark.image.tree import Entry, HardLink, Symlink, Tree

_USRMERGE = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")
"""Directories that are links into /usr; packages may still name files by the old path."""
_LEFT_OUT = ("usr/share/man/", "usr/share/info/", "usr/share/locale/", "usr/share/lintian/", "usr/share/bug/")
"""Nothing that a program reads."""
CA_BUNDLE = "etc/ssl/certs/ca-certificates.crt"


def add_packages(tree: Tree, lock: ImageLock, debs: Path, *, scratch: Path) -> None:
    """Add every locked package from the folder `debs`; its data is decompressed into `scratch`.

    Raises FormatError where a file is missing or has other bytes than the lock names.
    """
    for package in lock.packages:
        path = debs / package.file
        if not path.is_file():
            raise FormatError(f"{package.file} is not there", hint="fetch it: dhallmark image fetch")
        if (found := Digest.of_file(path).hex) != package.sha256:
            raise FormatError(f"{package.file} has SHA-256 {found}, the lock says {package.sha256}")
        for entry in deb.read_entries(path, scratch=scratch / f"{package.name}.tar"):
            if (kept := _kept(entry)) is not None:
                tree.add(kept)
        _record(tree, package, deb.read_control(path))


def finish(tree: Tree, *, ca_bundle: bytes | None = None) -> None:
    """Make what maintainer scripts would have made: accounts, name service, CA bundle, `awk`.

    `ca_bundle` is PEM text of further certificates to trust.
    """
    for name in ("passwd", "group"):
        tree.file(f"etc/{name}", tree.read(f"usr/share/base-passwd/{name}.master"))
    tree.file("etc/nsswitch.conf", tree.read("usr/share/libc-bin/nsswitch.conf"))
    certificates = [
        tree.read(entry.path).rstrip(b"\n") + b"\n"
        for entry in tree.under("usr/share/ca-certificates/mozilla")
        if entry.path.endswith(".crt")
    ]
    if not certificates:
        raise FormatError("the package ca-certificates has no certificates")
    tree.file(CA_BUNDLE, b"".join([*certificates, *([ca_bundle.rstrip(b"\n") + b"\n"] if ca_bundle else [])]))
    tree.symlink("usr/bin/awk", "mawk")


def _kept(entry: Entry) -> Entry | None:
    """`entry` at the path where it really lies, or None for what is left out."""
    path = _merged(entry.path) if not _is_alias(entry) else entry.path
    if path.startswith(_LEFT_OUT) or (path.startswith("usr/share/doc/") and not _is_licence(entry, path)):
        return None
    if isinstance(entry, HardLink):
        return replace(entry, path=path, target=_merged(entry.target))
    return replace(entry, path=path)


def _is_licence(entry: Entry, path: str) -> bool:
    return path.endswith("/copyright") or isinstance(entry, Symlink)


def _is_alias(entry: Entry) -> bool:
    return isinstance(entry, Symlink) and entry.path in _USRMERGE


def _merged(path: str) -> str:
    return f"usr/{path}" if path.split("/", 1)[0] in _USRMERGE else path


def _record(tree: Tree, package: DebianPackage, control: dict[str, bytes]) -> None:
    """The package's entry in dpkg's database, in the one-file-a-package form that image scanners read."""
    if "control" not in control:
        raise FormatError(f"{package.file}: no control file")
    tree.file(f"var/lib/dpkg/status.d/{package.name}", control["control"])
    if "md5sums" in control:
        tree.file(f"var/lib/dpkg/status.d/{package.name}.md5sums", control["md5sums"])


def control_fields(text: str, names: Sequence[str]) -> dict[str, str]:
    """The single-line fields `names` of a control file (deb-control(5))."""
    found = {}
    for line in text.splitlines():
        key, separator, value = line.partition(":")
        if separator and key in names:
            found[key] = value.strip()
    return found
