"""The services that a signature needs, as sigstore-python's clients, made to fail plainly.

sigstore-python waits for Fulcio and Rekor without end, and signs on without a timestamp where the timestamp authority
fails. Here every request has a limit, a passing fault is tried again, and a missing timestamp is an error before
anything is written to the log.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import ValidationError
from requests import PreparedRequest, RequestException, Response, Session
from requests.adapters import HTTPAdapter
from sigstore._internal.rekor.client import RekorClient
from sigstore._internal.rekor.client_v2 import RekorV2Client
from sigstore._internal.timestamp import TimestampAuthorityClient
from sigstore.errors import Error as SigstoreError
from sigstore.models import REKOR_VERSIONS, TSA_VERSIONS, ClientTrustConfig, SigningConfig, TrustedRoot
from sigstore.sign import SigningContext
from urllib3.util.retry import Retry

from dhallmark.errors import ConfigError, Location, SigningError, UnavailableError

T = TypeVar("T")

TIMEOUT = 60.0
"""Seconds that one answer may take. Rekor answers when the entry is in the log, which takes seconds."""
_ATTEMPTS = 3
_PASSING = (429, 502, 503, 504)


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """One Sigstore instance, ready to sign against."""

    context: SigningContext
    trusted_root: TrustedRoot
    fulcio: str
    """Base URL of the certificate authority."""
    log: str
    """URL of the transparency log."""
    needs_timestamp: bool
    """True where the instance has a timestamp authority."""


def load_trust_config(path: Path | None, *, staging: bool = False) -> ClientTrustConfig:
    """The trust config in a file, or that of the public instance (or of its staging), from its TUF repository.

    Raises ConfigError for a file that is none, UnavailableError where the TUF repository does not answer.
    """
    if path is None:
        try:
            return ClientTrustConfig.staging() if staging else ClientTrustConfig.production()
        except (SigstoreError, RequestException) as error:
            raise UnavailableError(
                f"the trust root of the public Sigstore instance cannot be had: {error}",
                hint="give the trust config of a private instance (signing.trustConfig), or let this machine reach it",
            ) from error
    try:
        return ClientTrustConfig.from_json(path.read_text(encoding="utf-8"))
    except (SigstoreError, ValidationError, ValueError) as error:
        raise ConfigError(
            f"not a Sigstore client trust config: {str(error).splitlines()[0]}",
            where=Location(file=str(path)),
            hint="it has the media type application/vnd.dev.sigstore.clienttrustconfig.v0.1+json; "
            "a trusted_root.json alone does not say where to sign",
        ) from error


def open_services(trust_config: ClientTrustConfig, *, timeout: float = TIMEOUT) -> Services:
    """The clients of an instance. `timeout` is in seconds, for each answer. Raises ConfigError."""
    try:
        signing_config = trust_config.signing_config
        fulcio = signing_config.get_fulcio()
        log = cast("Any", _only(signing_config.get_tlogs()))
        timestampers = signing_config.get_tsas()
        trusted_root = trust_config.trusted_root
    except (SigstoreError, ValueError) as error:
        raise ConfigError(f"the trust config names no usable service: {error}") from error
    _limit(fulcio.session, timeout)
    context = SigningContext(
        fulcio=fulcio,
        rekor=cast("Any", _Log(log, timeout)),
        trusted_root=trusted_root,
        tsa_clients=[cast("Any", _Timestamper(client, timeout)) for client in timestampers],
    )
    return Services(
        context=context,
        trusted_root=trusted_root,
        fulcio=fulcio.url,
        log=log.url,
        needs_timestamp=bool(timestampers),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Witnesses:
    """The services that can vouch for a signature by a key, ready to be asked. None of them is needed to make one."""

    log: Any
    """A client of the transparency log with `url`, `is_v1` and `create_entry(request)`; None where there is none."""
    timestampers: tuple[Any, ...]
    """Clients of timestamp authorities, with `request_timestamp(signature)`."""
    trusted_root: bytes
    """The trusted_root.json of their instance."""


def open_witnesses(trust_config: ClientTrustConfig, *, timeout: float = TIMEOUT) -> Witnesses:
    """The log and the timestamp authorities of an instance, each where it has one. Raises ConfigError.

    `timeout` is in seconds, for each answer. sigstore-python reads no signing config without a certificate authority,
    which a site that signs with keys may well do without; its rules on which services to take are used all the same.
    """
    inner = trust_config._inner  # noqa: SLF001 - no public way to the parts
    config = inner.signing_config
    choose = SigningConfig._get_valid_services  # noqa: SLF001
    try:
        logs = choose(config.rekor_tlog_urls, REKOR_VERSIONS, config.rekor_tlog_config)
        authorities = choose(config.tsa_urls, TSA_VERSIONS, config.tsa_config)
    except ValueError as error:
        raise ConfigError(f"the trust config names no usable service: {error}") from error
    log: Any = None
    if logs:
        service = _only(logs)
        client: Any = RekorClient(service.url) if service.major_api_version == 1 else RekorV2Client(service.url)
        log = _Log(client, timeout)
    return Witnesses(
        log=log,
        timestampers=tuple(_Timestamper(TimestampAuthorityClient(service.url), timeout) for service in authorities),
        trusted_root=inner.trusted_root.to_json().encode(),
    )


def _only(logs: Sequence[Any]) -> Any:  # noqa: ANN401 - services and their clients have no type in common
    """The one log that is asked for. Raises ConfigError for more: a signature goes into one."""
    if len(logs) > 1:
        raise ConfigError(
            f"the signing config asks for entries in {len(logs)} transparency logs, and one is written",
            hint="set rekorTlogConfig.selector to ANY",
        )
    return logs[0]


class _LimitedAdapter(HTTPAdapter):
    """Sends requests with a limit of time, and those that met a passing fault again."""

    def __init__(self, timeout: float) -> None:
        super().__init__(
            max_retries=Retry(
                total=_ATTEMPTS,
                allowed_methods=None,
                status_forcelist=_PASSING,
                backoff_factor=0.5,
                raise_on_status=False,
                # A service that asks for an hour's patience gets an error instead.
                respect_retry_after_header=False,
                # What was sent and never answered may have been done.
                read=False,
            )
        )
        self._timeout = timeout

    def send(self, request: PreparedRequest, **options: Any) -> Response:  # type: ignore[override]  # noqa: ANN401
        options["timeout"] = options.get("timeout") or self._timeout
        return super().send(request, **options)


def _limit(session: Session, timeout: float) -> None:
    for scheme in ("http://", "https://"):
        session.mount(scheme, _LimitedAdapter(timeout))


class _Log:
    """A client of the transparency log whose requests are limited, in whatever thread they are made."""

    def __init__(self, client: Any, timeout: float) -> None:  # noqa: ANN401 - one of two clients without a public type
        self._client = client
        self._timeout = timeout

    @property
    def is_v1(self) -> bool:
        """True for a Rekor v1 log, false for v2."""
        return isinstance(self._client, RekorClient)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._client, name)

    def create_entry(self, request: Any) -> Any:  # noqa: ANN401
        # The clients make a session for each thread and offer no other way to limit it.
        session: Session = self._client._session  # noqa: SLF001
        if not isinstance(session.get_adapter(self._client.url), _LimitedAdapter):
            _limit(session, self._timeout)
        return _or_signing_error(
            lambda: self._client.create_entry(request),
            f"the transparency log at {self._client.url} took no entry",
            hint="nothing was published; run `dhallmark sign` again when the log is back",
        )


class _Timestamper:
    """A client of a timestamp authority whose failure is an error."""

    def __init__(self, client: Any, timeout: float) -> None:  # noqa: ANN401
        self._client = client
        self._timeout = timeout
        self.url: str = client.url

    def request_timestamp(self, signature: bytes) -> Any:  # noqa: ANN401
        session: Session = self._client._session  # noqa: SLF001
        if not isinstance(session.get_adapter(self.url), _LimitedAdapter):
            _limit(session, self._timeout)
        return _or_signing_error(
            lambda: self._client.request_timestamp(signature),
            f"the timestamp authority at {self.url} gave no timestamp",
            hint="nothing was published; run `dhallmark sign` again when the authority is back",
        )


def _or_signing_error(call: Callable[[], T], failure: str, *, hint: str) -> T:
    try:
        return call()
    except Exception as error:
        # The clients let many kinds through: their own, those of requests, and pydantic's for an odd answer.
        raise SigningError(f"{failure}: {describe(error)}", hint=hint) from error


def describe(error: BaseException) -> str:
    """What went wrong, in a line. Such errors quote URLs and statuses, never a request's headers."""
    text = next(iter(str(error).splitlines()), "")
    cause = error.__cause__ or error.__context__
    if not text and cause is not None:
        return describe(cause)
    return text[:500] or type(error).__name__
