"""The Haskell dhall: the host's own where it is new enough, else the suite's with its libraries beside it."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from toolchain import rootfs
from toolchain.errors import ToolchainError

OLDEST_DHALL = (1, 42)
"""The first with temporal types, which today's Prelude uses."""

# LC_ALL: dhall writes in the locale's encoding, and the private libc knows no locale of the host but C.UTF-8.
_WRAPPER = """#!/bin/sh
LC_ALL=C.UTF-8 exec "{lib}/{loader}" --library-path "{lib}" "{lib}/dhall" "$@"
"""


def parse_version(text: str) -> tuple[int, ...] | None:
    """Read `1.42.1` out of what `dhall version` prints; None for anything else."""
    found = re.match(r"\s*(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part) for part in found.groups() if part is not None) if found else None


def host_dhall(environ: Mapping[str, str]) -> Path | None:
    """Return the user's own dhall if it is new enough."""
    program = shutil.which("dhall", path=environ.get("PATH"))
    if program is None:
        return None
    done = subprocess.run([program, "version"], capture_output=True, text=True, check=False)
    version = parse_version(done.stdout) if done.returncode == 0 else None
    return Path(program) if version is not None and version >= OLDEST_DHALL else None


def parse_ldd(text: str) -> list[str]:
    """Return the paths of the libraries that ldd lists, the program interpreter included."""
    return re.findall(r"(/\S+) \(0x[0-9a-f]+\)", text)


def extract_dhall(root: Path, folder: Path, *, final: Path, log: Path) -> None:
    """Copy dhall and its libraries out of a root file system to `folder`; the wrapper will work in `final`."""
    listing = log.with_suffix(".ldd")
    listing.unlink(missing_ok=True)
    rootfs.enter(root, ["ldd", "/usr/bin/dhall"], log=listing)
    libraries = parse_ldd(listing.read_text())
    loaders = [name for name in libraries if Path(name).name.startswith("ld-linux")]
    if len(loaders) != 1:
        raise ToolchainError(f"cannot tell the libraries of dhall: see {listing}")
    lib = folder / "lib"
    lib.mkdir()
    for name in libraries:
        # Links of the root are absolute: resolve them inside it, not on the host.
        source = root / name.lstrip("/")
        while source.is_symlink():
            target = source.readlink()
            source = root / str(target).lstrip("/") if target.is_absolute() else source.parent / target
        shutil.copyfile(source, lib / Path(name).name)
        (lib / Path(name).name).chmod(0o755)
    shutil.copyfile(root / "usr/bin/dhall", lib / "dhall")
    (lib / "dhall").chmod(0o755)
    wrapper = folder / "bin" / "dhall"
    wrapper.parent.mkdir()
    wrapper.write_text(_WRAPPER.format(lib=final / "lib", loader=Path(loaders[0]).name))
    wrapper.chmod(0o755)
