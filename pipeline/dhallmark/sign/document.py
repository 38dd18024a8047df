"""Signing one document that is no part of a release: a layout, a verification summary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

from dhallmark.identity import Identity, KeyIdentity, Signatory
from dhallmark.sign.key import SigningKey
from dhallmark.sign.keyed import KeySigner
from dhallmark.sign.services import TIMEOUT, load_trust_config, open_services, open_witnesses
from dhallmark.sign.signer import ReleaseSigner
from dhallmark.sign.token import AUDIENCE, TokenSource, obtain_token
from dhallmark.verify.demands import Demands
from dhallmark.verify.keys import ManagedKey


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedDocument:
    """What came of signing."""

    bundle: bytes
    """A Sigstore bundle v0.3, verified."""
    identity: Signatory


async def sign_document(
    payload: bytes,
    *,
    token: TokenSource,
    trust_config: Path | None,
    audience: str = AUDIENCE,
    allow: Callable[[Identity], None],
    timeout: float = TIMEOUT,  # noqa: ASYNC109 - seconds for each answer of a service, not for the whole
) -> SignedDocument:
    """Sign the statement or layout `payload` with a certificate of its own.

    `trust_config` is a Sigstore ClientTrustConfig, the public instance where it is None. `allow` is called with the
    certificate's identity before the signature, and raises to refuse it. Raises as `sign_release` does.
    """
    config = await anyio.to_thread.run_sync(load_trust_config, trust_config)
    services = open_services(config, timeout=timeout)
    signer = await ReleaseSigner.open(services, await obtain_token(token, audience=audience), audience=audience)
    allow(signer.identity)
    return SignedDocument(bundle=await signer.sign(payload), identity=signer.identity)


async def sign_document_with_key(
    payload: bytes,
    *,
    key: SigningKey,
    trust_config: Path | None,
    demands: Demands,
    trusted: Sequence[ManagedKey] = (),
    allow: Callable[[KeyIdentity], None],
    timeout: float = TIMEOUT,  # noqa: ASYNC109 - as above
) -> SignedDocument:
    """As `sign_document`, with a managed key; what else it takes and raises is that of `sign_release_with_key`."""
    witnesses = None
    if trust_config is not None:
        config = await anyio.to_thread.run_sync(load_trust_config, trust_config)
        witnesses = open_witnesses(config, timeout=timeout)
    signer = KeySigner(key, witnesses, demands=demands, trusted=trusted)
    allow(signer.identity)
    return SignedDocument(bundle=await signer.sign(payload), identity=signer.identity)
