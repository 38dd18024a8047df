"""Lock, fetch, build: the three commands about the CI image."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from anyio import to_thread

from dhallmark import files
from dhallmark.digest import Digest
from dhallmark.errors import FormatError, UnavailableError, UsageError
from dhallmark.image import apt, archive, rootfs, wheels
from dhallmark.image.lock import DebianPackage, ImageLock, Python, Tool, save_lock
from dhallmark.image.sbom import make_sbom
from dhallmark.image.tree import Slice, Tree

WANTED = ("base-files", "base-passwd", "bash", "ca-certificates", "coreutils", "dash", "dhall", "findutils", "git",
          "grep", "gzip", "libc-bin", "libstdc++6", "openssl", "python3", "sed", "tar", "util-linux")  # fmt: skip
"""What a pipeline's job needs beside dhallmark itself."""
_PLATFORMS = ("manylinux_2_39", "manylinux_2_35", "manylinux_2_34", "manylinux_2_31", "manylinux_2_28",
              "manylinux_2_27", "manylinux_2_24", "manylinux_2_17", "manylinux2014", "manylinux_2_12",
              "manylinux2010", "manylinux_2_5", "manylinux1")  # fmt: skip
LOCK = "lock.json"
"""Beside what `fetch` brought and what `build` made: the lock that it is of."""
_NAMED = 3
"""Packages that an error names."""
_WHEEL_ARCHITECTURE = {"amd64": "x86_64", "arm64": "aarch64"}
_ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "PATH": f"/{wheels.PREFIX}/bin:/usr/local/bin:/usr/bin:/usr/sbin",
    "SSL_CERT_FILE": f"/{rootfs.CA_BUNDLE}",
    "REQUESTS_CA_BUNDLE": f"/{rootfs.CA_BUNDLE}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What `build` wrote."""

    digest: Digest
    """Of the image's manifest."""
    archive: Path
    sbom: Path
    size: int
    """Bytes of all layers."""


def make_lock(
    *,
    suite: str,
    architecture: str,
    python_version: str,
    tools: Mapping[str, tuple[Path, str]],
    mirrors: Mapping[str, str],
) -> ImageLock:
    """Resolve the image's packages against `mirrors` as they are now; `tools` maps a name to (program, version)."""
    resolution = apt.resolve(WANTED, suite=suite, architecture=architecture, mirrors=mirrors)
    return ImageLock.model_validate(
        {
            "epoch": resolution.epoch,
            "suite": suite,
            "architecture": architecture,
            "wanted": WANTED,
            "packages": [package.model_dump() for package in resolution.packages],
            "python": Python(
                version=python_version,
                platforms=tuple(f"{name}_{_WHEEL_ARCHITECTURE[architecture]}" for name in _PLATFORMS),
            ),
            "tools": {
                name: Tool(version=version, path=f"usr/local/bin/{name}", sha256=Digest.of_file(program).hex)
                for name, (program, version) in sorted(tools.items())
            },
        }
    )


def lock_debian(lock: ImageLock, *, mirrors: Mapping[str, str]) -> ImageLock:
    """`lock` with the versions of its Debian packages that `mirrors` have now; all else stays."""
    resolution = apt.resolve(lock.wanted, suite=lock.suite, architecture=lock.architecture, mirrors=mirrors)
    return lock.model_copy(update={"packages": resolution.packages, "epoch": resolution.epoch})


async def fetch(
    lock: ImageLock,
    *,
    mirrors: Mapping[str, str],
    requirements: Path,
    source: Path,
    destination: Path,
    cache: Path | None = None,
    relock: bool = False,
) -> ImageLock:
    """Bring all that `build` needs, but the tools, into the folder `destination`: `debs`, `wheels`, `own`, `lock.json`.

    Returns the lock of what was brought, which is `lock`; with `relock`, where the mirrors no longer have one of its
    Debian packages, one that was made of what they have now. Without, that is an UnavailableError.
    `cache` keeps Debian packages between calls (pip has a cache of its own).
    """
    bring = partial(apt.fetch, mirrors=mirrors, destination=destination / "debs", cache=cache)
    gone = await bring(lock.packages)
    if gone and relock:
        lock = await to_thread.run_sync(partial(lock_debian, lock, mirrors=mirrors))
        gone = await bring(lock.packages)
    if gone:
        raise UnavailableError(
            f"the mirrors do not have {len(gone)} of {len(lock.packages)} locked packages: {_names(gone)}",
            hint="Debian keeps the newest version of a package only. Lock what the mirrors have now, by `dhallmark "
            "image lock` or with --relock; or name a mirror that keeps all versions: --mirror debian=URL",
        )
    save_lock(lock, destination / LOCK)
    await to_thread.run_sync(
        partial(wheels.fetch, [requirements], python=lock.python, destination=destination / "wheels")
    )
    await to_thread.run_sync(partial(wheels.build_own, source, destination=destination / "own"))
    return lock


