"""A real engine, the module's own classes against it, and a project to release.

The tool chain has the engine; tests ask it for one and leave it running for the next run.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagger
import pytest
from dagger import dag
from tests.dagger.commits import commit
from tests.dagger.starting import ContainersNotStarted

from dhallmark.module import Dhallmark, Lab, Released

ROOT = Path(__file__).resolve().parents[2]
TOOLCHAIN = (sys.executable, str(ROOT / "ci" / "toolchain"))
TOOLS = ("helm", "cosign", "crane", "fulcio", "rekor-server", "timestamp-server", "registry", "distribution")
REGISTRY = "lab.dhallmark.test:5000"


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(ContainersNotStarted())


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """An engine that runs, and the environment that leads a client to it."""

    name: str
    environment: Mapping[str, str]

    @property
    def base_image(self) -> str:
        return self.environment["DHALLMARK_BASE_IMAGE"]

    @property
    def places(self) -> tuple[Path, Path]:
        """Where it keeps its state and its logs."""
        cache = Path(self.environment["DHALLMARK_CACHE"])
        return cache / "state" / f"engine-{self.name}", cache / "run" / f"engine-{self.name}"

    @property
    def log(self) -> Path:
        """What it says of each container."""
        return self.places[1] / "engine.log"


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
def engine_places(engine: Engine) -> tuple[Path, ...]:
    """Where the shared engine keeps its state and its logs."""
    assert all(place.is_dir() for place in engine.places)
    return engine.places


@contextmanager
def fresh_engine(name: str) -> Iterator[Engine]:
    """An engine with an empty cache, stopped and thrown away at the end."""
    subprocess.run([*TOOLCHAIN, "engine", "stop", "--name", name], check=True, timeout=120)
    engine = start_engine(name, "--fresh")
    try:
        yield engine
    finally:
        subprocess.run([*TOOLCHAIN, "engine", "stop", "--name", name], check=True, timeout=120)
        # Gigabytes that nobody will ask for: the next one starts with an empty cache, too.
        shutil.rmtree(engine.places[0])


@pytest.fixture(scope="session")
def second_engine() -> Iterator[Engine]:
    """Another engine, with an empty cache."""
    with fresh_engine("second") as engine:
        yield engine


@pytest.fixture(scope="session")
def third_engine() -> Iterator[Engine]:
    """One more, with an empty cache of its own."""
    with fresh_engine("third") as engine:
        yield engine


def dagger_client(engine: Engine, command: str, *arguments: str, trace: str | None = None) -> str:
    """Run the `dagger` client on the module in this checkout, as part of a trace (W3C's 32 digits) if one is given;
    return standard output."""
    traced = {} if trace is None else {"TRACEPARENT": f"00-{trace}-{secrets.token_hex(8)}-01"}
    done = subprocess.run(
        ["dagger", command, "--progress=plain", *arguments],
        cwd=ROOT,
        env={**engine.environment, "NO_COLOR": "1", "DAGGER_NO_NAG": "1", **traced},
        capture_output=True,
        text=True,
        check=False,
        timeout=2400,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    return done.stdout


RELOCKED = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def image_lock(
    engine: Engine, tools: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Path:
    """The lock of the CI image: the committed one, or where Debian has replaced a package of it, one of today.

    Every test uses the same, on every engine.
    """
    lock = tmp_path_factory.mktemp("image") / "lock.json"
    options = (f"--base-image={engine.base_image}", f"--tools={tools}", "--relock")
    dagger_client(engine, "call", *options, "image", "file", "--path=lock.json", "export", f"--path={lock}")
    request.config.stash[RELOCKED] = lock.read_bytes() != (ROOT / "ci" / "image" / "lock.json").read_bytes()
    return lock


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say that the committed lock wants a new one: no defect of what is tested, and nothing to keep silent about."""
    if config.stash.get(RELOCKED, False):
        terminalreporter.write_line("Debian has replaced packages of ci/image/lock.json: run `dhallmark image lock`")


@pytest.fixture(scope="session")
def call(engine: Engine, tools: Path, image_lock: Path) -> Callable[..., str]:
    """Runs the `dagger` client; gives standard output."""
    shared = engine

    def run(
        command: str,
        *arguments: str,
        engine: Engine | None = None,
        lock: Path | None = None,
        trace: str | None = None,
    ) -> str:
        used = engine or shared
        options = [f"--base-image={used.base_image}", f"--tools={tools}", f"--image-lock={lock or image_lock}"]
        return dagger_client(used, command, *(options if command == "call" else ()), *arguments, trace=trace)

    return run


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
def session_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the client says of the session: each call, each exec, what it printed."""
    return tmp_path_factory.mktemp("dagger") / "session.log"


@pytest.fixture(scope="session")
async def session(engine: Engine, session_log: Path) -> AsyncIterator[None]:
    """A connection to the shared engine, for the module's classes run in this process."""
    before = {name: os.environ.get(name) for name in engine.environment}
    os.environ.update(engine.environment)
    log = session_log.open("w")
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
async def module(session: None, engine: Engine, tools: Path, image_lock: Path) -> Dhallmark:
    """The module's main object."""
    return Dhallmark(
        base_image=engine.base_image,
        tools=dag.host().directory(str(tools)),
        image_lock=dag.host().file(str(image_lock)),
        module_source=own_source(),
    )


@pytest.fixture(scope="session")
async def lab(module: Dhallmark) -> Lab:
    """The lab with the example's packages."""
    return await module.lab(packages=dag.host().directory(str(ROOT / "examples" / "packages")))


REPOSITORY = "dhallmark/example-platform"
WORKFLOW = f"{REPOSITORY}/.github/workflows/release.yaml@refs/heads/main"


def job_claims(project: Path) -> dict[str, str]:
    """The claims of the job that the example's policy lets sign, at the project's commit."""
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=project, check=True, capture_output=True, text=True)
    return {
        "repository": REPOSITORY,
        "job_workflow_ref": WORKFLOW,
        "workflow_ref": WORKFLOW,
        "sha": head.stdout.strip(),
    }


@pytest.fixture(scope="session")
def claims() -> Callable[[Path], dict[str, str]]:
    """`job_claims`, for tests that cannot import a neighbour."""
    return job_claims


@pytest.fixture(scope="session")
def builder_id() -> str:
    """The builder that the example's policy lists."""
    return f"https://github.com/{WORKFLOW}"


@pytest.fixture(scope="session")
async def released(lab: Lab, project: Path, builder_id: str) -> Released:
    """A release of the project into the lab, which keeps running."""
    return await lab.release(
        source=dag.host().directory(str(project)),
        builder_id=builder_id,
        claims=[f"{name}={value}" for name, value in job_claims(project).items()],
    )


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


@pytest.fixture(scope="session")
def project(make_project: Callable[..., Path]) -> Path:
    """One project that several tests read."""
    return make_project()
