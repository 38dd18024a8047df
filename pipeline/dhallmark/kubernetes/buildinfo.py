"""What a Go program says that it was built from.

Every Go program carries the list of its modules as text, between two marks of sixteen bytes (Go's
cmd/go/internal/modload, `ModInfoData`): a replaced module, such as a stand-in, is told there by the compiler, and not
by whoever gives the program.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dhallmark.errors import FormatError, Location
from dhallmark.files import read_regular

_MAX_BYTES: Final = 512 * 1024 * 1024
_START: Final = bytes.fromhex("3077af0c9274080241e1c107e6d618e6")
_END: Final = bytes.fromhex("f932433186182072008242104116d8f2")
_LINE: Final = re.compile(r"(path|mod|dep|=>)\t(\S+)(?:\t(\S+))?.*")
_DEVEL: Final = "(devel)"


@dataclass(frozen=True, slots=True)
class Module:
    """A module of a program."""

    path: str
    version: str
    replaced_by: str = ""
    """What stands in for it: a module with its version, or a folder; empty where it is itself."""


@dataclass(frozen=True, slots=True)
class BuildInfo:
    """The modules of a program."""

    package: str
    """The main package."""
    modules: tuple[Module, ...]
    """The main module first."""

    def version_of(self, path: str) -> str:
        """The version of a module without its `v`; empty where the program does not say it."""
        found = next((one.version for one in self.modules if one.path == path), "")
        return "" if found == _DEVEL else found.removeprefix("v")

    @property
    def stand_ins(self) -> tuple[Module, ...]:
        """Modules in whose place a folder of the builder's was compiled."""
        return tuple(one for one in self.modules if one.replaced_by.startswith((".", "/")))

    @property
    def substitution(self) -> str:
        """What of it is not what is released, in a few words; empty where nothing is known to differ."""
        stand_ins = ", ".join(f"{one.path} {one.version}" for one in self.stand_ins)
        return f"built with a stand-in for {stand_ins}" if stand_ins else ""


def read_build_info(program: Path) -> BuildInfo:
    """The modules of a Go program. Raises FormatError for a file that is none, InputError for one that is not read."""
    content = read_regular(program, max_bytes=_MAX_BYTES)
    start = content.find(_START)
    end = content.find(_END, start)
    if start < 0 or end < 0:
        raise FormatError("not a Go program with the list of its modules", where=Location(file=str(program)))
    package = ""
    modules: list[Module] = []
    for line in content[start + len(_START) : end].decode(errors="replace").splitlines():
        found = _LINE.fullmatch(line)
        if found is None:
            continue
        kind, path, version = found[1], found[2], found[3] or ""
        if kind == "path":
            package = path
        elif kind == "=>":
            if modules:
                last = modules.pop()
                by = path if version in ("", _DEVEL) else f"{path}@{version}"
                modules.append(Module(last.path, last.version, by))
        else:
            modules.append(Module(path, version))
    return BuildInfo(package, tuple(modules))