def build(
    lock: ImageLock,
    *,
    inputs: Path,
    requirements: Path,
    tools: Path,
    destination: Path,
    ca_bundle: bytes | None = None,
) -> Built:
    """Write `image.tar` (an OCI archive), `sbom.spdx.json`, `digest` and `lock.json` into `destination`. No network.

    `inputs` is what `fetch` wrote; `tools` is a folder with the programs that the lock names. Raises FormatError
    where anything differs from the lock.
    """
    own = sorted((inputs / "own").glob("dhallmark-*.whl"))
    if len(own) != 1:
        raise UsageError(f"expected one dhallmark wheel in {inputs / 'own'}", hint="run: dhallmark image fetch")
    with tempfile.TemporaryDirectory(prefix="dhallmark-image-") as folder:
        scratch = Path(folder)
        layers = [
            _debian_layer(lock, inputs / "debs", scratch=scratch, ca_bundle=ca_bundle),
            _tools_layer(lock, tools, scratch=scratch),
            _python_layer(lock, inputs / "wheels", requirements, scratch=scratch),
            _own_layer(lock, own[0], scratch=scratch),
        ]
        image = archive.make_image(
            layers,
            architecture=lock.architecture,
            epoch=lock.epoch,
            environment=_ENVIRONMENT,
            annotations={
                "org.opencontainers.image.title": "dhallmark CI image",
                "org.opencontainers.image.licenses": "Apache-2.0",
            },
        )
        sbom = make_sbom(image, lock=lock, own_wheel=own[0])
        with files.directory_atomic(destination) as temporary:
            archive.write_archive(image, temporary / "image.tar", architecture=lock.architecture)
            files.write_atomic(temporary / "sbom.spdx.json", sbom)
            files.write_atomic(temporary / "digest", f"{image.digest}\n")
            save_lock(lock, temporary / LOCK)
    return Built(
        digest=image.digest,
        archive=destination / "image.tar",
        sbom=destination / "sbom.spdx.json",
        size=sum(layer.size for layer in layers),
    )


def _names(packages: Sequence[DebianPackage]) -> str:
    named = ", ".join(f"{package.name} {package.version}" for package in packages[:_NAMED])
    return f"{named}, …" if len(packages) > _NAMED else named


def _debian_layer(lock: ImageLock, debs: Path, *, scratch: Path, ca_bundle: bytes | None) -> archive.Layer:
    data = scratch / "debs"
    data.mkdir()
    tree = Tree(epoch=lock.epoch)
    rootfs.add_packages(tree, lock, debs, scratch=data)
    rootfs.finish(tree, ca_bundle=ca_bundle)
    return archive.write_layer(tree, scratch / "debian.layer", comment=f"Debian {lock.suite} packages")


def _tools_layer(lock: ImageLock, tools: Path, *, scratch: Path) -> archive.Layer:
    tree = Tree(epoch=lock.epoch)
    for name, tool in lock.tools.items():
        program = tools / name
        if not program.is_file():
            raise UsageError(f"no {name} in {tools}", hint="install the tool chain, or give its folder: --tools")
        if (found := Digest.of_file(program).hex) != tool.sha256:
            raise FormatError(
                f"{program} has SHA-256 {found}, the lock says {tool.sha256}",
                hint="build it with the locked tool chain, or lock it anew: dhallmark image lock",
            )
        tree.file(tool.path, Slice(program, 0, program.stat().st_size), mode=0o755)
    return archive.write_layer(tree, scratch / "tools.layer", comment="tools built from Go modules")


def _python_layer(lock: ImageLock, folder: Path, requirements: Path, *, scratch: Path) -> archive.Layer:
    site = scratch / "site"
    wheels.unpack(folder, requirements=[requirements], python=lock.python, scratch=site)
    tree = Tree(epoch=lock.epoch)
    tree.add_all(wheels.environment(lock.python, epoch=lock.epoch))
    tree.add_all(wheels.entries(site, python=lock.python, epoch=lock.epoch))
    return archive.write_layer(tree, scratch / "python.layer", comment="Python packages of requirements.lock")


def _own_layer(lock: ImageLock, wheel: Path, *, scratch: Path) -> archive.Layer:
    site = scratch / "own"
    wheels.unpack_own(wheel, python=lock.python, scratch=site)
    tree = Tree(epoch=lock.epoch)
    tree.add_all(wheels.entries(site, python=lock.python, epoch=lock.epoch))
    return archive.write_layer(tree, scratch / "own.layer", comment="dhallmark")
