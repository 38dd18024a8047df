"""Signing as whoever a test names: with a token of one of the issuers of a lab, by all of its services.

Only the lab's authorities answer to it; nothing of the user's own identity is used or asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread
from sigstore.dsse import Statement as LibraryStatement
from sigstore.errors import Error as SigstoreError
from sigstore.models import ClientTrustConfig
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext

from dhallmark.errors import SigningError
from dhallmark.lab.model import LabPaths, read_lab
from dhallmark.lab.session import make_token


@dataclass(frozen=True, slots=True)
class LabSigner:
    """Signs with the identities of the lab in `directory`, whose services must be reachable from here."""

    directory: Path

    async def sign(self, payload: bytes, issuer: str, claims: Mapping[str, str]) -> bytes:
        """A bundle over the statement `payload`. `issuer` is the name of one of the lab's. Raises SigningError."""
        return await anyio.to_thread.run_sync(self._sign, payload, issuer, claims)

    def _sign(self, payload: bytes, issuer: str, claims: Mapping[str, str]) -> bytes:
        token = make_token(self.directory, issuer, claims=claims)
        authority = read_lab(self.directory).main_authority
        config = (LabPaths(self.directory).trust(authority) / "trust_config.json").read_text()
        try:
            context = SigningContext.from_trust_config(ClientTrustConfig.from_json(config))
            with context.signer(IdentityToken(token)) as signer:
                bundle = signer.sign_dsse(LibraryStatement(payload))
        except (SigstoreError, OSError) as error:
            raise SigningError(
                f"the lab did not sign: {str(error) or type(error).__name__}",
                hint="is the lab running, and does this process run inside it (`dhallmark lab exec`)?",
            ) from error
        return bundle.to_json().encode()
