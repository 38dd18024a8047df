"""The OIDC token that a certificate is asked for with: where it comes from, and what is wrong with it.

A token signs as whoever it names, so it never stands in an argument, a log, an exception or a `repr`. It is fetched
when signing starts, because CI tokens live minutes. It is not verified here, only Fulcio can: its claims are read to
say early and plainly what Fulcio would answer with one sentence for every cause.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import time
import urllib.request
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import Protocol, TypeGuard
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import anyio
import anyio.to_thread
import urllib3

from dhallmark import strictjson
from dhallmark.errors import FormatError, SigningError, UsageError

AUDIENCE = "sigstore"
"""The audience that the public Fulcio and, by default, every other one asks for."""
GITLAB_VARIABLE = "SIGSTORE_ID_TOKEN"
"""Where GitLab CI puts the token of `id_tokens`, by the convention that Sigstore's clients share."""

_MAX_TOKEN = 64 * 1024
_MAX_BODY = 1024 * 1024
_LEEWAY = 5
"""Seconds that clocks may differ; what sigstore-python grants."""
_SKEW = 30
"""Seconds of difference to Fulcio's clock that are worth a word."""
_ATTEMPTS = 3
_RETRY_DELAY = 1.0
_TIMEOUT = 30.0
_REQUIRED = ("iss", "sub", "aud", "exp", "iat")
"""Claims that OpenID Connect requires (Core 1.0, section 2) and sigstore-python insists on."""


class IdToken:
    """A token whose claims passed `check_token`. Prints as its issuer and subject, never as itself."""

    __slots__ = ("_claims", "_raw")

    def __init__(self, raw: str, claims: Mapping[str, object]) -> None:
        self._raw = raw
        self._claims = claims

    def reveal(self) -> str:
        """The token itself, for the one call that sends it to Fulcio."""
        return self._raw

    @property
    def issuer(self) -> str:
        return str(self._claims["iss"])

    @property
    def subject(self) -> str:
        return str(self._claims["sub"])

    @property
    def expires(self) -> datetime:
        return datetime.fromtimestamp(float(str(self._claims["exp"])), UTC)

    @property
    def claims(self) -> Mapping[str, object]:
        """The payload, not verified."""
        return self._claims

    def __repr__(self) -> str:
        return f"<IdToken of {self.issuer} for {self.subject}>"

    def __reduce__(self) -> str:
        raise TypeError("a token is not to be stored")


