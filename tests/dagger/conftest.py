"""A real engine, the module's own classes against it, and a project to release.

The tool chain has the engine; tests ask it for one and leave it running for the next run.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

import dagger
from dagger import dag
from dhallmark.module import Dhallmark, Lab

ROOT = Path(__file__).resolve().parents[2]
TOOLCHAIN = (sys.executable, str(ROOT / "ci" / "toolchain"))
TOOLS = ("helm", "cosign", "fulcio", "rekor-server", "timestamp-server", "registry", "distribution")
REGISTRY = "lab.dhallmark.test:5000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """An engine that runs, and the environment that leads a client to it."""

    name: str
    environment: Mapping[str, str]

    @property
    def base_image(self) -> str:
        return self.environment["DHALLMARK_BASE_IMAGE"]

    def call(self, *arguments: str, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the `dagger` client."""
        return subprocess.run(
            ["dagger", *arguments],
            cwd=cwd,
            env={**self.environment, "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=check,
            timeout=900,
        )


def start_engine(name: str, *options: str) -> Engine:
    """Start the engine `name`, or find it running."""
    subprocess.run([*TOOLCHAIN, "engine", "start", "--own", "--name", name, *options], check=True, timeout=900)
    command = [*TOOLCHAIN, "env", "--name", name, "--output", "json"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    return Engine(name=name, environment={**os.environ, **json.loads(printed)})


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """One event loop for the whole session: it holds the connection to the engine."""
    return "asyncio"


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The engine that most tests share; its cache stays warm between runs."""
    return start_engine("default")


@pytest.fixture(scope="session")
def second_engine() -> Iterator[Engine]:
    """Another engine with an empty cache, stopped at the end."""
    yield start_engine("second", "--fresh")
    subprocess.run([*TOOLCHAIN, "engine", "stop", "--name", "second"], check=True, timeout=120)


@pytest.fixture(scope="session")
def tools(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the programs that images and labs are made with."""
    folder = tmp_path_factory.mktemp("tools")
    for name in TOOLS:
        found = shutil.which(name, path=engine.environment["PATH"])
        assert found is not None, name
        shutil.copy2(found, folder / name)
    return folder


@pytest.fixture(scope="session")
async def session(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[None]:
    """A connection to the shared engine, for the module's classes run in this process."""
    before = {name: os.environ.get(name) for name in engine.environment}
    os.environ.update(engine.environment)
    log = (tmp_path_factory.mktemp("dagger") / "session.log").open("w")
    try:
        async with dagger.connection(dagger.Config(log_output=log)):
            yield
    finally:
        log.close()
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def own_source() -> dagger.Directory:
    """dhallmark's source, as a module gets it."""
    return dag.host().directory(
        str(ROOT), exclude=["**/__pycache__", ".git", ".venv", "tests", "docs", "bench", "build", "**/*_cache"]
    )


@pytest.fixture(scope="session")
async def module(session: None, engine: Engine, tools: Path) -> Dhallmark:
    """The module's main object."""
    return Dhallmark(base_image=engine.base_image, tools=dag.host().directory(str(tools)), module_source=own_source())


@pytest.fixture(scope="session")
async def lab(module: Dhallmark) -> Lab:
    """The lab with the example's packages."""
    return await module.lab(packages=dag.host().directory(str(ROOT / "examples" / "packages")))


@pytest.fixture(scope="session")
def make_project(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Copies the example platform into a Git checkout of its own, set to publish to the lab's registry."""

    def make(*, version: str = "1.4.0", registry: str = REGISTRY) -> Path:
        folder = tmp_path_factory.mktemp("project") / "platform"
        shutil.copytree(ROOT / "examples" / "platform", folder)
        config = folder / "dhallmark.yaml"
        text = config.read_text()
        for old, new in (
            ("registry: registry.acme.example\n", f"registry: {registry}\n  plainHttp: true\n"),
            ("version: 1.4.0\n", f"version: {version}\n"),
        ):
            assert old in text
            text = text.replace(old, new)
        config.write_text(text)
        commit(folder, "release")
        return folder

    return make


def commit(folder: Path, message: str) -> None:
    """Commit all of `folder`, as the same person at the same time every time."""
    who = {"NAME": "A Person", "EMAIL": "a@example.test", "DATE": "2026-01-02T03:04:05Z"}
    env = os.environ | {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in who.items()}
    env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    for words in (["init", "--quiet", "--initial-branch=main"], ["add", "--all"], ["commit", "--quiet", "-m", message]):
        subprocess.run(["git", *words], cwd=folder, env=env, check=True)


@pytest.fixture(scope="session")
def project(make_project: Callable[..., Path]) -> Path:
    """One project that several tests read."""
    return make_project()
