"""A kubeconfig, read strictly: one file, one context, nothing that runs a program or trusts whoever answers.

Source: https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
"""

from __future__ import annotations

import base64
import ipaddress
import os
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from dhallmark.config import strictyaml
from dhallmark.errors import ConfigError, InputError, Location, UsageError
from dhallmark.files import read_regular
from dhallmark.kubernetes.api import Api

_MAX_FILE: Final = 1024 * 1024
_PROGRAMS: Final = {
    "exec": "an exec plug-in: a status must not run what a file names",
    "auth-provider": "an auth provider, which Kubernetes has removed",
    "username": "a user name and a password, which Kubernetes has removed",
    "as": "impersonation: look with an identity of its own, which may read and no more",
}
_TOKEN_HINT: Final = "make a kubeconfig with a token of its own: kubectl create token NAME"  # noqa: S105 - no token


@dataclass(frozen=True, slots=True)
class Kubeconfig:
    """A file, and the context of it that is meant."""

    file: str
    folder: Path
    context: str
    cluster: Mapping[str, Any] = field(repr=False)
    user: Mapping[str, Any] = field(repr=False)

    @classmethod
    def load(cls, path: Path, *, context: str = "") -> Kubeconfig:
        """Read a file. Raises ConfigError with its line, UsageError for a context that it does not have."""
        document = strictyaml.parse(read_regular(path, max_bytes=_MAX_FILE), file=str(path))
        body = document.value
        if not isinstance(body, dict) or body.get("kind") != "Config":
            raise ConfigError("not a kubeconfig: its kind must be Config", where=Location(file=str(path)))
        wanted = context or str(body.get("current-context") or "")
        if not wanted:
            raise UsageError(f"{path} has no current-context", hint="name one with --context")
        chosen = _named(body, "contexts", "context", wanted, path)
        cluster = _named(body, "clusters", "cluster", str(chosen.get("cluster", "")), path)
        user = _named(body, "users", "user", str(chosen.get("user", "")), path)
        found = cls(str(path), path.parent, wanted, cluster, user)
        found._refuse()
        return found

    def _refuse(self) -> None:
        """Raise ConfigError for what is not done here, or would make what is seen worth nothing."""
        for key, what in _PROGRAMS.items():
            if self.user.get(key):
                raise self._error(f"users.user.{key}", f"the user has {what}", hint=_TOKEN_HINT)
        if self.cluster.get("insecure-skip-tls-verify"):
            raise self._error(
                "clusters.cluster.insecure-skip-tls-verify",
                "the server is not authenticated: whoever answers could say that all is well",
                hint="name the cluster's authority in certificate-authority-data",
            )
        if self.cluster.get("proxy-url"):
            raise self._error("clusters.cluster.proxy-url", "a proxy is not supported")

    def api(self) -> Api:
        """A client of the cluster. Raises ConfigError, InputError."""
        server = str(self.cluster.get("server", "")).rstrip("/")
        url = urlsplit(server)
        if url.scheme not in ("https", "http") or not url.hostname:
            raise self._error("clusters.cluster.server", "the server is no URL")
        if url.scheme == "http" and not _is_loopback(url.hostname):
            raise self._error("clusters.cluster.server", "plain HTTP: whoever answers could say that all is well")
        return Api(
            server,
            context=self._tls(),
            token=self._token(),
            server_name=str(self.cluster.get("tls-server-name") or ""),
        )

    def _tls(self) -> ssl.SSLContext:
        authority = self._bytes(self.cluster, "certificate-authority", "clusters.cluster")
        try:
            context = ssl.create_default_context(cadata=authority.decode() if authority else None)
        except (ssl.SSLError, ValueError) as error:
            raise self._error("clusters.cluster.certificate-authority", "not a certificate in PEM") from error
        certificate = self._bytes(self.user, "client-certificate", "users.user")
        key = self._bytes(self.user, "client-key", "users.user")
        if bool(certificate) != bool(key):
            raise self._error("users.user.client-certificate", "a certificate and its key go together")
        if certificate and key:
            # The library reads files alone. Nobody else can read these, and they are gone at once.
            with tempfile.TemporaryDirectory(prefix="dhallmark-key-") as folder:
                for name, content in (("certificate", certificate), ("key", key)):
                    descriptor = os.open(Path(folder) / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                    with os.fdopen(descriptor, "wb") as file:
                        file.write(content)
                try:
                    context.load_cert_chain(Path(folder) / "certificate", Path(folder) / "key", password=_no_password)
                except (ssl.SSLError, ValueError, OSError) as error:
                    raise self._error("users.user.client-certificate", "not a certificate and its key") from error
        return context

    def _token(self) -> str:
        token = self.user.get("token")
        if isinstance(token, str) and token:
            return token.strip()
        path = self.user.get("tokenFile")
        if isinstance(path, str) and path:
            return read_regular(self.folder / path, max_bytes=_MAX_FILE).decode(errors="replace").strip()
        return ""

    def _bytes(self, holder: Mapping[str, Any], name: str, at: str) -> bytes:
        """The content of a field that is a path, or of its twin that is base64; empty where there is neither."""
        data, path = holder.get(f"{name}-data"), holder.get(name)
        if isinstance(data, str) and data:
            try:
                return base64.b64decode(data, validate=True)
            except ValueError:
                raise self._error(f"{at}.{name}-data", "not base64") from None
        if isinstance(path, str) and path:
            return read_regular(self.folder / path, max_bytes=_MAX_FILE)
        return b""

    def _error(self, field_name: str, message: str, *, hint: str | None = None) -> ConfigError:
        return ConfigError(message, where=Location(file=self.file, field=field_name), hint=hint)


def find_kubeconfig(given: Path | None, environ: Mapping[str, str]) -> Path:
    """The file that is meant: the one given, or as kubectl finds it. Raises UsageError, InputError."""
    if given is not None:
        return given
    named = [part for part in environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    if len(named) > 1:
        raise UsageError("KUBECONFIG names several files", hint="name the one that is meant with --kubeconfig")
    path = Path(named[0]) if named else Path(environ.get("HOME", "/")) / ".kube" / "config"
    if not path.is_file():
        raise InputError("there is no kubeconfig", where=Location(file=str(path)), hint="name it with --kubeconfig")
    return path


def _named(body: Mapping[str, Any], key: str, inner: str, name: str, path: Path) -> Mapping[str, Any]:
    """The one entry of a list that has a name. Raises ConfigError, UsageError."""
    entries = body.get(key) or []
    if not isinstance(entries, list):
        raise ConfigError(f"{key} is no list", where=Location(file=str(path), field=key))
    found = [one for one in entries if isinstance(one, dict) and one.get("name") == name]
    if len(found) != 1 or not isinstance(found[0].get(inner), dict):
        names = ", ".join(str(one.get("name")) for one in entries if isinstance(one, dict))
        raise UsageError(f"{path}: {len(found)} {key} are called {name!r}", hint=f"there are {names or 'none'}")
    return dict(found[0][inner])


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _no_password() -> bytes:
    """Asked for where a key is encrypted: without it OpenSSL would ask on the terminal."""
    raise ValueError("the key is encrypted")
