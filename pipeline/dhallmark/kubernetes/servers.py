"""A kube-apiserver and the etcd that it needs, on loopback: started, waited for, stopped.

They run as what they are in any cluster. There is no kubelet, no scheduler and no controller: what an API server says
of a manifest needs none of them.
"""

from __future__ import annotations

import os
import secrets
import shutil
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from dhallmark.errors import ToolError, UnavailableError
from dhallmark.files import write_new
from dhallmark.kubernetes.api import Api
from dhallmark.lab.state import tail

API_SERVER, ETCD = "kube-apiserver", "etcd"
_ASSETS: Final = "KUBEBUILDER_ASSETS"
"""Names the folder with both programs that setup-envtest of controller-runtime fetches."""
_HOST: Final = "127.0.0.1"
_PORT, _ETCD_PORT, _ETCD_PEER_PORT = 6443, 2379, 2380
_STORE_BYTES: Final = 512 * 1024 * 1024
_READY_SECONDS: Final = 120.0
_POLL: Final = 0.05
_GRACE_SECONDS: Final = 5.0
_KEY_BITS: Final = 2048


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach an API server that runs here."""

    api: Api
    kubeconfig: Path
    """Mode 0600: it holds the token of an administrator of this server, which lives as long as it does."""


@contextmanager
def running_api_server(folder: Path) -> Iterator[Access]:
    """Start both in the empty folder `folder`, and stop them at the end. Raises ToolError, UnavailableError."""
    programs = {name: find_server(name) for name in (ETCD, API_SERVER)}
    etcd_url, peer_url = f"http://{_HOST}:{_ETCD_PORT}", f"http://{_HOST}:{_ETCD_PEER_PORT}"
    token = secrets.token_urlsafe(32)
    write_new(folder / "tokens.csv", f"{token},dhallmark,dhallmark,system:masters\n", mode=0o600)
    key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
    write_new(folder / "accounts.pem", _pem(key), mode=0o600)
    certificates = folder / "certificates"
    store = [
        programs[ETCD],
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={etcd_url}",
        f"--advertise-client-urls={etcd_url}",
        f"--listen-peer-urls={peer_url}",
        f"--initial-advertise-peer-urls={peer_url}",
        f"--initial-cluster=default={peer_url}",
        "--unsafe-no-fsync",  # nothing of it outlives the process
        # It maps a little more than its quota at once, and without one ten GiB, which no judgement may have.
        f"--quota-backend-bytes={_STORE_BYTES}",
        "--log-level=warn",
    ]
    server = [
        programs[API_SERVER],
        f"--etcd-servers={etcd_url}",
        f"--bind-address={_HOST}",
        f"--advertise-address={_HOST}",
        f"--secure-port={_PORT}",
        f"--cert-dir={certificates}",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--authorization-mode=AlwaysAllow",
        "--anonymous-auth=false",
        "--endpoint-reconciler-type=none",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={folder / 'accounts.pem'}",
        f"--service-account-signing-key-file={folder / 'accounts.pem'}",
        "--disable-admission-plugins=ServiceAccount",  # nobody is there to make the accounts that it asks for
    ]
    with running(ETCD, store, folder), running(API_SERVER, server, folder) as still:
        api = _await_ready(certificates / "apiserver.crt", token, folder, still)
        kubeconfig = folder / "kubeconfig"
        write_new(kubeconfig, _kubeconfig(certificates / "apiserver.crt", token), mode=0o600)
        yield Access(api=api, kubeconfig=kubeconfig)


def find_server(name: str) -> str:
    """The path of a server's program, from PATH or from the folder of envtest. Raises ToolError."""
    search = os.pathsep.join(filter(None, [os.environ.get("PATH", os.defpath), os.environ.get(_ASSETS, "")]))
    found = shutil.which(name, path=search)
    if found is None:
        raise ToolError(
            f"there is no program {name!r} on PATH, nor in ${_ASSETS}",
            hint="a released kube-apiserver and etcd will do (`setup-envtest use` fetches both), "
            "or the tool chain's: python3 ci/toolchain install",
        )
    return found


@contextmanager
def running(
    name: str, command: Sequence[str], folder: Path, *, env: Mapping[str, str] | None = None
) -> Iterator[Callable[[], bool]]:
    """Run a server while the block runs; gives whether it still does. Its log is `folder/name.log`.

    Raises ToolError where it cannot be started.
    """
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder), **(env or {})}
    with (folder / f"{name}.log").open("wb") as log:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd=folder
            )
        except OSError as error:
            raise ToolError(f"cannot start {name}: {error.strerror}", command=(name,)) from error
    try:
        yield lambda: process.poll() is None
    finally:
        process.terminate()
        try:
            process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_ready(certificate: Path, token: str, folder: Path, still: Callable[[], bool]) -> Api:
    end = time.monotonic() + _READY_SECONDS
    while still() and time.monotonic() < end:
        # The server writes its own certificate before it listens, and is its own authority.
        if certificate.exists():
            try:
                api = Api(
                    f"https://{_HOST}:{_PORT}",
                    context=ssl.create_default_context(cafile=str(certificate)),
                    token=token,
                )
                api.get("/readyz/ping")
                api.get("/api/v1/namespaces/default")
            except (UnavailableError, ssl.SSLError):
                pass
            else:
                return api
        time.sleep(_POLL)
    last = tail(folder / f"{API_SERVER}.log")
    raise ToolError("the API server does not become ready", command=(API_SERVER,), stderr=last)


def _pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _kubeconfig(certificate: Path, token: str) -> str:
    cluster = {"server": f"https://{_HOST}:{_PORT}", "certificate-authority": str(certificate)}
    body = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "proof", "cluster": cluster}],
        "users": [{"name": "proof", "user": {"token": token}}],
        "contexts": [{"name": "proof", "context": {"cluster": "proof", "user": "proof"}}],
        "current-context": "proof",
    }
    return str(yaml.safe_dump(body))
