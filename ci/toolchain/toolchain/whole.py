"""The tool chain as a whole: what belongs to it, in which order it is made, and what it tells other programs."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolchain import apt, content, go
from toolchain.cache import Cache
from toolchain.console import say, step
from toolchain.dhall import host_dhall
from toolchain.engine import Engine
from toolchain.errors import ToolchainError
from toolchain.gotools import GO_TOOLS, GoTool
from toolchain.images import Images, go_tool
from toolchain.layout import CI, PACKAGES
from toolchain.registry import Registry

IMAGES = ("base", "dhall", "python", "engine")
"""File systems that need nothing but Debian; they are made beside the Go tools."""
NAMES = (*(tool.name for tool in GO_TOOLS), *IMAGES, "gosdk")
GROUPS = {"demo": (*(tool.name for tool in GO_TOOLS if tool.demo), *IMAGES, "gosdk"), "test": NAMES}
"""What is installed for what."""
ELSEWHERE = ("git git", "tar tar")
"""What the demo runs here where an engine of the user's does the rest: programs and packages, as in host.txt."""


def demo_elsewhere(environ: Mapping[str, str]) -> tuple[str, ...]:
    """What the demo needs beside an engine of the user's: the programs that the image and the lab are made with.

    No engine, no file system of Debian's, and nothing that takes root; the client where the user has none.
    """
    client = shutil.which("dagger", path=environ.get("PATH")) is not None
    spared = {"crane", *(("dagger",) if client else ())}
    return tuple(tool.name for tool in GO_TOOLS if tool.demo and tool.name not in spared)


