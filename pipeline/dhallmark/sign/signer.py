"""Signing all statements of a release, keyless with one certificate: DSSE in Sigstore bundles v0.3.

1. The token is checked and exchanged for a certificate; its identity is known, and can be refused, before any
   signature.
2. All statements are signed at once, each with a timestamp and a log entry.
3. Each bundle is verified as soon as it is made, against the trust root that consumers have.
4. The bundles appear together, or not at all.

How the same is done with a managed key: `dhallmark.sign.keyed`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import anyio
import anyio.to_thread
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate
from requests import ConnectionError, HTTPError, Timeout  # noqa: A004 - requests' own, not the built-in
from requests.exceptions import RetryError
from sigstore.errors import Error as SigstoreError
from sigstore.errors import VerificationError
from sigstore.models import Bundle
from sigstore.oidc import IdentityToken
from sigstore.sign import ExpiredCertificate, Signer  # type: ignore[attr-defined]  # raised, but not exported
from sigstore.verify import Verifier

from dhallmark.errors import FormatError, Location, SigningError
from dhallmark.files import directory_atomic, write_atomic
from dhallmark.identity import Identity, Signatory
from dhallmark.oci.concurrently import concurrently
from dhallmark.progress import Progress, Silent
from dhallmark.sign.payload import signable
from dhallmark.sign.services import TIMEOUT, Services, describe, load_trust_config, open_services
from dhallmark.sign.token import AUDIENCE, IdToken, TokenSource, check_token, explain_refusal, obtain_token
from dhallmark.statement import PAYLOAD_TYPE
from dhallmark.steps.schema import validate_statement
from dhallmark.steps.statements import BUNDLES, STATEMENTS
from dhallmark.verify.certificate import read_identity
from dhallmark.verify.refusal import Refusal

S_co = TypeVar("S_co", bound=Signatory, covariant=True)
"""Who signs: an identity, or a key."""

SUFFIX = ".sigstore.json"
CONCURRENCY = 32

_CLIENT_ERROR = range(400, 500)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRelease(Generic[S_co]):
    """What came of signing."""

    identity: S_co
    """Whom the certificate names, or the key."""
    expires: datetime | None
    """When the certificate expires. Bundles stay valid: their timestamps say that they were made before. None for a
    key, which has no expiry of its own."""
    bundles: tuple[str, ...]
    """Paths below the build directory, sorted."""


class StatementSigner(Protocol[S_co]):
    """Whoever signs the statements of one release."""

    @property
    def identity(self) -> S_co: ...
    @property
    def name(self) -> str:
        """The identity in a few words, for people."""
        ...

    @property
    def expires(self) -> datetime | None: ...
    async def sign(self, payload: bytes, *, limiter: anyio.CapacityLimiter | None = None) -> bytes:
        """A bundle of the statement or layout `payload`, verified. Raises SigningError."""
        ...


def bundle_path(statement: str) -> str:
    """Where the bundle of a statement goes: `statements/x/y.json` becomes `bundles/x/y.sigstore.json`."""
    return BUNDLES + statement.removeprefix(STATEMENTS).removesuffix(".json") + SUFFIX


async def sign_release(
    build: Path,
    *,
    token: str | TokenSource,
    trust_config: Path | None,
    audience: str = AUDIENCE,
    allow: Callable[[Identity], None] | None = None,
    concurrency: int = CONCURRENCY,
    timeout: float = TIMEOUT,  # noqa: ASYNC109 - seconds for each answer of a service, not for the whole
    progress: Progress | None = None,
) -> SignedRelease[Identity]:
    """Sign every statement in `statements/` of a build directory; write `bundles/`, whole or not at all.

    `token` is an OIDC token or where to get one; it is fetched when all else is ready. `trust_config` is a Sigstore
    ClientTrustConfig, the public instance where it is None. `allow` is called with the certificate's identity before
    the first signature, and raises to refuse it. Raises FormatError for a statement that is none; SigningError where
    the token, the certificate authority, the log or the timestamp authority fails; UnavailableError, ConfigError.
    """
    statements = read_statements(build)
    config = await anyio.to_thread.run_sync(load_trust_config, trust_config)
    services = open_services(config, timeout=timeout)
    signer = await ReleaseSigner.open(
        services,
        check_token(token, audience=audience)
        if isinstance(token, str)
        else await obtain_token(token, audience=audience),
        audience=audience,
    )
    if allow is not None:
        allow(signer.identity)
    return await sign_statements(build, statements, signer, concurrency=concurrency, progress=progress)


async def sign_statements(
    build: Path,
    statements: Mapping[str, bytes],
    signer: StatementSigner[S_co],
    *,
    concurrency: int = CONCURRENCY,
    progress: Progress | None = None,
) -> SignedRelease[S_co]:
    """Sign `statements` (of `read_statements`), all at once; write `bundles/`, whole or not at all.

    Raises SigningError.
    """
    listener = progress or Silent()
    listener.start("sign", total=len(statements))
    limiter = anyio.CapacityLimiter(concurrency)

    async def sign_one(payload: bytes) -> bytes:
        bundle = await signer.sign(payload, limiter=limiter)
        listener.advance("sign")
        return bundle

    bundles = await concurrently([partial(sign_one, payload) for payload in statements.values()])
    names = [bundle_path(name) for name in statements]
    with directory_atomic(build / BUNDLES) as folder:
        for name, content in zip(names, bundles, strict=True):
            write_atomic(folder / name.removeprefix(f"{BUNDLES}/"), content)
    listener.done("sign", summary=f"{len(names)} bundles by {signer.name}")
    return SignedRelease(identity=signer.identity, expires=signer.expires, bundles=tuple(sorted(names)))


def read_statements(build: Path) -> Mapping[str, bytes]:
    """The payloads in `statements/` by their path below the build directory. Raises FormatError, also for none."""
    found = {}
    for path in sorted((build / STATEMENTS).rglob("*.json")):
        name = path.relative_to(build).as_posix()
        found[name] = path.read_bytes()
        validate_statement(found[name], file=str(path))
    if not found:
        raise FormatError(
            "there is no statement to sign",
            where=Location(file=str(build / STATEMENTS)),
            hint="run `dhallmark attest`, which also checks the policy",
        )
    return found


class ReleaseSigner:
    """A short-lived key with its certificate. The token is not kept."""

    def __init__(self, services: Services, signer: Signer, certificate: Certificate) -> None:
        self._signer = signer
        self._certificate = certificate
        self._verifier = Verifier(trusted_root=services.trusted_root)
        try:
            self.identity: Identity = read_identity(certificate)
            """Whom the certificate names."""
        except Refusal as error:
            raise SigningError(f"Fulcio at {services.fulcio} gave a certificate of nobody: {error}") from error
        self.expires: datetime = certificate.not_valid_after_utc

    @property
    def name(self) -> str:
        """Whom the certificate names, in a few words."""
        return self.identity.subject

    @classmethod
    async def open(cls, services: Services, token: IdToken, *, audience: str = AUDIENCE) -> ReleaseSigner:
        """Get a certificate for a new key. Raises SigningError that says why there is none."""
        answer = await anyio.to_thread.run_sync(_request_certificate, services, token, audience)
        if isinstance(answer, _Refused):
            raise await explain_refusal(token, fulcio=services.fulcio)
        if isinstance(answer, SigningError):
            raise answer
        return cls(services, *answer)

    async def sign(self, payload: bytes, *, limiter: anyio.CapacityLimiter | None = None) -> bytes:
        """A bundle of the statement or layout `payload`, verified. As many may be made at once as `limiter` lets.

        Raises SigningError. A cancelled call may leave an entry in the log, and nothing else.
        """
        return await anyio.to_thread.run_sync(self._sign, payload, limiter=limiter, abandon_on_cancel=True)

    async def sign_message(self, content: bytes) -> bytes:
        """A bundle of a bare signature over the bytes of a file, verified. Raises SigningError."""
        return await anyio.to_thread.run_sync(self._sign_message, content, abandon_on_cancel=True)

    def _sign(self, payload: bytes) -> bytes:
        with self._errors():
            bundle = self._signer.sign_dsse(signable(payload))
        self._check(bundle, payload)
        return bundle.to_json().encode()

    def _sign_message(self, content: bytes) -> bytes:
        with self._errors():
            bundle = self._signer.sign_artifact(content)
        with self._refusals():
            self._verifier.verify_artifact(content, Bundle.from_json(bundle.to_json()), self)
        return bundle.to_json().encode()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except ExpiredCertificate as error:
            raise self._expired() from error
        except SigstoreError as error:
            raise SigningError(f"no signature could be made: {describe(error)}") from error

    def _check(self, bundle: Bundle, payload: bytes) -> None:
        """Verify a bundle as consumers do; a signature that they would refuse must not leave this machine."""
        with self._refusals():
            # Read back from the bytes that are written: what is verified is what others get.
            payload_type, signed = self._verifier.verify_dsse(Bundle.from_json(bundle.to_json()), self)
        if (payload_type, signed) != (PAYLOAD_TYPE, payload):
            raise SigningError("the new bundle holds another statement than the one that was to be signed")

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except SigstoreError as error:
            if datetime.now(UTC) > self.expires:
                raise self._expired() from error
            raise SigningError(
                f"the new bundle does not verify: {describe(error)}",
                hint="do the trust root and the signing config belong to the same Sigstore instance?",
            ) from error

    def verify(self, cert: Certificate) -> None:
        """The verifier's policy on a bundle's certificate: it is this release's, byte for byte."""
        if cert.public_bytes(Encoding.DER) != self._certificate.public_bytes(Encoding.DER):
            raise VerificationError("the bundle has another certificate than the one of this release")

    def _expired(self) -> SigningError:
        return SigningError(
            f"the certificate expired at {self.expires.isoformat(timespec='seconds')}, before all was signed",
            hint="nothing was written; run `dhallmark sign` again, with a higher --concurrency where that is why",
        )