class TokenSource(Protocol):
    """Where a token comes from."""

    async def fetch(self, *, audience: str) -> str:
        """The token as it came. Raises SigningError without quoting it."""
        ...


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file that holds the token alone."""

    path: Path

    async def fetch(self, *, audience: str) -> str:
        del audience
        try:
            async with await anyio.open_file(self.path, "rb") as file:
                content = await file.read(_MAX_TOKEN + 1)
        except OSError as error:
            raise SigningError(f"cannot read the token file {self.path}: {error.strerror}") from error
        return _decode(content, f"the file {self.path}")


@dataclass(frozen=True, slots=True)
class VariableSource:
    """An environment variable, given by its name."""

    name: str
    environment: Mapping[str, str]

    async def fetch(self, *, audience: str) -> str:
        value = self.environment.get(self.name, "")
        if not value:
            hint = None
            if self.name == GITLAB_VARIABLE and self.environment.get("GITLAB_CI"):
                hint = f"add to the job: id_tokens: {{{GITLAB_VARIABLE}: {{aud: {audience}}}}}"
            raise SigningError(f"the environment variable {self.name} is empty or not set: no OIDC token", hint=hint)
        return _decode(value.encode(errors="replace"), f"the environment variable {self.name}")

    def __repr__(self) -> str:
        return f"VariableSource(name={self.name!r})"


@dataclass(frozen=True, slots=True)
class DescriptorSource:
    """An open file descriptor, such as the reading end of a pipe. It is read to its end and closed."""

    descriptor: int

    async def fetch(self, *, audience: str) -> str:
        del audience
        try:
            content = await anyio.to_thread.run_sync(self._read, abandon_on_cancel=True)
        except OSError as error:
            raise SigningError(f"cannot read the token from descriptor {self.descriptor}: {error.strerror}") from error
        return _decode(content, f"descriptor {self.descriptor}")

    def _read(self) -> bytes:
        with os.fdopen(self.descriptor, "rb") as file:
            return file.read(_MAX_TOKEN + 1)


@dataclass(frozen=True, slots=True, repr=False)
class GitHubSource:
    """The token service of a GitHub Actions job. Its URL and its bearer are secrets too.

    Source: GitHub, "OpenID Connect reference", "Methods for requesting the OIDC token".
    """

    url: str
    request_token: str
    timeout: float = _TIMEOUT
    """Seconds for all attempts together."""
    retry_delay: float = _RETRY_DELAY
    """Seconds before the second attempt; doubled before the third."""

    def __repr__(self) -> str:
        return "GitHubSource()"

    async def fetch(self, *, audience: str) -> str:
        failure = "GitHub's token service did not answer"
        try:
            with anyio.fail_after(self.timeout):
                for attempt in range(_ATTEMPTS):
                    if attempt:
                        await anyio.sleep(self.retry_delay * 2 ** (attempt - 1))
                    answer = await _get(
                        _with_audience(self.url, audience),
                        headers={"Authorization": f"bearer {self.request_token}", "Accept": "application/json"},
                        timeout=self.timeout,
                    )
                    if not answer.transient:
                        return self._read(answer)
                    failure = f"GitHub's token service failed {_ATTEMPTS} times, last: {answer.failure}"
        except TimeoutError:
            failure = f"GitHub's token service did not answer within {self.timeout:g} s"
        # Raised here, not above: the caught exception would quote the URL.
        raise SigningError(failure, hint="run the job again; see githubstatus.com")

    @staticmethod
    def _read(answer: _Answer) -> str:
        if answer.failure is not None:
            refused = answer.status in (401, 403)
            raise SigningError(
                f"GitHub's token service: {answer.failure}",
                hint="its request token is good for the job that it was given to, as long as that runs"
                if refused
                else None,
            )
        try:
            body = strictjson.parse(answer.body)
        except FormatError:
            body = None
        value = body.get("value") if isinstance(body, dict) else None
        if not isinstance(value, str):
            raise SigningError('GitHub\'s token service answered something else than {"value": token}')
        return _decode(value.encode(errors="replace"), "GitHub's token service")


def choose_source(
    *,
    file: Path | None = None,
    variable: str | None = None,
    descriptor: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> TokenSource:
    """The source that is named, or what the CI around this process offers.

    Raises UsageError where more than one is named, or none and this is no CI job; SigningError where it is a job
    that may not have a token.
    """
    environment = os.environ if environment is None else environment
    named: list[TokenSource] = []
    if file is not None:
        named.append(FileSource(file))
    if variable is not None:
        named.append(VariableSource(variable, environment))
    if descriptor is not None:
        named.append(DescriptorSource(descriptor))
    if len(named) > 1:
        raise UsageError("more than one source of the token is given", hint="give a file, a variable or a descriptor")
    if named:
        return named[0]
    if environment.get("GITHUB_ACTIONS"):
        url = environment.get("ACTIONS_ID_TOKEN_REQUEST_URL")
        request_token = environment.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN")
        if not url or not request_token:
            raise SigningError(
                "this GitHub Actions job may not have an OIDC token",
                hint="give it `permissions: {id-token: write}`; pull requests from forks never get one",
            )
        return GitHubSource(url, request_token)
    if environment.get("GITLAB_CI"):
        return VariableSource(GITLAB_VARIABLE, environment)
    raise UsageError(
        "no OIDC token: none is given, and this is neither a GitHub Actions nor a GitLab CI job",
        hint="name a file, an environment variable or a file descriptor that holds it",
    )


async def obtain_token(source: TokenSource, *, audience: str = AUDIENCE) -> IdToken:
    """Fetch a token and check its claims. Raises SigningError that says what is wrong, without the token."""
    return check_token(await source.fetch(audience=audience), audience=audience)


def check_token(raw: str, *, audience: str = AUDIENCE, now: float | None = None) -> IdToken:
    """Read a token's claims, not verified, and refuse what Fulcio is bound to refuse.

    `now` is in seconds since the epoch. Raises SigningError naming the claim, and what to do.
    """
    claims = _claims(raw)
    missing = [name for name in _REQUIRED if claims.get(name) is None]
    if missing:
        raise SigningError(f"the OIDC token lacks {', '.join(missing)}", hint="it must be an ID token, no access token")
    for name in ("iss", "sub"):
        if not isinstance(claims[name], str):
            raise SigningError(f"the OIDC token's claim {name} is not text")
    _check_audience(claims, audience)
    _check_times(claims, time.time() if now is None else now)
    return IdToken(raw, claims)


async def explain_refusal(token: IdToken, *, fulcio: str, timeout: float = 10.0) -> SigningError:  # noqa: ASYNC109
    """Why Fulcio may have refused this token, as an error to raise.

    Fulcio gives one answer to a wrong issuer, audience, signature and expiry. Its configuration endpoint (Fulcio's
    `GET /api/v2/configuration`) says which issuers it takes, and its Date header what time it has. `fulcio` is its
    base URL, `timeout` in seconds.
    """
    refusal = f"Fulcio at {fulcio} refused the OIDC token of {token.issuer}"
    try:
        with anyio.fail_after(timeout):
            answer = await _get(f"{fulcio.rstrip('/')}/api/v2/configuration", headers={}, timeout=timeout)
        body = strictjson.parse(answer.body) if answer.failure is None else None
    except (TimeoutError, FormatError):
        body = None
    issuers = body.get("issuers") if isinstance(body, dict) else None
    if not isinstance(issuers, list):
        return SigningError(f"{refusal}, and does not say which issuers it takes")
    entries = [entry for entry in issuers if isinstance(entry, dict)]
    match = next((entry for entry in entries if _names_issuer(entry, token.issuer)), None)
    if match is None:
        known = sorted(str(entry.get("issuerUrl") or entry.get("wildcardIssuerUrl")) for entry in entries)
        return SigningError(
            f"{refusal}: it takes tokens of {', '.join(known)}", hint="is the trust config the right one?"
        )
    try:
        check_token(token.reveal(), audience=str(match.get("audience") or AUDIENCE))
    except SigningError as error:
        return SigningError(f"{refusal}: {error.message}", hint=error.hint)
    if match.get("issuerType") == "email" and token.claims.get("email_verified") is not True:
        return SigningError(f"{refusal}: the address in it is not verified (email_verified)")
    skew = _skew(answer.date)
    if abs(skew) > _SKEW:
        return SigningError(f"{refusal}: its clock differs from this machine's by {skew:+.0f} s")
    return SigningError(
        f"{refusal}, though issuer, audience and times are right",
        hint="then the signature is not by a key of the issuer, or a claim that the certificate needs is missing",
    )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class _Answer:
    """What came of a GET request. `failure` says what went wrong without quoting URL, headers or body."""

    status: int = 0
    body: bytes = b""
    date: str | None = None
    failure: str | None = None
    transient: bool = False


async def _get(url: str, *, headers: Mapping[str, str], timeout: float) -> _Answer:  # noqa: ASYNC109
    request = partial(_get_blocking, url, headers=headers, timeout=timeout)
    return await anyio.to_thread.run_sync(request, abandon_on_cancel=True)


def _get_blocking(url: str, *, headers: Mapping[str, str], timeout: float) -> _Answer:
    try:
        with _pool(url) as pool:
            # No redirect: the bearer is for this host alone.
            response = pool.request(
                "GET", url, headers=dict(headers), timeout=timeout, retries=False, redirect=False, preload_content=False
            )
            body = response.read(_MAX_BODY + 1)
            status, date = response.status, response.headers.get("Date")
            response.close()
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        # The error's text quotes the URL; its kind is enough.
        return _Answer(failure=f"no answer ({type(error).__name__})", transient=True)
    if status >= 500:  # noqa: PLR2004
        return _Answer(status=status, failure=f"HTTP status {status}", transient=True)
    if status != 200:  # noqa: PLR2004
        return _Answer(status=status, failure=f"HTTP status {status}")
    if len(body) > _MAX_BODY:
        return _Answer(status=status, failure="an answer of more than 1 MiB")
    return _Answer(status=status, body=body, date=date)


def _pool(url: str) -> urllib3.PoolManager:
    """A connection pool that goes through the proxy of the environment, as self-hosted runners need it."""
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        return urllib3.ProxyManager(proxy)
    return urllib3.PoolManager()


def _with_audience(url: str, audience: str) -> str:
    parts = urlsplit(url)
    query = [(name, value) for name, value in parse_qsl(parts.query) if name != "audience"]
    return urlunsplit(parts._replace(query=urlencode([*query, ("audience", audience)])))


def _decode(content: bytes, where: str) -> str:
    """Text of a token: three base64url parts (RFC 7515, section 7.1), white space around them allowed."""
    text = content.strip()
    if not text:
        raise SigningError(f"{where} is empty: no OIDC token")
    if len(content) > _MAX_TOKEN:
        raise SigningError(f"{where} holds more than {_MAX_TOKEN} bytes: no OIDC token")
    if not re.fullmatch(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", text):
        raise SigningError(
            f"{where} does not hold an OIDC token", hint="a JSON Web Token: three base64url parts with dots between"
        )
    return text.decode("ascii")


def _claims(raw: str) -> Mapping[str, object]:
    payload = _decode(raw.encode(errors="replace"), "the text given").split(".")[1]
    try:
        claims = strictjson.parse(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (FormatError, binascii.Error):
        claims = None
    # Raised here, not above: the caught exception may quote the payload.
    if not isinstance(claims, dict):
        raise SigningError("the OIDC token is no JSON Web Token that can be read")
    return claims


def _check_audience(claims: Mapping[str, object], audience: str) -> None:
    found = claims["aud"]
    audiences: Collection[object] = found if isinstance(found, list) else [found]
    if audience in audiences:
        return
    issuer = str(claims["iss"])
    hint = f"ask the issuer for a token with the audience {audience!r}"
    if "githubusercontent" in issuer:
        hint = f"in an action: core.getIDToken('{audience}'); dhallmark itself asks for the right one"
    elif "pipeline_source" in claims:
        hint = f"in .gitlab-ci.yml: id_tokens: {{{GITLAB_VARIABLE}: {{aud: {audience}}}}}"
    shown = ", ".join(repr(str(one)[:100]) for one in audiences)
    raise SigningError(f"the OIDC token is for the audience {shown}, not for {audience!r}", hint=hint)


def _check_times(claims: Mapping[str, object], now: float) -> None:
    for name in ("exp", "iat", "nbf"):
        if name in claims and not _is_time(claims[name]):
            raise SigningError(f"the OIDC token's claim {name} is not a time")
    expires, not_before = claims["exp"], claims.get("nbf", claims["iat"])
    if _is_time(expires) and expires <= now:
        raise SigningError(
            f"the OIDC token expired {now - expires:.0f} s ago ({_clock(expires)})",
            hint="fetch it when signing starts: CI tokens live minutes",
        )
    if _is_time(not_before) and not_before > now + _LEEWAY:
        raise SigningError(
            f"the OIDC token is valid only in {not_before - now:.0f} s ({_clock(not_before)})",
            hint="is the clock of this machine slow?",
        )


def _is_time(value: object) -> TypeGuard[float]:
    """A NumericDate (RFC 7519, section 2) that a calendar has."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1 << 37


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _names_issuer(entry: Mapping[str, object], issuer: str) -> bool:
    if entry.get("issuerUrl") == issuer:
        return True
    # In a wildcard, each * stands for letters, digits, - and _ (Fulcio, pkg/config, MetaRegex).
    wildcard = entry.get("wildcardIssuerUrl")
    if not isinstance(wildcard, str):
        return False
    return re.fullmatch("[-_a-zA-Z0-9]+".join(re.escape(part) for part in wildcard.split("*")), issuer) is not None


def _skew(date: str | None) -> float:
    """Seconds that the other clock is ahead; 0 where it did not say."""
    try:
        return parsedate_to_datetime(date or "").timestamp() - time.time()
    except ValueError:
        return 0.0
