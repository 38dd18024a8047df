"""HTTP to one repository of a registry: oras-py with bounds.

oras brings the authentication backends, the names and the chunked upload. What it leaves open is closed here, at the
one method through which all of its requests go: every request has timeouts and a deadline, every answer a greatest
size, a redirect is followed only where the specification means one and never carries credentials to another host,
credentials never travel in clear text unless plain HTTP was asked for, and failures are `RegistryError`.

Blocking; `dhallmark.oci.client` runs it in threads.
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import oras.provider
import requests
import urllib3
from oras.auth.utils import parse_auth_header

from dhallmark import strictjson
from dhallmark.errors import FormatError, RegistryError
from dhallmark.oci.credentials import Credentials

_CONNECT_TIMEOUT: Final = 10.0
_ATTEMPTS: Final = 3
_BACKOFF: Final = 0.3
_MAX_WAIT: Final = 5.0
_TRANSIENT: Final = frozenset({429, 502, 503, 504})
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS: Final = 5
_CHUNK: Final = 64 * 1024
_DEFAULT_LIMIT: Final = 1024 * 1024
"""Bytes of an answer whose size nobody announced: tokens, errors."""
_MAX_ERROR_BYTES: Final = 64 * 1024
"""Of an error's answer, for its words; a longer one is not read for them."""
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_ERRORS: Final = 400


class TooLongError(requests.exceptions.RequestException):
    """An answer is larger than the caller allows."""


class _Session(requests.Session):
    """A session whose requests end: timeouts, a deadline and a greatest size on every one; no redirects, no netrc."""

    def __init__(self, *, timeout: float, deadline: float, ca: Path | None) -> None:
        super().__init__()
        self._verify = str(ca) if ca else True
        self._timeout = timeout
        self._deadline = deadline
        # Registries may set cookies and then treat the client as a browser.
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        # Without this, requests takes credentials from ~/.netrc and overwrites the registry's token with them.
        self.auth = lambda request: request
        self.headers.update({"Accept-Encoding": "identity", "User-Agent": "dhallmark"})

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:  # type: ignore[override]  # noqa: ANN401
        limit = kwargs.pop("limit", _DEFAULT_LIMIT)
        # Given with each request: a session's own setting loses to REQUESTS_CA_BUNDLE.
        kwargs.update(verify=self._verify)
        kwargs.update(timeout=(_CONNECT_TIMEOUT, self._timeout), allow_redirects=False, stream=True)
        end = time.monotonic() + self._deadline
        response = super().request(method, url, *args, **kwargs)
        try:
            body = _read(response, limit=limit, end=end)
        except BaseException:
            response.close()
            raise
        # requests has no public way to hand on a body that was read with a limit.
        response._content = body  # noqa: SLF001
        response._content_consumed = True  # noqa: SLF001
        return response


def _read(response: requests.Response, *, limit: int, end: float) -> bytes:
    # read1 returns what has come, so that a server which sends a byte now and then meets the deadline.
    body = bytearray()
    while chunk := response.raw.read1(_CHUNK, decode_content=False):
        body += chunk
        if len(body) > limit:
            raise TooLongError(f"the answer is longer than {limit} bytes")
        if time.monotonic() > end:
            raise requests.exceptions.ReadTimeout("the answer took too long")
    return bytes(body)


