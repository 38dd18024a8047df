"""A client of the Kubernetes API, as small as what is asked of it: discover, create, read, list, watch nothing.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlencode

import urllib3

from dhallmark.errors import UnavailableError

Json = dict[str, Any]
_TIMEOUT: Final = 30.0
_MAX_ANSWER: Final = 64 * 1024 * 1024
_PAGE: Final = 500
_MAX_PAGES: Final = 1000
_OK: Final = range(200, 300)
_NOT_FOUND: Final = 404
_SECRET_HEADER: Final = "Authorization"  # noqa: S105 - a name


class ApiError(UnavailableError):
    """The API server answered with an error, or not at all."""

    def __init__(self, message: str, *, status: int | None = None, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        """HTTP status; None where no answer came."""
        self.code = code
        """The `reason` of the server's Status, such as `Invalid`."""


@dataclass(frozen=True, slots=True)
class Type:
    """A kind of object, as the API server serves it."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool

    def path(self, namespace: str = "", name: str = "") -> str:
        """Where objects of the type stand; one of them where it is named."""
        parts = ["/apis" if "/" in self.api_version else "/api", self.api_version]
        if self.namespaced and namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        return "/".join([*parts, self.plural, *([quote(name, safe="")] if name else [])])


@dataclass(slots=True)
class Api:
    """An API server, by its URL without a slash at the end. Redirects are not followed: they would take the token."""

    url: str
    context: ssl.SSLContext = field(repr=False)
    token: str = field(default="", repr=False)
    timeout: float = _TIMEOUT
    server_name: str = ""
    """The name that the server's certificate must be for, where it is not the host's."""
    _pool: urllib3.PoolManager = field(init=False, repr=False)
    _types: dict[str, dict[str, Type]] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        name = self.server_name or None
        self._pool = urllib3.PoolManager(
            ssl_context=self.context, retries=False, timeout=self.timeout, server_hostname=name, assert_hostname=name
        )

    def get(self, path: str, **query: str) -> Any:  # noqa: ANN401 - JSON
        """What stands at `path`. Raises ApiError."""
        return self._ask("GET", path, query)

    def find(self, path: str) -> Json | None:
        """The object at `path`; None where there is none. Raises ApiError."""
        try:
            found = self.get(path)
        except ApiError as error:
            if error.status == _NOT_FOUND:
                return None
            raise
        return found if isinstance(found, dict) else None

    def create(self, kind: Type, body: Mapping[str, Any], *, strict: bool = True) -> Json:
        """Create an object; with `strict`, a key that the server does not know is an error. Raises ApiError."""
        namespace = str(body.get("metadata", {}).get("namespace", ""))
        query = {"fieldManager": "dhallmark", "fieldValidation": "Strict" if strict else "Ignore"}
        created = self._ask("POST", kind.path(namespace), query, body)
        return created if isinstance(created, dict) else {}

    def merge(self, path: str, change: Mapping[str, Any]) -> Json:
        """Change the object at `path` by a JSON merge patch (RFC 7396). Raises ApiError."""
        changed = self._ask("PATCH", path, {"fieldManager": "dhallmark"}, change, "application/merge-patch+json")
        return changed if isinstance(changed, dict) else {}

    def type_of(self, api_version: str, kind: str) -> Type | None:
        """The type with that name; None where the server does not serve it. Raises ApiError."""
        if api_version not in self._types:
            prefix = "/apis" if "/" in api_version else "/api"
            found = self.find(f"{prefix}/{quote(api_version, safe='/')}") or {}
            self._types[api_version] = {
                one["kind"]: Type(api_version, one["kind"], one["name"], bool(one["namespaced"]))
                for one in found.get("resources", ())
                if "/" not in one["name"]
            }
        return self._types[api_version].get(kind)

    def forget_types(self, api_version: str) -> None:
        """Ask anew for the types of `api_version`: a definition was added."""
        self._types.pop(api_version, None)

    def list_all(self, kind: Type) -> Iterator[Json]:
        """Every object of a type, in all namespaces, page by page. Raises ApiError: half a list is none."""
        after = ""
        for _ in range(_MAX_PAGES):
            query = {"limit": str(_PAGE), **({"continue": after} if after else {})}
            page = self.get(kind.path(), **query)
            if not isinstance(page, dict) or not isinstance(page.get("items"), list):
                raise ApiError(f"{self.url}{kind.path()}: the answer is no list")
            yield from page["items"]
            after = str(page.get("metadata", {}).get("continue") or "")
            if not after:
                return
        raise ApiError(f"{self.url}{kind.path()}: more than {_MAX_PAGES * _PAGE} objects")

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> Any:  # noqa: ANN401 - JSON
        url = f"{self.url}{path}" + (f"?{urlencode(query)}" if query else "")
        headers = {"Accept": "application/json", "User-Agent": "dhallmark"}
        if self.token:
            headers[_SECRET_HEADER] = f"Bearer {self.token}"
        if body is not None:
            headers["Content-Type"] = content_type
        try:
            answer = self._pool.request(
                method,
                url,
                headers=headers,
                body=None if body is None else json.dumps(body).encode(),
                redirect=False,
                preload_content=False,
            )
            try:
                content = answer.read(_MAX_ANSWER + 1)
            finally:
                answer.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ApiError(f"{method} {self.url}{path}: {_told(error)}") from error
        if len(content) > _MAX_ANSWER:
            raise ApiError(f"{method} {self.url}{path}: more than {_MAX_ANSWER} bytes")
        if answer.status not in _OK:
            raise _refusal(f"{method} {self.url}{path}", answer.status, content)
        return _decoded(content, path)


def _decoded(content: bytes, path: str) -> Any:  # noqa: ANN401 - JSON
    if path.startswith(("/readyz", "/livez", "/healthz")):
        return content.decode(errors="replace")
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ApiError(f"{path}: the answer is not JSON") from error


def _refusal(request: str, status: int, content: bytes) -> ApiError:
    """The error that a Status says (meta/v1)."""
    try:
        told = json.loads(content)
        message, code = str(told["message"]), str(told.get("reason", ""))
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        message, code = content[:500].decode(errors="replace").strip() or f"status {status}", ""
    return ApiError(f"{request}: {message}", status=status, code=code)


def _told(error: BaseException) -> str:
    """What went wrong, without the objects that urllib3 names."""
    if isinstance(error, urllib3.exceptions.NameResolutionError):
        return "the name of the server cannot be resolved"
    if isinstance(error, urllib3.exceptions.SSLError):
        return f"TLS: {error.args[0] if error.args else error}"
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        return "no connection"
    return type(error).__name__
