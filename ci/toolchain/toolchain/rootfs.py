"""Debian root file systems: made by debootstrap, extended by apt in a chroot, written as layers.

Everything that mounts runs in a mount and process namespace of its own: when the run ends, or is killed, the
kernel takes the mounts away.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from toolchain import command, tarball
from toolchain.apt import Mirrors
from toolchain.cache import remove_tree
from toolchain.errors import ToolchainError

SUITE = "trixie"
"""Debian 13: the first release with dhall 1.42."""

CA_BUNDLE = "etc/ssl/certs/ca-certificates.crt"
LOCAL_CERTIFICATES = "usr/local/share/ca-certificates"
PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

NAMESPACES = ("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child")

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\n[^-]+\n-----END CERTIFICATE-----")

# $1 is the root; the rest is the command. The shell is the first process of the namespace.
_ENTER = 'root=$1; shift; mount -t proc proc "$root/proc"; mount --rbind /dev "$root/dev"; exec chroot "$root" "$@"'

# Regenerated, host-specific or dated: nothing that a container needs.
_DEBRIS = (
    "etc/resolv.conf", "etc/hostname", "etc/.pwd.lock", "etc/passwd-", "etc/group-", "etc/shadow-", "etc/gshadow-",
    "etc/subuid-", "etc/subgid-", "var/cache/ldconfig/aux-cache", "var/lib/dpkg/status-old",
    "var/lib/dpkg/available-old", "var/lib/dpkg/diversions-old",
    "var/lib/dpkg/statoverride-old", "var/lib/dpkg/lock", "var/lib/dpkg/lock-frontend",
    "var/cache/debconf/config.dat-old", "var/cache/debconf/templates.dat-old",
)  # fmt: skip
_DEBRIS_FOLDERS = (
    "var/lib/apt/lists", "var/cache/apt", "var/log", "tmp", "debootstrap", "var/lib/apt/periodic",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Release:
    """What a layer says about the distribution that it came from."""

    suite: str
    epoch: int
    """Seconds since 1970 of the suite's Release file; no time in the layer is later."""

    @property
    def created(self) -> str:
        """The epoch as RFC 3339."""
        return datetime.fromtimestamp(self.epoch, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def save(self, path: Path) -> None:
        """Write the release beside its layer."""
        path.write_text(json.dumps(asdict(self), sort_keys=True))

    @classmethod
    def load(cls, path: Path) -> "Release":
        """Read what `save` wrote."""
        return cls(**json.loads(path.read_text()))


def host_ca_bundle(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the CA bundle that this machine trusts: `SSL_CERT_FILE`, else Debian's place, else none."""
    for candidate in (environ.get("SSL_CERT_FILE"), f"/{CA_BUNDLE}"):
        if candidate and Path(candidate).is_file():
            return Path(candidate)
    return None


def extra_certificates(ours: str, theirs: str) -> dict[str, str]:
    """Return the certificates (PEM) of the first bundle that the second lacks, by a file name made of their hash."""
    known = set(_CERTIFICATE.findall(theirs))
    extra = (block for block in _CERTIFICATE.findall(ours) if block not in known)
    return {f"host-{hashlib.sha256(block.encode()).hexdigest()[:16]}.crt": f"{block}\n" for block in extra}


def release_epoch(lists: Path) -> int:
    """Read the date of the suite's (In)Release file among apt's lists: the latest, where there are several.

    Raises:
        ToolchainError: there is none; the layer would carry the time of its making.
    """
    dates = []
    for path in lists.glob("*Release"):
        found = re.search(r"^Date: (.+)$", path.read_text(errors="replace"), re.MULTILINE)
        if found:
            dates.append(int(parsedate_to_datetime(found[1]).timestamp()))
    if not dates:
        raise ToolchainError(f"no dated Release file in {lists}: the mirror serves no complete archive")
    return max(dates)


def enter(
    root: Path,
    arguments: Sequence[str],
    *,
    log: Path,
    epoch: int | None = None,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Run a command in the root file system, with this machine's name resolution and proxies."""
    env = {name: environ[name] for name in PROXY_VARIABLES if name in environ}
    env |= {"PATH": PATH, "HOME": "/root", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    if epoch is not None:
        env["SOURCE_DATE_EPOCH"] = str(epoch)
    resolv = root / "etc/resolv.conf"
    resolv.unlink(missing_ok=True)
    resolv.write_text(Path("/etc/resolv.conf").read_text())
    command.run([*NAMESPACES, "sh", "-ec", _ENTER, "enter", root, *arguments], log=log, env=env)


def make_base(folder: Path, *, mirrors: Mirrors, ca_bundle: Path | None, log: Path) -> None:
    """Fill `folder` with `layer.tar` and `release.json` of a minimal system with the CA bundle.

    Certificates that this machine trusts and Debian does not are added, so that what reaches the registries from
    the host reaches them from a container.
    """
    command.require_root("debootstrap")
    root = folder / "root"
    command.run(
        [*NAMESPACES, "debootstrap", "--variant=minbase", "--include=ca-certificates", SUITE, root, mirrors.main],
        log=log,
        env={**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"},
    )
    lines = [f"deb {mirrors.main} {SUITE} main"]
    if mirrors.security is not None:
        lines.append(f"deb {mirrors.security} {SUITE}-security main")
    (root / "etc/apt/sources.list").write_text("\n".join(lines) + "\n")
    if ca_bundle is not None:
        for name, certificate in extra_certificates(ca_bundle.read_text(), (root / CA_BUNDLE).read_text()).items():
            (root / LOCAL_CERTIFICATES / name).write_text(certificate)
    enter(root, ["sh", "-ec", "update-ca-certificates; apt-get update; apt-get --yes dist-upgrade"], log=log)
    release = Release(suite=SUITE, epoch=release_epoch(root / "var/lib/apt/lists"))
    clean(root, epoch=release.epoch)
    tarball.write_layer(root, folder / "layer.tar", epoch=release.epoch)
    release.save(folder / "release.json")
    remove_tree(root)


def unpack(base: Path, root: Path) -> Release:
    """Unpack the base layer in folder `base` to the new folder `root`."""
    root.mkdir()
    layer = base / "layer.tar"
    command.output(["tar", "-x", "--preserve-permissions", "--numeric-owner", "-f", layer, "-C", root])
    return Release.load(base / "release.json")


def install(root: Path, packages: Sequence[str], *, release: Release, log: Path) -> None:
    """Install Debian packages into a root file system, recommendations left out."""
    script = 'apt-get update; apt-get install --yes --no-install-recommends "$@"'
    enter(root, ["sh", "-ec", script, "install", *packages], log=log, epoch=release.epoch)


def clean(root: Path, *, epoch: int) -> None:
    """Remove from a root file system what differs from one making to the next."""
    for name in _DEBRIS:
        (root / name).unlink(missing_ok=True)
    for name in _DEBRIS_FOLDERS:
        folder = root / name
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.is_dir() and not path.is_symlink():
                remove_tree(path)
            else:
                path.unlink()
    (root / "etc/machine-id").write_text("")
    shadow = root / "etc/shadow"
    if shadow.is_file():
        shadow.write_text(undate_shadow(shadow.read_text(), epoch=epoch))


def undate_shadow(text: str, *, epoch: int) -> str:
    """Set the day of the last password change (shadow(5), third field) to the epoch's."""
    lines = []
    for line in text.splitlines():
        fields = line.split(":")
        if len(fields) > 2:  # noqa: PLR2004 - the third field of shadow(5)
            fields[2] = str(epoch // 86400)
        lines.append(":".join(fields))
    return "\n".join(lines) + "\n"