class Transport(oras.provider.Registry):  # type: ignore[misc]
    """Requests to one repository. Tokens are scoped to a repository, so each repository has its own."""

    def __init__(
        self,
        host: str,
        repository: str,
        *,
        plain_http: bool,
        credentials: Credentials | None,
        ca: Path | None,
        timeout: float,
        deadline: float,
    ) -> None:
        super().__init__(hostname=host, insecure=plain_http, tls_verify=str(ca) if ca else True)
        self.base = f"{self.prefix}://{host}"
        self.container = self.get_container(f"{host}/{repository}")
        self.repository = repository
        self._plain_http = plain_http
        self._credentials = credentials
        self.session = _Session(timeout=timeout, deadline=deadline, ca=ca)
        self.auth.session = self.session
        if credentials is not None:
            self.auth.set_basic_auth(credentials.username, credentials.password)
        self._header: str | None = None
        self._lock = threading.Lock()

    def url(self, rest: str) -> str:
        """The URL of `rest`, such as `manifests/v1`, in this repository."""
        return f"{self.base}/v2/{self.repository}/{rest}"

    def same_origin(self, url: str) -> bool:
        """True where `url` is of this registry: same scheme, host and port."""
        here, there = urlsplit(self.base), urlsplit(url)
        return (here.scheme, here.netloc.lower()) == (there.scheme, there.netloc.lower())

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
        limit: int = _DEFAULT_LIMIT,
        follow: bool = False,
    ) -> requests.Response:
        """Send a request, with authentication, and read the whole answer.

        Answers of any status are returned, once repetitions (for requests that may be repeated) are used up.
        Raises RegistryError where there is no answer, or one longer than `limit` bytes. A redirect is followed only
        where `follow` is true, and then without credentials.
        """
        response = self._repeat(method, url, headers or {}, data, limit)
        hops = 0
        while follow and response.status_code in _REDIRECTS:
            hops += 1
            if hops > _MAX_REDIRECTS:
                raise RegistryError("too many redirects", method=method, url=url, status=response.status_code)
            target = resolve_url(url, response.headers.get("Location", ""), method=method)
            if urlsplit(target).scheme not in ({"http", "https"} if self._plain_http else {"https"}):
                raise RegistryError(
                    "refused a redirect to plain HTTP", method=method, url=url, status=response.status_code
                )
            url = target
            response = self._repeat(method, url, headers or {}, data, limit)
        return response

    def do_request(
        self,
        url: str,
        method: str = "GET",
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
        json: object = None,
        stream: bool = False,  # noqa: FBT001, FBT002
    ) -> requests.Response:
        """What oras sends its own requests through. Raises RegistryError for a status of 400 and above."""
        del json, stream
        response = self.request(method, url, headers=headers, data=data)
        if response.status_code >= _ERRORS:
            raise failure(response, method=method, url=url)
        return response

    def _repeat(
        self, method: str, url: str, headers: Mapping[str, str], data: bytes | None, limit: int
    ) -> requests.Response:
        """Send; again, for a request that changes nothing when repeated and an answer that says "later"."""
        repeatable = method in {"GET", "HEAD"} or (method == "PUT" and "/manifests/" in url)
        for attempt in range(1, _ATTEMPTS + 1):
            last = attempt == _ATTEMPTS or not repeatable
            wait = _BACKOFF * 4 ** (attempt - 1)
            try:
                response = self._authorised(method, url, headers, data, limit)
            except requests.exceptions.ConnectionError as error:
                # Not after a timeout: whoever waits has waited long enough. Nor does trust come by itself.
                if last or isinstance(error, requests.exceptions.Timeout | requests.exceptions.SSLError):
                    raise RegistryError(_describe(error), method=method, url=_shown(url), hint=_HINT) from error
            except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
                raise RegistryError(_describe(error), method=method, url=_shown(url), hint=_HINT) from error
            except ValueError as error:
                # requests and urllib3 parse the addresses in headers, and let urllib.parse's ValueError through.
                raise _no_address(method, url) from error
            else:
                if last or response.status_code not in _TRANSIENT:
                    return response
                after = response.headers.get("Retry-After", "")
                wait = min(float(after), _MAX_WAIT) if after.isascii() and after.isdigit() else wait
            time.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def _authorised(
        self, method: str, url: str, headers: Mapping[str, str], data: bytes | None, limit: int
    ) -> requests.Response:
        response: requests.Response
        for _ in range(3):
            used = self._header if self.same_origin(url) else None
            sent = {**headers, **({"Authorization": used} if used else {})}
            response = self.session.request(method, url, headers=sent, data=data, limit=limit)
            # 403 may mean that a token lacks the scope that this request needs; so a new one is asked for.
            denied = response.status_code == _UNAUTHORIZED or (response.status_code == _FORBIDDEN and used is not None)
            if not denied or not self.same_origin(url) or not self._authenticate(response, used):
                return response
        return response

    def _authenticate(self, response: requests.Response, used: str | None) -> bool:
        """Answer the challenge of `response`. True where the request, which carried `used`, is worth repeating."""
        challenge = response.headers.get("WWW-Authenticate", "")
        scheme = challenge.partition(" ")[0].lower()
        with self._lock:
            if self._header != used:
                return True
            if scheme == "basic" and self._credentials is not None:
                pair = f"{self._credentials.username}:{self._credentials.password}"
                header = "Basic " + base64.b64encode(pair.encode()).decode()
            elif scheme == "bearer":
                self._check_realm(challenge, response)
                self.auth.token = None
                try:
                    answered, changed = self.auth.authenticate_request(response, {})
                except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
                    raise RegistryError(
                        "the registry's token service gave an answer that cannot be read",
                        method=str(response.request.method),
                        url=_shown(str(response.request.url)),
                        status=response.status_code,
                    ) from error
                header = answered["Authorization"] if changed else ""
            else:
                return False
            if not header or header == used:
                return False
            self._header = header
            return True

    def _check_realm(self, challenge: str, response: requests.Response) -> None:
        realm = urlsplit(parse_auth_header(challenge).realm or "")
        if realm.scheme not in ({"http", "https"} if self._plain_http else {"https"}) or not realm.netloc:
            raise RegistryError(
                "the registry sends clients to a token service that is not https",
                method=str(response.request.method),
                url=_shown(str(response.request.url)),
                status=response.status_code,
            )


