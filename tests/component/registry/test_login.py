"""Registries that ask who is there: HTTP basic authentication over TLS, and tokens with a scope for each repository."""

from __future__ import annotations

import base64
import datetime as dt
import http.server
import ipaddress
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dhallmark.digest import Digest
from dhallmark.errors import RegistryError
from dhallmark.oci.client import Attachment, Registry
from dhallmark.oci.credentials import Credentials
from dhallmark.oci.descriptor import (
    BUNDLE_V0_3,
    EMPTY_CONFIG,
    EMPTY_CONFIG_TYPE,
    Descriptor,
    Manifest,
    build_manifest,
)

pytestmark = pytest.mark.anyio
ANN = Credentials("ann", "s3cret-word")
# What `htpasswd -B` makes of that password.
_HTPASSWD = "ann:$2b$04$OERrTW/dhmDXcDNx0uwy3OX14/an4gMM83QQJrOnjwnpwDmoFQFQW\n"
Serving = Callable[..., AbstractContextManager[str]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def push_and_copy(registry: Registry) -> Manifest:
    """Reads and writes in two repositories, with referrers and a mount: every kind of scope."""
    for content in (EMPTY_CONFIG, b"chart"):
        await registry.push_blob("team/staging/web", content)
    manifest = build_manifest(
        config=Descriptor.of(EMPTY_CONFIG, EMPTY_CONFIG_TYPE), layers=[Descriptor.of(b"chart", "application/x")]
    )
    await registry.push_manifest("team/staging/web", manifest.content, manifest.media_type)
    bundles = [Attachment(artifact_type=BUNDLE_V0_3, layer=b'{"number":%d}' % number) for number in range(4)]
    await registry.attach_all("team/staging/web", manifest.descriptor, bundles)
    await registry.copy("team/staging/web", "team/public/web", manifest.digest)
    await registry.tag("team/public/web", manifest.digest, "1.0.0")
    assert len(await registry.bundles("team/public/web", manifest.digest)) == 4
    return manifest


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that nobody but this test trusts, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "registry of a test")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture
def private(serving: Serving, certificate: tuple[Path, Path], tmp_path: Path) -> Iterator[str]:
    """A registry with TLS and HTTP basic authentication."""
    (tmp_path / "htpasswd").write_text(_HTPASSWD)
    auth = f"{{htpasswd: {{realm: team, path: {tmp_path / 'htpasswd'}}}}}"
    with serving("distribution", tmp_path / "registry", auth=auth, tls=certificate) as host:
        yield host


async def test_basic_authentication_over_tls_with_a_private_authority(
    private: str, certificate: tuple[Path, Path]
) -> None:
    async with Registry(private, credentials=ANN, ca=certificate[0]) as registry:
        await push_and_copy(registry)


async def test_credentials_come_from_dockers_configuration(
    private: str, certificate: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    auth = base64.b64encode(f"{ANN.username}:{ANN.password}".encode()).decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {private: {"auth": auth}}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    async with Registry(private, ca=certificate[0]) as registry:
        assert await registry.find_manifest("team/web", "1.0.0") is None


@pytest.mark.parametrize("credentials", [Credentials("ann", "wrong-word"), Credentials("", "")])
async def test_a_wrong_password_is_an_error_that_does_not_show_it(
    private: str, certificate: tuple[Path, Path], credentials: Credentials
) -> None:
    async with Registry(private, credentials=credentials, ca=certificate[0]) as registry:
        with pytest.raises(RegistryError, match="401") as caught:
            await registry.find_manifest("team/web", "1.0.0")
    assert "wrong-word" not in str(caught.value)
    assert caught.value.hint
    assert "login" in caught.value.hint


async def test_an_authority_that_is_not_trusted_is_an_error(private: str) -> None:
    async with Registry(private, credentials=ANN) as registry:
        with pytest.raises(RegistryError, match="not trusted"):
            await registry.find_manifest("team/web", "1.0.0")


class TokenServer(http.server.ThreadingHTTPServer):
    """Gives tokens for exactly the scopes that are asked for: the protocol of distribution's "token" authentication."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _TokenHandler)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.scopes: list[tuple[str, ...]] = []
        self.lifetime = 300

    def jwks(self) -> str:
        public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key()))
        return json.dumps({"keys": [{**public, "kid": "test", "alg": "ES256", "use": "sig"}]})

    def token(self, scopes: tuple[str, ...]) -> str:
        now = int(time.time())
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":")
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        claims = {
            "iss": "test",
            "aud": "registry",
            "sub": "ann",
            "nbf": now - 5,
            "iat": now,
            "exp": now + self.lifetime,
        }
        return jwt.encode(
            {**claims, "jti": "1", "access": access}, self.key, algorithm="ES256", headers={"kid": "test"}
        )


class _TokenHandler(http.server.BaseHTTPRequestHandler):
    server: TokenServer

    def do_GET(self) -> None:
        wanted = "Basic " + base64.b64encode(f"{ANN.username}:{ANN.password}".encode()).decode()
        allowed = self.headers.get("Authorization") == wanted
        scopes = tuple(
            scope for value in parse_qs(urlsplit(self.path).query).get("scope", []) for scope in value.split()
        )
        self.server.scopes.append(scopes)
        body = json.dumps({"token": self.server.token(scopes)} if allowed else {}).encode()
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    server = TokenServer()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def guarded(serving: Serving, tokens: TokenServer, tmp_path: Path) -> Iterator[str]:
    """A registry that asks for tokens."""
    (tmp_path / "jwks.json").write_text(tokens.jwks())
    realm = f"http://127.0.0.1:{tokens.server_address[1]}/token"
    auth = f"{{token: {{realm: '{realm}', service: registry, issuer: test, jwks: {tmp_path / 'jwks.json'}}}}}"
    with serving("distribution", tmp_path / "registry", auth=auth) as host:
        yield host


async def test_tokens_are_asked_for_by_repository_and_action(guarded: str, tokens: TokenServer) -> None:
    async with Registry(guarded, plain_http=True, credentials=ANN) as registry:
        await push_and_copy(registry)
    asked = {scope.rpartition(":")[0] for scopes in tokens.scopes for scope in scopes}
    assert asked == {"repository:team/staging/web", "repository:team/public/web"}
    # A token serves many requests: the requests of this test are some eighty.
    assert len(tokens.scopes) < 20


async def test_a_token_that_ran_out_is_replaced(guarded: str, tokens: TokenServer) -> None:
    # The registry allows for a clock that is 60 s off.
    tokens.lifetime = -58
    async with Registry(guarded, plain_http=True, credentials=ANN) as registry:
        digest = await registry.push_blob("team/web", b"content")
        before = len(tokens.scopes)
        time.sleep(3)  # noqa: ASYNC251
        assert await registry.get_blob("team/web", digest) == b"content"
        assert len(tokens.scopes) > before


async def test_without_the_right_to_a_token_there_is_an_error(guarded: str) -> None:
    async with Registry(guarded, plain_http=True, credentials=Credentials("eve", "x")) as registry:
        with pytest.raises(RegistryError, match="401"):
            await registry.referrers("team/web", Digest.of(b"x"))
