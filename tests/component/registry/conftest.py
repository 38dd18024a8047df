"""Real registries on free loopback ports: with the referrers API, without it, and distribution v3."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

_KINDS = ("referrers", "no-referrers", "distribution")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.component)


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.fail(f'{name} is not on PATH: run `eval "$(python3 ci/toolchain env)"`')
    return found


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def _serving(kind: str, folder: Path, *, port: int | None = None) -> Iterator[str]:
    """A registry of `kind` that keeps its blobs in `folder`; yields host and port."""
    folder.mkdir(parents=True, exist_ok=True)
    port = port or _free_port()
    if kind == "distribution":
        config = folder / "config.yaml"
        config.write_text(
            "version: 0.1\nlog: {level: error}\n"
            f"storage: {{filesystem: {{rootdirectory: {folder / 'data'}}}, delete: {{enabled: true}}}}\n"
            f"http: {{addr: '127.0.0.1:{port}'}}\n"
        )
        command = [_tool("distribution"), "serve", str(config)]
    else:
        flag = "true" if kind == "referrers" else "false"
        command = [_tool("registry"), "-addr", f"127.0.0.1:{port}", f"-referrers={flag}", "-quiet"]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        for _ in range(200):
            try:
                if httpx.get(f"http://127.0.0.1:{port}/v2/", trust_env=False).status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.05)
        else:
            pytest.fail(f"{command[0]} did not start: {(folder / 'log').read_text()}")
        yield f"127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="session", params=_KINDS)
def registry_host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Host and port of a registry of each kind."""
    with _serving(request.param, tmp_path_factory.mktemp(request.param)) as host:
        yield host


@pytest.fixture(scope="session", params=("no-referrers", "distribution"))
def host_without_api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Host and port of a registry that answers the referrers API with 404."""
    with _serving(request.param, tmp_path_factory.mktemp(request.param)) as host:
        yield host


@pytest.fixture(scope="session")
def host_with_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Host and port of a registry that has the referrers API."""
    with _serving("referrers", tmp_path_factory.mktemp("referrers")) as host:
        yield host


@pytest.fixture
def serving() -> Callable[..., object]:
    """Starts a registry that the test itself stops: a context manager of `kind` and folder."""
    return _serving
