"""Real registries on free loopback ports: with the referrers API, without it, and distribution v3."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import http.server
import json
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

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


@contextlib.contextmanager
def _serving(kind: str, folder: Path, *, auth: str = "", tls: tuple[Path, Path] | None = None) -> Iterator[str]:
    """A registry of `kind` that keeps its blobs in `folder`; yields host and port.

    `auth` is what distribution's configuration has there; `tls` its certificate and key.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    if kind == "distribution":
        config = folder / "config.yaml"
        config.write_text(
            "version: 0.1\nlog: {level: error}\n"
            f"storage: {{filesystem: {{rootdirectory: {folder / 'data'}}}, delete: {{enabled: true}}}}\n"
            f"http: {{addr: '127.0.0.1:{port}'{f', tls: {{certificate: {tls[0]}, key: {tls[1]}}}' if tls else ''}}}\n"
            f"{f'auth: {auth}' if auth else ''}\n"
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
                with socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
            except OSError:
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


class _Relay(http.server.ThreadingHTTPServer):
    """Passes requests on to a registry, and lets a test step in before or after each."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _RelayHandler)
        self.upstream = upstream
        self.writes = 0
        self.lock = threading.Lock()
        self.before: Callable[[int, str, str], bytes | None] = lambda _number, _method, _path: None
        """Called with number, method and path of each request that writes; bytes are answered instead of passing on."""
        self.after: Callable[[int], None] = lambda _number: None

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class _RelayHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Relay

    def _relay(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        number = 0
        if self.command not in {"GET", "HEAD"}:
            with self.server.lock:
                self.server.writes += 1
                number = self.server.writes
            instead = self.server.before(number, self.command, self.path)
            if instead is not None:
                self.wfile.write(instead)
                self.close_connection = True
                return
        with contextlib.closing(http.client.HTTPConnection(self.server.upstream, timeout=30)) as upstream:
            # The Host header goes along, so that the registry's own links lead through here.
            upstream.request(self.command, self.path, body=body, headers=dict(self.headers))
            answer = upstream.getresponse()
            content = answer.read()
        if number:
            self.server.after(number)
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"transfer-encoding", "connection", "content-length"}:
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else None
        self.send_header("Content-Length", length or str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = _relay  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def handle(self) -> None:
        # A client that was killed leaves its connection in the middle of an answer.
        with contextlib.suppress(ConnectionError):
            super().handle()


@pytest.fixture
def relay() -> Iterator[Callable[[str], _Relay]]:
    """Starts relays before registries, and stops them."""
    running: list[_Relay] = []

    def start(upstream: str) -> _Relay:
        server = _Relay(upstream)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        running.append(server)
        return server

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="session")
def write_bundles() -> Callable[..., None]:
    """Writes bundles that are shaped like signed ones for a build directory; their signatures are none."""
    from dhallmark.digest import Digest
    from dhallmark.package.package import load_artifacts
    from dhallmark.statement import COSIGN_SIGN_V1, LINK_V0_3, SLSA_PROVENANCE_V1, Statement, Subject

    def bundle(statement: Statement, salt: str) -> bytes:
        signature = base64.b64encode(hashlib.sha256(statement.payload + salt.encode()).digest()).decode()
        envelope = {
            "payload": base64.b64encode(statement.payload).decode(),
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [{"sig": signature}],
        }
        media_type = "application/vnd.dev.sigstore.bundle.v0.3+json"
        return json.dumps({"mediaType": media_type, "dsseEnvelope": envelope}).encode()

    def write(build: Path, *, salt: str = "") -> None:
        for artifact in load_artifacts(build).artifacts:
            subject = Subject(artifact.repository, artifact.manifest_digest)
            for name, kind in (("sign", COSIGN_SIGN_V1), ("provenance", SLSA_PROVENANCE_V1)):
                statement = Statement.build(predicate_type=kind, subjects=[subject], predicate={})
                path = build / "bundles" / artifact.slug / f"{name}.sigstore.json"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(bundle(statement, salt))
        link = Statement.build(
            predicate_type=LINK_V0_3, subjects=[Subject("build/render/x", Digest.of(b"x"))], predicate={}
        )
        path = build / "bundles" / "links" / "render.sigstore.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bundle(link, salt))

    return write
