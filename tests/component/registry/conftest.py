"""Real registries on free loopback ports: with the referrers API, without it, and distribution v3."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import http.server
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import pytest
from tests.component.ports import free_port

from dhallmark.config.model import Publish
from dhallmark.digest import Digest
from dhallmark.oci.client import Registry
from dhallmark.package.model import MATERIALS_ARTIFACT, Artifact, Artifacts
from dhallmark.package.package import load_artifacts, package
from dhallmark.plan import Plan
from dhallmark.publish.model import Publication
from dhallmark.publish.publish import Verify, publish
from dhallmark.statement import COSIGN_SIGN_V1, LINK_V0_3, SLSA_PROVENANCE_V1, Statement, Subject

_DRIVER_FILE = Path(__file__).with_name("publish_driver.py")
_EPOCH = 1_700_000_000
_FEW = ["dev/acme", "dev/web"]
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


@contextlib.contextmanager
def _serving(kind: str, folder: Path, *, auth: str = "", tls: tuple[Path, Path] | None = None) -> Iterator[str]:
    """A registry of `kind` that keeps its blobs in `folder`; yields host and port.

    `auth` is what distribution's configuration has there; `tls` its certificate and key.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
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
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
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


class Relay(http.server.ThreadingHTTPServer):
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
    server: Relay

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
def relay() -> Iterator[Callable[[str], Relay]]:
    """Starts relays before registries, and stops them."""
    running: list[Relay] = []

    def start(upstream: str) -> Relay:
        server = Relay(upstream)
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


def _load_driver() -> Any:  # noqa: ANN401
    spec = importlib.util.spec_from_file_location("publish_driver", _DRIVER_FILE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_DRIVER = _load_driver()


class Release(Protocol):
    """What `make_small_release` makes."""

    plan: Plan
    root: Path
    build: Path


@dataclass(frozen=True)
class Staged:
    """A packaged release with bundles, and repositories of its own."""

    build: Path
    artifacts: Artifacts
    settings: Publish

    async def publish(self, verify: Verify | None = None, *, host: str = "", move_tag: bool = False) -> Publication:
        settings = self.settings.model_copy(update={"registry": host or self.settings.registry})
        async with Registry(settings.registry, plain_http=True) as registry:
            return await publish(
                self.artifacts,
                build=self.build,
                publish=settings,
                registry=registry,
                verify=verify or self.verify,
                move_tag=move_tag,
            )

    def target(self, artifact: Artifact) -> str:
        return f"{self.settings.repository}/{artifact.repository}"

    def staging(self, artifact: Artifact) -> str:
        return f"{self.settings.staging}/{artifact.repository}"

    async def tags(self) -> dict[str, Digest | None]:
        async with Registry(self.settings.registry, plain_http=True) as registry:
            found = {}
            for artifact in self.artifacts.artifacts:
                manifest = await registry.find_manifest(self.target(artifact), artifact.version)
                found[artifact.slug] = manifest.digest if manifest else None
            return found

    @property
    def verify(self) -> Verify:
        """Accepts what has a statement of cosign's type."""
        verify: Verify = _DRIVER.verify
        return verify

    def start(self, host: str) -> subprocess.Popen[bytes]:
        """`publish` as a process of its own, which can be killed."""
        slugs = [artifact.slug for artifact in self.artifacts.artifacts]
        return subprocess.Popen(
            [
                sys.executable,
                str(_DRIVER_FILE),
                str(self.build),
                host,
                self.settings.staging,
                self.settings.repository,
                *slugs,
            ],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "pipeline")},
            stderr=subprocess.DEVNULL,
        )

    async def signed_tags(self) -> int:
        """How many tags are there. Each must name a digest with all its bundles and its materials."""
        count = 0
        async with Registry(self.settings.registry, plain_http=True) as registry:
            for artifact in self.artifacts.artifacts:
                manifest = await registry.find_manifest(self.target(artifact), artifact.version)
                if manifest is None:
                    continue
                count += 1
                assert manifest.digest == artifact.digest
                served = await registry.bundles(self.target(artifact), manifest.digest)
                own = sorted((self.build / "bundles" / artifact.slug).iterdir())
                links = sorted((self.build / "bundles" / "links").iterdir())
                assert {path.read_bytes() for path in [*own, *links]} <= set(served)
                listing = await registry.referrers(self.target(artifact), manifest.digest)
                referrers = [
                    await registry.get_manifest(self.target(artifact), item.digest) for item in listing.descriptors
                ]
                # By the manifests' own word: the listing of go-containerregistry's registry has another type.
                assert MATERIALS_ARTIFACT in {referrer.body()["artifactType"] for referrer in referrers}
                for blob in manifest.blobs():
                    await registry.get_blob(self.target(artifact), blob.digest)
        return count


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def stage(
    make_small_release: Callable[..., Release], write_bundles: Callable[..., None], tmp_path: Path
) -> Callable[..., Staged]:
    """Packages a release, with two small artifacts unless told otherwise, for repositories that nothing else uses."""

    def make(host: str, *, slugs: list[str] | None = None, epoch: int = _EPOCH, name: str = "") -> Staged:
        folder = tmp_path / uuid4().hex[:8]
        release = make_small_release(folder)
        package(release.plan, root=release.root, build=release.build, source_date_epoch=epoch)
        write_bundles(release.build)
        prefix = name or f"t{uuid4().hex[:10]}"
        settings = Publish(registry=host, repository=f"{prefix}/charts", staging=f"{prefix}/staging", plain_http=True)
        artifacts = _DRIVER.select(load_artifacts(release.build), _FEW if slugs is None else slugs)
        return Staged(release.build, artifacts, settings)

    return make
