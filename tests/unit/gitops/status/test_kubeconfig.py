"""A kubeconfig is read strictly, and nothing in it is run or believed without a reason."""

from __future__ import annotations

import base64
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.errors import ConfigError, Error, InputError, UsageError
from dhallmark.gitops.status.kubeconfig import Kubeconfig, find_kubeconfig


def pair() -> tuple[bytes, bytes]:
    """A certificate and its key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(serialization.Encoding.PEM), pem


CERTIFICATE, KEY = pair()


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def write(folder: Path, *, cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None) -> Path:
    """A kubeconfig with changes to its one cluster and its one user."""
    body = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "prod",
                "cluster": {
                    "server": "https://127.0.0.1:6443",
                    "certificate-authority-data": encoded(CERTIFICATE),
                    **(cluster or {}),
                },
            }
        ],
        "users": [{"name": "ci", "user": {"token": "secret-token"} if user is None else user}],
        "contexts": [{"name": "prod", "context": {"cluster": "prod", "user": "ci", "namespace": "x"}}],
        "current-context": "prod",
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(body))
    return path


def test_a_token_and_an_authority_make_a_client(tmp_path: Path) -> None:
    found = Kubeconfig.load(write(tmp_path))
    api = found.api()
    assert (found.context, api.url, api.token) == ("prod", "https://127.0.0.1:6443", "secret-token")
    assert api.context.verify_mode is ssl.CERT_REQUIRED
    assert api.context.check_hostname
    assert "secret-token" not in repr(found) + repr(api)


def test_files_are_named_from_where_the_kubeconfig_stands(tmp_path: Path) -> None:
    for name, content in (("ca.pem", CERTIFICATE), ("token", b"of-a-file\n"), ("c.pem", CERTIFICATE), ("k.pem", KEY)):
        (tmp_path / name).write_bytes(content)
    cluster = {"certificate-authority-data": None, "certificate-authority": "ca.pem"}
    user = {"tokenFile": "token", "client-certificate": "c.pem", "client-key": "k.pem"}
    assert Kubeconfig.load(write(tmp_path, cluster=cluster, user=user)).api().token == "of-a-file"


def test_a_client_certificate_may_stand_in_the_file(tmp_path: Path) -> None:
    user = {"client-certificate-data": encoded(CERTIFICATE), "client-key-data": encoded(KEY)}
    assert Kubeconfig.load(write(tmp_path, user=user)).api().token == ""


@pytest.mark.parametrize(
    ("cluster", "user", "message"),
    [
        ({}, {"exec": {"command": "aws"}}, "exec plug-in"),
        ({}, {"auth-provider": {"name": "gcp"}}, "auth provider"),
        ({}, {"username": "a", "password": "b"}, "user name and a password"),
        ({}, {"token": "x", "as": "root"}, "impersonation"),
        ({"insecure-skip-tls-verify": True}, None, "not authenticated"),
        ({"proxy-url": "http://proxy.example"}, None, "proxy"),
        ({"server": "http://cluster.example"}, None, "plain HTTP"),
        ({"server": "cluster"}, None, "no URL"),
        ({"certificate-authority-data": "%"}, None, "not base64"),
        ({"certificate-authority-data": encoded(b"x")}, None, "not a certificate"),
        ({}, {"client-certificate-data": encoded(CERTIFICATE)}, "go together"),
        (
            {},
            {"client-certificate-data": encoded(CERTIFICATE), "client-key-data": encoded(b"x")},
            "not a certificate and its key",
        ),
    ],
)
def test_what_runs_a_program_or_believes_whoever_answers_is_refused(
    tmp_path: Path, cluster: dict[str, Any], user: dict[str, Any] | None, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        Kubeconfig.load(write(tmp_path, cluster=cluster, user=user)).api()


def test_plain_http_on_loopback_is_kubectls_own_proxy(tmp_path: Path) -> None:
    assert Kubeconfig.load(write(tmp_path, cluster={"server": "http://localhost:8001/"})).api().url.endswith(":8001")


def test_a_context_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'staging'") as error:
        Kubeconfig.load(write(tmp_path), context="staging")
    assert "prod" in str(error.value)


def test_the_file_is_found_as_kubectl_finds_it(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / ".kube").mkdir()
    path.rename(tmp_path / ".kube" / "config")
    assert find_kubeconfig(None, {"HOME": str(tmp_path)}) == tmp_path / ".kube" / "config"
    assert find_kubeconfig(None, {"KUBECONFIG": str(tmp_path / ".kube" / "config")}) == tmp_path / ".kube" / "config"
    assert find_kubeconfig(Path("given"), {}) == Path("given")
    with pytest.raises(UsageError, match="several"):
        find_kubeconfig(None, {"KUBECONFIG": "a:b"})
    with pytest.raises(InputError, match="no kubeconfig"):
        find_kubeconfig(None, {"HOME": str(tmp_path / "nobody")})


@given(
    st.binary(max_size=200) | st.text(max_size=80).map(lambda text: f"kind: Config\ncurrent-context: {text}".encode())
)
def test_any_bytes_give_an_error_of_the_projects_own(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("k") / "kubeconfig"
    path.write_bytes(content)
    with pytest.raises(Error):
        Kubeconfig.load(path)
