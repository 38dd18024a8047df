"""The servers that run inside the supervisor, each in a thread: issuers, job tokens, CT logs, proxy, packages.

A server's log holds method, path and status of each request; never a header or a body, which may hold a token.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from dhallmark.lab import ctlog
from dhallmark.lab.model import LabModel, LabPaths
from dhallmark.lab.tokens import key_id, load_token_key, make_claims, sign_token

_MAX_BODY = 1 << 20
_CHUNK = 1 << 16
_IDLE = 30.0


class Server:
    """An HTTP server in a thread of its own."""

    def __init__(
        self,
        name: str,
        address: tuple[str, int],
        handler: Callable[..., BaseHTTPRequestHandler],
        *,
        log: Path,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Bind the address; requests are served from `start` on. Raises OSError where it is taken."""
        self.name = name
        self._log: IO[str] = log.open("a", buffering=1, encoding="utf-8")
        self._server = _HttpServer(address, handler, log=self._log)
        if tls is not None:
            # The handshake waits for the thread of its connection: one silent client must not stop all others.
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        self._log.close()


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self, address: tuple[str, int], handler: Callable[..., BaseHTTPRequestHandler], *, log: IO[str]
    ) -> None:
        self.log = log
        super().__init__(address, handler)

    def server_bind(self) -> None:
        # HTTPServer would look its own name up in the DNS here, which takes seconds where there is none.
        self.allow_reuse_address = True
        socket.socket.bind(self.socket, self.server_address)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:
        del request
        if not self.log.closed:
            self.log.write(f"{client_address}: connection ended badly\n")


class _Handler(BaseHTTPRequestHandler):
    """Answers JSON and writes a log without secrets."""

    protocol_version = "HTTP/1.1"
    timeout = _IDLE

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        server = self.server
        if isinstance(server, _HttpServer) and not server.log.closed:
            server.log.write(f"{self.log_date_time_string()} {format % args}\n")

    def answer(self, body: object, status: HTTPStatus = HTTPStatus.OK) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def refuse(self, status: HTTPStatus, message: str) -> None:
        # What is left of the request's body would be read as the next request.
        self.close_connection = True
        self.answer({"message": message}, status)


class _IssuerHandler(_Handler):
    """Discovery document and key set of every issuer, by host name and path (OpenID Connect Discovery 1.0)."""

    def __init__(self, *args: object, answers: dict[str, object]) -> None:
        self._answers = answers
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        host = self.headers.get("Host", "").partition(":")[0]
        body = self._answers.get(host + urlsplit(self.path).path)
        if body is None:
            self.refuse(HTTPStatus.NOT_FOUND, "no such issuer or document")
        else:
            self.answer(body)


class _JobHandler(_Handler):
    """The token endpoint of GitHub Actions: `GET …?audience=A` with the job's bearer gives `{"value": token}`."""

    def __init__(self, *args: object, paths: LabPaths, lab: LabModel) -> None:
        self._paths, self._lab = paths, lab
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        name = url.path.removeprefix("/jobs/")
        if not name.isalnum():
            self.refuse(HTTPStatus.NOT_FOUND, "no such job")
            return
        try:
            job = json.loads(self._paths.job(name).read_bytes())
        except FileNotFoundError:
            self.refuse(HTTPStatus.NOT_FOUND, "no such job")
            return
        scheme, _, bearer = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(bearer.encode(), job["requestToken"].encode()):
            self.refuse(HTTPStatus.UNAUTHORIZED, "bad request token")
            return
        audience = parse_qs(url.query).get("audience", ["https://github.com/acme"])[0]
        claims = make_claims(self._lab.issuers["github"], claims={"aud": audience} | job["claims"])
        self.answer({"count": 1, "value": sign_token(self._paths, key="github", claims=claims)})


class _CtLogHandler(_Handler):
    """`POST /AUTHORITY/ct/v1/add-pre-chain` (RFC 6962, section 4.2)."""

    def __init__(self, *args: object, logs: dict[str, tuple[x509.Certificate, ec.EllipticCurvePrivateKey]]) -> None:
        self._logs = logs
        super().__init__(*args)  # type: ignore[arg-type]

    def do_POST(self) -> None:
        name = self.path.removesuffix("/ct/v1/add-pre-chain").strip("/")
        length = int(self.headers.get("Content-Length", "0"))
        if name not in self._logs or not 0 < length <= _MAX_BODY:
            self.refuse(HTTPStatus.BAD_REQUEST, "no such log, or no body that it takes")
            return
        issuer, key = self._logs[name]
        try:
            request = json.loads(self.rfile.read(length))
            chain = [base64.b64decode(link, validate=True) for link in request["chain"]]
            self.answer(ctlog.add_pre_chain(chain, issuer=issuer, key=key))
        except (ValueError, KeyError, TypeError, binascii.Error) as error:
            self.refuse(HTTPStatus.BAD_REQUEST, str(error))