_HINT: Final = "check the registry's address, the network and, for a registry without TLS, publish.plainHttp"


def failure(response: requests.Response, *, method: str, url: str, doing: str = "") -> RegistryError:
    """The error that a refusing answer becomes, with the registry's own word where it has one."""
    status = response.status_code
    words = ""
    try:
        errors = strictjson.parse(response.content, what="error", max_bytes=_MAX_ERROR_BYTES)["errors"]
        words = "; ".join(f"{item.get('code', '')}: {item.get('message', '')}"[:200] for item in errors[:3])
    except (FormatError, KeyError, TypeError, AttributeError):
        words = response.reason or ""
    hint = "log in with `docker login` or `helm registry login`" if status in {_UNAUTHORIZED, _FORBIDDEN} else None
    return RegistryError(
        f"{doing or method}: the registry answered {status}{f' ({words})' if words else ''}: {_shown(url)}",
        method=method,
        url=_shown(url),
        status=status,
        hint=hint,
    )


def resolve_url(base: str, location: str, *, method: str) -> str:
    """The address `location`, which may be relative, of an answer to `base`. Raises RegistryError for none."""
    try:
        return urljoin(base, location)
    except ValueError as error:
        raise _no_address(method, base) from error


def _no_address(method: str, url: str) -> RegistryError:
    return RegistryError("the registry answered with an address that is none", method=method, url=_shown(url))


def _describe(error: Exception) -> str:
    if isinstance(error, (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError)):
        return "the registry did not answer in time"
    if isinstance(error, TooLongError):
        return str(error)
    if isinstance(error, requests.exceptions.SSLError):
        return "the registry's certificate is not trusted, or it speaks no TLS"
    if isinstance(error, (urllib3.exceptions.ProtocolError, requests.exceptions.ChunkedEncodingError)):
        return "the registry's answer was cut off"
    return "the registry cannot be reached"


def _shown(url: str) -> str:
    """A URL without its query: upload sessions and signed links carry secrets there."""
    return url.partition("?")[0]
