"""A project of a few Dhall files, and the example platform; a server for its remote package."""

from __future__ import annotations

import http.server
import shutil
import subprocess
import threading
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from dhallmark.config.load import load_config
from dhallmark.config.model import Config
from dhallmark.plan import Plan, Shard, make_plan
from dhallmark.render.closure import Closure
from dhallmark.render.dhall import Dhall, Limits, find_dhall
from dhallmark.render.render import render
from dhallmark.render.resolve import resolve

REPOSITORY = Path(__file__).resolve().parents[3]
EXAMPLE = REPOSITORY / "examples" / "platform"
PACKAGES = REPOSITORY / "examples" / "packages"


@dataclass
class Project:
    """A project in a folder of its own."""

    root: Path
    applications: dict[str, str] = field(default_factory=dict)
    environments: dict[str, str | None] = field(default_factory=lambda: {"dev": None})

    @property
    def build(self) -> Path:
        return self.root / "build"

    def write(self, path: str, text: str) -> Project:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return self

    def application(self, name: str, text: str) -> Project:
        self.applications[name] = f"apps/{name}.dhall"
        return self.write(f"apps/{name}.dhall", text)

    def plan(self, shard: str | None = None) -> Plan:
        body: dict[str, Any] = {
            "schemaVersion": 1,
            "project": "acme",
            "version": "1.2.3",
            "source": {"repository": "https://git.example.test/acme/platform"},
            "layers": ["all"],
            "environments": {name: {"values": path} for name, path in self.environments.items()},
            "applications": {name: {"entry": path, "layer": "all"} for name, path in self.applications.items()},
            "publish": {"registry": "registry.example.test", "repository": "acme", "staging": "staging/acme"},
            "policy": "policy.yaml",
        }
        return make_plan(Config.model_validate(body), shard=Shard.parse(shard) if shard else None)

    def resolve(self, *, limits: Limits | None = None, seeds: tuple[Path, ...] = ()) -> Closure:
        return run_resolve(self.plan(), root=self.root, build=self.build, limits=limits, seeds=seeds)

    def render(self) -> None:
        render(self.plan(), root=self.root, build=self.build)


def run_resolve(
    plan: Plan, *, root: Path, build: Path, limits: Limits | None = None, seeds: tuple[Path, ...] = ()
) -> Closure:
    async def work() -> Closure:
        dhall: Dhall = await find_dhall(limits=limits)
        return await resolve(plan, root=root, build=build, dhall=dhall, seeds=seeds)

    return anyio.run(work)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    root = tmp_path / "project"
    root.mkdir()
    return Project(root)


@dataclass(frozen=True)
class Example:
    """The example platform, and the means to build it."""

    root: Path
    seed: Path
    """A folder with the cache entry of its remote import."""
    build: Path
    """Its build directory, resolved and rendered."""

    def plan(self, shard: str | None = None) -> Plan:
        config = load_config(self.root / "dhallmark.yaml")
        return make_plan(config, shard=Shard.parse(shard) if shard else None)

    def resolve(self, build: Path, *, root: Path | None = None, shard: str | None = None) -> Closure:
        return run_resolve(self.plan(shard), root=root or self.root, build=build, seeds=(self.seed,))

    def render(self, build: Path, *, root: Path | None = None, shard: str | None = None) -> None:
        render(self.plan(shard), root=root or self.root, build=build)


@pytest.fixture(scope="session")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the cache entry of the example's package, made from the package's own source."""
    cache = tmp_path_factory.mktemp("seed")
    subprocess.run(
        ["dhall", "hash", "--cache", "--file", PACKAGES / "labels/v1.2.0/package.dhall"],
        env={"PATH": str(Path(shutil.which("dhall") or "").parent), "XDG_CACHE_HOME": str(cache), "LANG": "C.UTF-8"},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return cache / "dhall"


@dataclass
class PackageServer:
    """Serves `examples/packages` under any host name, as an HTTP proxy on loopback."""

    url: str
    requests: list[str]


class _Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *arguments: Any, requests: list[str], **options: Any) -> None:  # noqa: ANN401
        self.requests = requests
        super().__init__(*arguments, directory=str(PACKAGES), **options)

    def do_GET(self) -> None:
        # A client that talks to a proxy sends the whole URL as its target (RFC 9112, section 3.2.2).
        self.requests.append(self.path)
        self.path = urllib.parse.urlsplit(self.path).path
        super().do_GET()

    def log_message(self, *_arguments: object) -> None:
        """Nothing: the tests look at `requests`."""


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageServer]:
    """The package server, which Dhall reaches as its proxy."""
    requests: list[str] = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, requests=requests))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setenv("http_proxy", url)
    try:
        yield PackageServer(url, requests)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="session")
def example(seed: Path, tmp_path_factory: pytest.TempPathFactory) -> Example:
    made = Example(root=EXAMPLE, seed=seed, build=tmp_path_factory.mktemp("example") / "build")
    made.resolve(made.build)
    made.render(made.build)
    return made