class _ProxyHandler(_Handler):
    """`CONNECT HOST:443` (RFC 9110, section 9.3.6) to an issuer's name leads to the lab's issuer; else 403."""

    def __init__(self, *args: object, hosts: frozenset[str], target: tuple[str, int]) -> None:
        self._hosts, self._target = hosts, target
        super().__init__(*args)  # type: ignore[arg-type]

    def do_CONNECT(self) -> None:
        if self.path.partition(":")[0] not in self._hosts:
            self.refuse(HTTPStatus.FORBIDDEN, "not an issuer of this lab")
            return
        with socket.create_connection(self._target) as upstream:
            self.send_response(HTTPStatus.OK, "Connection established")
            self.end_headers()
            self._copy(upstream)
        self.close_connection = True

    def _copy(self, upstream: socket.socket) -> None:
        other = {self.connection: upstream, upstream: self.connection}
        while True:
            readable, _, _ = select.select([*other], [], [], _IDLE)
            if not readable:
                return
            for source in readable:
                data = source.recv(_CHUNK)
                if not data:
                    return
                other[source].sendall(data)


class _PackagesHandler(SimpleHTTPRequestHandler):
    """Files below a directory; no listing of folders."""

    protocol_version = "HTTP/1.1"
    timeout = _IDLE
    log_message = _Handler.log_message

    def list_directory(self, path: object) -> None:
        del path
        self.send_error(HTTPStatus.NOT_FOUND)


def make_servers(lab: LabModel, paths: LabPaths, *, packages: Path | None) -> list[Server]:
    """All in-process servers of a lab, bound and not yet started. Raises OSError where a port is taken."""
    ports = lab.ports
    made: list[Server] = []

    def add(
        name: str,
        port: int,
        handler: Callable[..., BaseHTTPRequestHandler],
        *,
        tls: ssl.SSLContext | None = None,
        listen: str = lab.listen,
    ) -> None:
        made.append(Server(name, (listen, port), handler, log=paths.log(name), tls=tls))

    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(paths.certificates("tls"), paths.key("tls"))
        add("issuer", ports.issuer, partial(_IssuerHandler, answers=_issuer_answers(lab, paths)), tls=context)
        hosts = frozenset(issuer.host for issuer in lab.issuers.values())
        proxy = partial(_ProxyHandler, hosts=hosts, target=("127.0.0.1", ports.issuer))
        add("proxy", ports.proxy, proxy, listen="127.0.0.1")
        add("tokens", ports.tokens, partial(_JobHandler, paths=paths, lab=lab))
        # Fulcio is the log's only client, and runs beside it.
        add("ctlog", ports.ctlog, partial(_CtLogHandler, logs=_ct_logs(lab.authorities, paths)), listen="127.0.0.1")
        if packages is not None:
            add("packages", ports.packages, partial(_PackagesHandler, directory=str(packages)))
    except BaseException:
        for server in made:
            server.stop()
        raise
    return made


def _issuer_answers(lab: LabModel, paths: LabPaths) -> dict[str, object]:
    """Body by host and path."""
    answers: dict[str, object] = {}
    for name, issuer in lab.issuers.items():
        base = issuer.host + issuer.path
        answers[f"{base}/.well-known/openid-configuration"] = {
            "issuer": issuer.url,
            "jwks_uri": f"{issuer.url}/.well-known/jwks",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": ["openid"],
        }
        answers[f"{base}/.well-known/jwks"] = {"keys": [_jwk(load_token_key(paths, name))]}
    return answers


def _jwk(key: rsa.RSAPrivateKey) -> dict[str, str]:
    """The public key as a JSON Web Key (RFC 7518, section 6.3.1)."""
    numbers = key.public_key().public_numbers()

    def encode(number: int) -> str:
        data = number.to_bytes((number.bit_length() + 7) // 8, "big")
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    return {
        "kty": "RSA",
        "use": "sig",
        "alg": "RS256",
        "kid": key_id(key),
        "n": encode(numbers.n),
        "e": encode(numbers.e),
    }


def _ct_logs(
    authorities: Iterable[str], paths: LabPaths
) -> dict[str, tuple[x509.Certificate, ec.EllipticCurvePrivateKey]]:
    """Issuing certificate and log key of each authority."""
    logs = {}
    for name in authorities:
        issuing = x509.load_pem_x509_certificates(paths.certificates(f"fulcio-{name}").read_bytes())[0]
        key = serialization.load_pem_private_key(paths.key(f"ctlog-{name}").read_bytes(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"ctlog-{name}: not an ECDSA key")
        logs[name] = (issuing, key)
    return logs