@dataclass(frozen=True, kw_only=True)
class Toolchain:
    """Everything that one cache holds."""

    cache: Cache
    images: Images

    @property
    def registry(self) -> Registry:
        """The local registry."""
        return Registry(cache=self.cache)

    def engine(self, name: str) -> Engine:
        """Return an engine by name."""
        return Engine(cache=self.cache, name=name)

    def present(self, name: str) -> bool:
        """Tell whether a part is there already."""
        if name == "dhall" and host_dhall(dict(os.environ)) is not None:
            return True
        return self._place(name).is_dir()

    def _place(self, name: str) -> Path:
        for tool in GO_TOOLS:
            if tool.name == name:
                return self.cache.place(name=name, key=tool.key())
        return self.images.place(name)

    def install(self, names: Collection[str], *, programs: Sequence[str] | None = None) -> None:
        """Make the parts that are missing, Debian's beside Go's: one waits for the network, the other for the CPU.

        `programs` are lines as host.txt has them, which is what they are otherwise.
        """
        unknown = sorted(set(names) - set(NAMES))
        if unknown:
            raise ToolchainError(f"no such part: {', '.join(unknown)}; there are {', '.join(NAMES)}")
        # Also where every part is there: the list may have grown since they were made.
        apt.install_missing(self.cache, apt.read_list(PACKAGES / "host.txt") if programs is None else programs)
        missing = [name for name in NAMES if name in names and not self.present(name)]
        if not missing:
            return
        say(f"dhallmark tool chain in {self.cache.root}: {', '.join(missing)}")
        debian = [name for name in missing if name in IMAGES]
        tools = [tool for tool in GO_TOOLS if tool.name in missing]
        helper = self._beside(debian) if debian and tools else None
        try:
            for tool in tools:
                self._build(tool)
            if helper is None:
                for name in debian:
                    getattr(self.images, name)()
            else:
                _succeeded(helper)
            if "gosdk" in missing:
                self.install(["dagger"])
                self.images.gosdk(go.find(self.cache))
        except BaseException:
            if helper is not None and helper.poll() is None:
                helper.terminate()
                helper.wait()
            raise

    def _beside(self, names: Sequence[str]) -> "subprocess.Popen[bytes]":
        arguments = [sys.executable, str(CI / "toolchain"), "install", "--only", *names]
        if self.images.mirror is not None:
            arguments += ["--mirror", self.images.mirror]
        return subprocess.Popen(arguments, env={**os.environ, "DHALLMARK_CACHE": str(self.cache.root)})

    def _build(self, tool: GoTool) -> None:
        log = self.cache.root / "logs" / f"{tool.name}.log"

        def build(folder: Path) -> None:
            with step(f"{tool.name} {tool.version()}"):
                tool.build(go=go.find(self.cache), folder=folder, log=log)

        self.cache.ensure(
            name=tool.name,
            key=tool.key(),
            build=build,
            waiting=lambda: say(f"  … waiting for another run that builds {tool.name}"),
        )

    def start_registry(self) -> None:
        """Start the registry with the base images in it."""
        self.install(["distribution", "crane", "base", "python"])
        self.registry.start()
        for name in ("base", "python"):
            self.registry.push(self.images, name)

    def start_engine(self, name: str, *, plain_http: Sequence[str], fresh: bool) -> Engine:
        """Start an engine, and what it needs."""
        engine = self.engine(name)
        self.install(["dagger", "engine", "gosdk"])
        self.start_registry()
        built_in = content.make(
            self.cache, self.images, python_image=self.registry.reference(self.images, "python"),
        )  # fmt: skip
        engine.start(
            images=self.images, content=built_in, plain_http=[self.registry.address(), *plain_http], fresh=fresh,
        )  # fmt: skip
        return engine

    def paths(self) -> list[Path]:
        """List the folders of commands, for PATH; those of parts that are not installed are left out."""
        folders = [tool.bin(self.cache) for tool in GO_TOOLS]
        if host_dhall(dict(os.environ)) is None:
            folders.append(self.images.place("dhall") / "bin")
        return [folder for folder in folders if folder.is_dir()]

    def variables(self, *, engine: str) -> dict[str, str]:
        """Return the environment in which the project's commands and tests find the tool chain."""
        found = {
            "DHALLMARK_CACHE": str(self.cache.root),
            "DO_NOT_TRACK": "1",
            "PATH": os.pathsep.join([*map(str, self.paths()), os.environ.get("PATH", "")]),
        }
        if self.present("base") and self.present("python"):
            found["DHALLMARK_REGISTRY"] = self.registry.address()
            found["DHALLMARK_BASE_IMAGE"] = self.registry.reference(self.images, "base")
            found["DHALLMARK_BASE_LAYOUT"] = str(self.images.place("base") / "image")
            found["DHALLMARK_PYTHON_IMAGE"] = self.registry.reference(self.images, "python")
        running = self.engine(engine)
        if running.running():
            found["_EXPERIMENTAL_DAGGER_RUNNER_HOST"] = running.runner_host
            cli = go_tool("dagger").bin(self.cache) / "dagger"
            if cli.is_file():
                found["_EXPERIMENTAL_DAGGER_CLI_BIN"] = str(cli)
        return found

    def engine_names(self) -> list[str]:
        """List the engines that run or left something to clean up."""
        folders = self.cache.run.glob("engine-*") if self.cache.run.is_dir() else ()
        return sorted(folder.name.removeprefix("engine-") for folder in folders)

    def status(self) -> dict[str, Any]:
        """Describe what is installed and what runs, for `status --output json` (schema 1)."""
        engines = {}
        for name in self.engine_names():
            engine = self.engine(name)
            engines[name] = {"running": engine.running(), "runner_host": engine.runner_host, "log": str(engine.log)}
        return {
            "schema": 1,
            "cache": str(self.cache.root),
            "parts": {name: {"installed": self.present(name), "path": str(self._place(name))} for name in NAMES},
            "registry": {"running": self.registry.running(), "address": self.registry.address()},
            "engines": engines,
        }

    def clean(self, *, everything: bool) -> list[Path]:
        """Delete results that the checkout no longer asks for, or the whole cache.

        Raises:
            ToolchainError: an engine or the registry runs from the cache.
        """
        busy = [f"engine {name}" for name in self.engine_names() if self.engine(name).running()]
        if self.registry.running():
            busy.append("registry")
        if busy:
            raise ToolchainError(f"still running: {', '.join(busy)}; stop them first")
        if everything:
            folders = (self.cache.root / part for part in ("store", "state", "run", "logs"))
            gone = [folder for folder in folders if folder.is_dir()]
            for path in gone:
                shutil.rmtree(path)
            return gone
        gone = []
        for name in NAMES:
            gone += self.cache.remove_other_keys(name=name, keep=self._place(name).name)
        return gone


def _succeeded(helper: "subprocess.Popen[bytes]") -> None:
    if helper.wait() != 0:
        raise ToolchainError("the Debian part failed: see above")


def render_json(document: dict[str, Any]) -> str:
    """Format a document for other programs."""
    return json.dumps(document, indent=2, sort_keys=True)