class _Refused:
    """Fulcio refused the token."""


def _request_certificate(
    services: Services, token: IdToken, audience: str
) -> tuple[Signer, Certificate] | SigningError | _Refused:
    """Ask Fulcio. Failures are returned: raised inside `except`, they would carry the request with the token along."""
    failure = f"Fulcio at {services.fulcio} gave no certificate"
    try:
        with ExitStack() as stack:
            signer = stack.enter_context(services.context.signer(IdentityToken(token.reveal(), audience)))
            # The one certificate, from the signer's cache; it is not to be had otherwise before the first signature.
            certificate = signer._signing_cert()  # noqa: SLF001
            # It would be kept as long as the signer, which has no further use for it.
            del signer._identity_token  # noqa: SLF001
            return signer, certificate
    except (ConnectionError, Timeout, RetryError) as error:
        return SigningError(
            f"{failure}: no answer ({type(error).__name__})", hint="is the trust config right, and Fulcio up?"
        )
    except VerificationError as error:
        return SigningError(
            f"{failure} that certificate transparency vouches for: {describe(error)}",
            hint="do the trust root and the signing config belong to the same Sigstore instance?",
        )
    except Exception as error:  # noqa: BLE001 - sigstore-python lets many kinds through; see below
        response = error.__cause__.response if isinstance(error.__cause__, HTTPError) else None
        if response is not None and response.status_code in _CLIENT_ERROR:
            return _Refused()
        status = f"HTTP status {response.status_code}" if response is not None else describe(error)
        return SigningError(f"{failure}: {status}")
