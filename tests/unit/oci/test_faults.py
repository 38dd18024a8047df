"""A registry that misbehaves in ways that a real one cannot be made to show."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dhallmark.digest import Digest
from dhallmark.errors import RegistryError
from dhallmark.oci.client import DigestMismatchError, Registry
from dhallmark.oci.credentials import Credentials
from dhallmark.oci.descriptor import OCI_INDEX, OCI_MANIFEST, Attachment, Descriptor

pytestmark = pytest.mark.anyio
SUBJECT = Digest.of(b"subject")
EMPTY = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}).encode()
MANIFEST = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": {}, "layers": []}).encode()

Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


class Server(http.server.ThreadingHTTPServer):
    """Answers by the first of `routes` whose text is in `METHOD path`; 404 otherwise. Keeps what it was asked."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.routes: list[tuple[str, Answer]] = []
        self.seen: list[tuple[str, str | None]] = []

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = f"{self.command} {self.path}"
        self.server.seen.append((request, self.headers.get("Authorization")))
        for text, answer in self.server.routes:
            if text in request:
                answer(self)
                return
        reply(404)(self)

    do_GET = do_HEAD = do_PUT = do_POST = _answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Nothing."""


def reply(status: int, body: bytes = b"", **headers: str) -> Answer:
    """A whole answer; underscores in header names stand for dashes."""

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response_only(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)

    return answer


def index(body: bytes = EMPTY, **headers: str) -> Answer:
    return reply(200, body, Content_Type=OCI_INDEX, **headers)


def cut_off(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response_only(200)
    handler.send_header("Content-Type", OCI_INDEX)
    handler.send_header("Content-Length", str(len(EMPTY) + 100))
    handler.end_headers()
    handler.wfile.write(EMPTY)
    handler.close_connection = True


def cut_off_chunks(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response_only(200)
    handler.send_header("Content-Type", OCI_INDEX)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"%x\r\n%s\r\n" % (len(EMPTY), EMPTY))
    handler.close_connection = True


def hang(handler: http.server.BaseHTTPRequestHandler) -> None:
    time.sleep(2)
    handler.close_connection = True


def drip(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response_only(200)
    handler.send_header("Content-Type", OCI_INDEX)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.close_connection = True
    try:
        for _ in range(60):
            handler.wfile.write(b" ")
            time.sleep(0.05)
    except OSError:
        return


def drop(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


def no_http(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n" * 3)
    handler.close_connection = True


def flood(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response_only(200)
    handler.send_header("Content-Type", OCI_INDEX)
    handler.end_headers()
    handler.close_connection = True
    try:
        for _ in range(1000):
            handler.wfile.write(bytes(1 << 20))
    except OSError:
        return


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
    yield running
    running.shutdown()
    running.server_close()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dhallmark.oci.transport._BACKOFF", 0.01)


def client(server: Server, **options: Any) -> Registry:  # noqa: ANN401
    options.setdefault("credentials", Credentials("ann", "s3cret-word"))
    return Registry(server.host, plain_http=True, timeout=0.5, deadline=1.0, **options)


@pytest.mark.parametrize(
    "answer",
    [
        reply(303, Location="http://127.0.0.1:1/other"),
        reply(302, Location="/v2/elsewhere"),
        reply(307),
        reply(400),
        reply(401),
        reply(401, WWW_Authenticate='Basic realm="registry"'),
        reply(403),
        reply(406),
        reply(429),
        reply(500, b"<html>"),
        reply(502),
        reply(200, b"<html>", Content_Type="text/html"),
        index(b"<html>"),
        index(b'{"schemaVersion":2,"manifests":['),
        cut_off,
        cut_off_chunks,
        hang,
        drip,
        drop,
        no_http,
        flood,
    ],
)
async def test_a_referrers_call_that_fails_is_never_an_empty_listing(server: Server, answer: Answer) -> None:
    server.routes = [("/referrers/", answer)]
    async with client(server) as registry:
        started = time.monotonic()
        with contextlib.suppress(RegistryError):
            listing = await registry.referrers("web", SUBJECT)
            assert not listing.complete
            assert listing.problem
        assert time.monotonic() - started < 30
        with pytest.raises(RegistryError) as caught:
            await registry.bundles("web", SUBJECT)
        assert "s3cret-word" not in f"{caught.value} {caught.value.url}"


@pytest.mark.parametrize("tag", [f"sha256-{SUBJECT.hex} ", f"sha256-{SUBJECT.hex}.sig", f"sha256-{SUBJECT.hex}.att"])
@pytest.mark.parametrize("answer", [reply(500), reply(401), cut_off, drop, reply(303, Location="/x")])
async def test_a_fallback_tag_that_cannot_be_read_is_an_error(server: Server, tag: str, answer: Answer) -> None:
    end = tag.rstrip()

    def only_this(handler: http.server.BaseHTTPRequestHandler) -> None:
        (answer if handler.path.endswith(end) else reply(404))(handler)

    server.routes = [("/manifests/", only_this)]
    async with client(server) as registry:
        with pytest.raises(RegistryError):
            await registry.referrers("web", SUBJECT)


async def test_404_everywhere_is_a_complete_listing_of_nothing(server: Server) -> None:
    async with client(server) as registry:
        listing = await registry.referrers("web", SUBJECT)
        assert listing.complete
        assert listing.descriptors == ()


async def test_a_second_page_on_another_host_gets_no_request_and_no_credentials(server: Server) -> None:
    other = Server()
    threading.Thread(target=other.serve_forever, args=(0.02,), daemon=True).start()
    entry = Descriptor(media_type=OCI_MANIFEST, digest=SUBJECT, size=1).to_json()
    body = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    server.routes = [("/referrers/", index(body, Link=f'<http://{other.host}/v2/web/referrers/x>; rel="next"'))]
    async with client(server) as registry:
        listing = await registry.referrers("web", SUBJECT)
    assert not listing.complete
    assert other.seen == []
    other.shutdown()
    other.server_close()


async def test_a_blobs_redirect_is_followed_without_credentials_and_its_bytes_are_checked(server: Server) -> None:
    storage = Server()
    threading.Thread(target=storage.serve_forever, args=(0.02,), daemon=True).start()
    good, evil = Digest.of(b"content"), Digest.of(b"wanted")
    storage.routes = [("/store", reply(200, b"content"))]
    server.routes = [
        ("GET /v2/web/blobs/", _demand_basic(reply(307, Location=f"http://{storage.host}/store?signature=s"))),
    ]
    async with client(server) as registry:
        assert await registry.get_blob("web", good) == b"content"
        with pytest.raises(DigestMismatchError) as caught:
            await registry.get_blob("web", evil)
    assert (caught.value.expected, caught.value.found) == (evil, good)
    assert storage.seen
    assert all(authorization is None for _, authorization in storage.seen)
    assert any(authorization for _, authorization in server.seen)
    storage.shutdown()
    storage.server_close()


def _demand_basic(then: Answer) -> Answer:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        if handler.headers.get("Authorization") is None:
            reply(401, WWW_Authenticate='Basic realm="registry"')(handler)
        else:
            then(handler)

    return answer


async def test_redirects_without_end_are_given_up(server: Server) -> None:
    server.routes = [("/blobs/", reply(307, Location=f"/v2/web/blobs/{SUBJECT}"))]
    async with client(server) as registry:
        with pytest.raises(RegistryError, match="too many redirects"):
            await registry.get_blob("web", SUBJECT)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (reply(200, MANIFEST, Content_Type=OCI_MANIFEST, Docker_Content_Digest="sha256:" + "0" * 64), "got the bytes"),
        (reply(200, b"<html>", Content_Type="text/html"), "text/html was served"),
        (reply(200, MANIFEST), "without a content type"),
        (reply(200, MANIFEST, Content_Type=OCI_INDEX), "says"),
        (reply(200, b"[]", Content_Type=OCI_MANIFEST), "object"),
        (reply(302, Location="/v2/other"), "302"),
        (reply(401), "401"),
        (
            reply(403, b'{"errors":[{"code":"DENIED","message":"not yours"}]}', Content_Type="application/json"),
            "DENIED: not yours",
        ),
        (reply(500, b'{"errors":3}'), "500"),
        (cut_off, "cut off"),
        (hang, "in time"),
        (flood, "longer than"),
        (drop, "cannot be reached|cut off"),
    ],
)
async def test_a_manifest_that_cannot_be_trusted_is_an_error(server: Server, answer: Answer, problem: str) -> None:
    server.routes = [("/manifests/", answer)]
    async with client(server) as registry:
        with pytest.raises(RegistryError, match=problem):
            await registry.find_manifest("web", "1.0.0")


async def test_other_bytes_than_the_digests_are_told_apart_from_an_outage(server: Server) -> None:
    server.routes = [("/manifests/", reply(200, MANIFEST, Content_Type=OCI_MANIFEST))]
    async with client(server) as registry:
        with pytest.raises(DigestMismatchError):
            await registry.get_manifest("web", SUBJECT)


async def test_a_passing_fault_is_tried_again(server: Server) -> None:
    answers = iter([reply(503), drop, reply(200, MANIFEST, Content_Type=OCI_MANIFEST)])

    def in_turn(handler: http.server.BaseHTTPRequestHandler) -> None:
        next(answers)(handler)

    server.routes = [("/manifests/", in_turn)]
    async with client(server) as registry:
        assert (await registry.get_manifest("web", "1")).content == MANIFEST


async def test_an_upload_is_not_tried_again_by_itself(server: Server) -> None:
    server.routes = [("POST ", reply(503))]
    async with client(server) as registry:
        with pytest.raises(RegistryError, match="503"):
            await registry.push_blob("web", b"content")
    assert len([request for request, _ in server.seen if request.startswith("POST")]) == 1


@pytest.mark.parametrize(
    "routes",
    [
        [("POST ", reply(202))],
        [("POST ", reply(202, Location="/upload")), ("PUT ", reply(500))],
        [("POST ", reply(202, Location="/upload")), ("PUT ", reply(202))],
        [("POST ", reply(202, Location="http://127.0.0.1:1/upload"))],
        [("HEAD ", reply(500))],
    ],
)
async def test_an_upload_that_is_not_confirmed_is_an_error(server: Server, routes: list[tuple[str, Answer]]) -> None:
    server.routes = routes
    async with client(server) as registry:
        with pytest.raises(RegistryError):
            await registry.push_blob("web", b"content")


async def test_a_manifest_that_is_stored_as_another_is_an_error(server: Server) -> None:
    server.routes = [("PUT ", reply(201, Docker_Content_Digest="sha256:" + "0" * 64))]
    async with client(server) as registry:
        with pytest.raises(RegistryError, match="stored"):
            await registry.push_manifest("web", MANIFEST, OCI_MANIFEST)


async def test_a_tag_that_does_not_stay_is_an_error(server: Server) -> None:
    wanted = Digest.of(MANIFEST)
    server.routes = [
        (f"GET /v2/web/manifests/{wanted}", reply(200, MANIFEST, Content_Type=OCI_MANIFEST)),
        ("GET ", reply(200, MANIFEST + b" ", Content_Type=OCI_MANIFEST)),
        ("PUT ", reply(201)),
    ]
    async with client(server) as registry:
        with pytest.raises(RegistryError, match="right after it was moved"):
            await registry.tag("web", wanted, "1.0.0")


async def test_where_the_registry_lists_referrers_itself_no_index_is_written(server: Server) -> None:
    subject = Descriptor(media_type=OCI_MANIFEST, digest=SUBJECT, size=1)
    server.routes = [("HEAD ", reply(200)), ("PUT ", reply(201, OCI_Subject=str(SUBJECT)))]
    async with client(server) as registry:
        await registry.attach_all("web", subject, [Attachment(artifact_type="application/x", layer=b"1")])
    assert not [request for request, _ in server.seen if "sha256-" in request]


@pytest.mark.parametrize(
    "realm", ["http://127.0.0.1:1/token", "ftp://x/token", "/token", "", 'x" , realm="http://127.0.0.1:1/']
)
async def test_credentials_are_not_sent_to_a_token_service_without_tls(
    realm: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.routes = [("/manifests/", reply(401, WWW_Authenticate=f'Bearer realm="{realm}",service="s"'))]
    asked: list[str] = []

    def forbidden(*_args: object, **kwargs: object) -> None:
        asked.append(str(kwargs))

    async with client(server) as registry:
        transport = registry._repository("web")._http
        # As it would be for a registry with TLS.
        monkeypatch.setattr(transport, "_plain_http", False)
        monkeypatch.setattr(transport.auth, "authenticate_request", forbidden)
        with pytest.raises(RegistryError, match="not https"):
            await registry.find_manifest("web", "1")
    assert asked == []


@pytest.mark.parametrize(
    "token",
    [
        reply(500),
        reply(200, b"[]"),
        reply(200, b"<html>"),
        reply(200, b"{}"),
        hang,
        drop,
        flood,
        reply(302, Location="/x"),
    ],
)
async def test_a_token_service_that_fails_is_an_error(server: Server, token: Answer) -> None:
    challenge = f'Bearer realm="http://{server.host}/token",service="s",scope="repository:web:pull"'
    server.routes = [("/token", token), ("/manifests/", reply(401, WWW_Authenticate=challenge))]
    async with client(server) as registry:
        with pytest.raises(RegistryError) as caught:
            await registry.find_manifest("web", "1")
    assert "s3cret-word" not in str(caught.value)


HOSTILE = {
    "an address that cannot be parsed": reply(302, Location="http://[bad/"),
    "a pause that is a digit and no number": reply(503, Retry_After="\xb2"),
    "an error nested without end": reply(500, b"[" * 400_000, Content_Type="application/json"),
    "an error of any bytes": reply(500, bytes(range(256)) * 4000),
    "errors that are no list": reply(500, b'{"errors":{"a":1}}'),
    "a token service that cannot be parsed": reply(401, WWW_Authenticate='Bearer realm="http://[bad",service="x"'),
    "a token service on no port": reply(401, WWW_Authenticate='Bearer realm="http://127.0.0.1:99999999/x"'),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_answer_is_a_registry_error_and_nothing_else(server: Server, name: str) -> None:
    server.routes = [("/", HOSTILE[name])]
    async with client(server) as registry:
        with contextlib.suppress(RegistryError):
            assert not (await registry.referrers("web", SUBJECT)).complete
        with pytest.raises(RegistryError):
            await registry.resolve("web", "1")
        with pytest.raises(RegistryError):
            await registry.get_blob("web", SUBJECT)
        with pytest.raises(RegistryError):
            await registry.push_blob("web", b"content")


async def test_a_token_nested_without_end_is_an_error(server: Server) -> None:
    challenge = f'Bearer realm="http://{server.host}/token",service="s",scope="repository:web:pull"'
    server.routes = [
        ("/token", reply(200, b"[" * 400_000)),
        ("/manifests/", reply(401, WWW_Authenticate=challenge)),
    ]
    async with client(server) as registry:
        with pytest.raises(RegistryError, match="token service"):
            await registry.find_manifest("web", "1")


async def test_an_upload_to_an_address_that_cannot_be_parsed_is_an_error(server: Server) -> None:
    server.routes = [("POST", reply(202, Location="http://[bad/"))]
    async with client(server) as registry:
        with pytest.raises(RegistryError, match="address"):
            await registry.push_blob("web", b"content")


async def test_a_netrc_file_changes_no_request(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    netrc = tmp_path_factory.mktemp("home") / ".netrc"
    netrc.write_text("default login other password other\n")
    monkeypatch.setenv("NETRC", str(netrc))
    server.routes = [("/manifests/", _demand_basic(reply(200, MANIFEST, Content_Type=OCI_MANIFEST)))]
    async with client(server) as registry:
        await registry.get_manifest("web", "1")
    assert server.seen[0][1] is None
    assert server.seen[1][1] == "Basic YW5uOnMzY3JldC13b3Jk"


async def test_outside_its_block_a_registry_does_nothing(server: Server) -> None:
    registry = client(server)
    with pytest.raises(RuntimeError, match="async with"):
        await registry.find_manifest("web", "1")


async def test_a_redirect_from_tls_to_plain_http_is_not_followed(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.routes = [("/blobs/", reply(307, Location=f"http://{server.host}/elsewhere"))]
    async with client(server) as registry:
        # As it would be for a registry with TLS.
        monkeypatch.setattr(registry._repository("web")._http, "_plain_http", False)
        with pytest.raises(RegistryError, match="plain HTTP"):
            await registry.get_blob("web", SUBJECT)
    assert not [request for request, _ in server.seen if "elsewhere" in request]
