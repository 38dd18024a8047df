"""Signing one file by itself, keyless, as `cosign sign-blob` and `sigstore sign` do: a bundle beside the file.

Releases are signed by `dhallmark.sign.signer`. This is what the conformance suite of Sigstore's clients asks for: a
signing config that names the services, with a trust root of its own.
"""

from __future__ import annotations

import json
from pathlib import Path

import anyio.to_thread
from sigstore.errors import Error as SigstoreError
from sigstore.models import ClientTrustConfig

from dhallmark import strictjson
from dhallmark.errors import ConfigError, Error, Location
from dhallmark.sign.services import TIMEOUT, load_trust_config, open_services
from dhallmark.sign.signer import ReleaseSigner
from dhallmark.sign.token import AUDIENCE, check_token

_CLIENT_TRUST_CONFIG = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"


def join_trust_config(
    *, trusted_root: Path | None = None, signing_config: Path | None = None, staging: bool = False
) -> ClientTrustConfig:
    """An instance of two files: a trusted_root.json, and a signing config v0.2.

    A file that is not given is the public instance's, or that of its staging, from its TUF repository. Raises
    ConfigError, UnavailableError.
    """
    if trusted_root is None or signing_config is None:
        public = load_trust_config(None, staging=staging)
        if trusted_root is signing_config:
            return public
        inner = public._inner  # noqa: SLF001 - no public way to the parts
        root, config = (
            json.loads(part.to_json()) if path is None else _read(path)
            for part, path in ((inner.trusted_root, trusted_root), (inner.signing_config, signing_config))
        )
    else:
        root, config = _read(trusted_root), _read(signing_config)
    try:
        return ClientTrustConfig.from_json(
            json.dumps({"mediaType": _CLIENT_TRUST_CONFIG, "trustedRoot": root, "signingConfig": config})
        )
    except (SigstoreError, ValueError) as error:
        raise ConfigError(f"not a trust root and a signing config v0.2: {str(error).splitlines()[0]}") from error


def _read(path: Path) -> object:
    where = Location(file=str(path))
    try:
        return strictjson.parse(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"the file cannot be read: {error.strerror}", where=where) from error
    except Error as error:
        raise ConfigError(error.message, where=where) from error


async def sign_file(
    content: bytes,
    *,
    token: str,
    trust_config: ClientTrustConfig,
    in_toto: bool = False,
    audience: str = AUDIENCE,
    timeout: float = TIMEOUT,  # noqa: ASYNC109 - seconds for each answer of a service, not for the whole
) -> bytes:
    """A bundle v0.3 of a signature over the bytes `content`; with `in_toto`, of a DSSE envelope with that statement.

    The token is an OIDC token. Raises ConfigError, FormatError, SigningError.
    """
    services = await anyio.to_thread.run_sync(lambda: open_services(trust_config, timeout=timeout))
    signer = await ReleaseSigner.open(services, check_token(token, audience=audience), audience=audience)
    return await signer.sign(content) if in_toto else await signer.sign_message(content)
