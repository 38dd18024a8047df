"""Signing with a managed key: the same statements, bundles and checks as keyless, without certificate and identity.

What a certificate authority would say is left out. A log and timestamp authorities vouch for a signature where the
instance has them: without trusted time nobody can tell later whether the key was valid when it signed (C8). What the
policy demands and the instance does not have is an error before the first signature.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from securesystemslib.dsse import Envelope as PlainEnvelope
from sigstore_models.bundle.v1 import Bundle, TimestampVerificationData, VerificationMaterial
from sigstore_models.common.v1 import PublicKeyIdentifier, RFC3161SignedTimestamp
from sigstore_models.intoto import Envelope, Signature
from sigstore_models.rekor.v2 import entry, hashedrekord, verifier

from dhallmark.errors import ConfigError, SigningError
from dhallmark.identity import KeyIdentity
from dhallmark.oci.descriptor import BUNDLE_V0_3
from dhallmark.progress import Progress
from dhallmark.sign.key import SigningKey, public_pem
from dhallmark.sign.payload import holds_layout
from dhallmark.sign.scheme import Scheme, scheme_of
from dhallmark.sign.services import TIMEOUT, Witnesses, load_trust_config, open_witnesses
from dhallmark.sign.signer import CONCURRENCY, SignedRelease, read_statements, sign_statements
from dhallmark.statement import PAYLOAD_TYPE
from dhallmark.verdict import Outcome
from dhallmark.verify.bundle import verify_bundle
from dhallmark.verify.demands import Demands
from dhallmark.verify.keys import ALWAYS, ManagedKey
from dhallmark.verify.terms import Terms
from dhallmark.verify.trust import TrustRoot


async def sign_release_with_key(
    build: Path,
    *,
    key: SigningKey,
    trust_config: Path | None,
    demands: Demands,
    trusted: Sequence[ManagedKey] = (),
    allow: Callable[[KeyIdentity], None] | None = None,
    concurrency: int = CONCURRENCY,
    timeout: float = TIMEOUT,  # noqa: ASYNC109 - seconds for each answer of a service, not for the whole
    progress: Progress | None = None,
) -> SignedRelease[KeyIdentity]:
    """Sign every statement in `statements/` of a build directory; write `bundles/`, whole or not at all.

    `trust_config` is the Sigstore ClientTrustConfig of a private instance, whose log and timestamp authorities are
    asked; where it is None, nothing is contacted. `demands` is what the policy will ask of each bundle, `trusted` the
    keys that it trusts, with their periods: what a verifier would refuse is not signed. `allow` is called with the
    key's identity before the first signature, and raises to refuse it. Raises as `sign_release` does, ConfigError also
    where the instance cannot give what the policy asks for.
    """
    statements = read_statements(build)
    witnesses = None
    if trust_config is not None:
        config = await anyio.to_thread.run_sync(load_trust_config, trust_config)
        witnesses = open_witnesses(config, timeout=timeout)
    signer = KeySigner(key, witnesses, demands=demands, trusted=trusted)
    if allow is not None:
        allow(signer.identity)
    return await sign_statements(build, statements, signer, concurrency=concurrency, progress=progress)


class KeySigner:
    """A managed key, with those who vouch for its signatures."""

    expires = None
    """A key has no expiry of its own; the policy says until when it counts."""

    def __init__(
        self, key: SigningKey, witnesses: Witnesses | None, *, demands: Demands, trusted: Sequence[ManagedKey] = ()
    ) -> None:
        self._key = key
        self._scheme: Scheme = scheme_of(key.public)
        own = ManagedKey.parse(public_pem(key))
        self._managed = next((known for known in trusted if known.identity == own.identity), own)
        self._log = witnesses.log if witnesses else None
        self._timestampers = witnesses.timestampers if witnesses else ()
        self._trust = TrustRoot.parse(witnesses.trusted_root) if witnesses else None
        self._demands = demands
        self.identity: KeyIdentity = self._managed.identity
        """The key, as verifiers will know it."""
        self._require_services()
        self._require_period()

    def _require_services(self) -> None:
        for count, wanted, what in (
            (int(self._log is not None), self._demands.log_entries, "entries of a transparency log"),
            (len(self._timestampers), self._demands.timestamps, "signed timestamps"),
        ):
            if count < wanted:
                raise ConfigError(
                    f"the policy demands {wanted} {what}, and this instance gives {count}",
                    hint="give the trust config of an instance that has them, or change `evidence` in the policy",
                )
        if self._log is not None and self._scheme.prehash is None and not self._log.is_v1:
            raise ConfigError(
                "an Ed25519 key cannot be used with a Rekor v2 log, whose entries hold a digest of what is signed",
                hint="use an ECDSA P-256 key",
            )

    def _require_period(self) -> None:
        period = self._managed.period
        if period == ALWAYS:
            return
        now = datetime.now(UTC)
        if not period.contains(now):
            raise SigningError(
                f"the policy lets this key sign from {period}, and it is {now.isoformat(timespec='seconds')}",
                hint="sign with the key that came after it, or change its period in the policy",
            )
        if not self._timestampers and not (self._log is not None and self._log.is_v1):
            raise ConfigError(
                f"the policy lets this key sign from {period}, and nothing would prove when it did",
                hint="give the trust config of an instance with a timestamp authority",
            )

    @property
    def name(self) -> str:
        """Whom the closing line of signing names."""
        return f"key {self.identity.fingerprint}"

    async def sign(self, payload: bytes, *, limiter: anyio.CapacityLimiter | None = None) -> bytes:
        """A bundle of the statement or layout `payload`, verified. As many may be made at once as `limiter` lets.

        Raises SigningError. A cancelled call may leave an entry in the log, and nothing else.
        """
        return await anyio.to_thread.run_sync(self._sign, payload, limiter=limiter, abandon_on_cancel=True)

    def _sign(self, payload: bytes) -> bytes:
        signature = self._key.sign(_pae(payload))
        envelope = Envelope(
            payload=base64.b64encode(payload),
            payload_type=PAYLOAD_TYPE,
            signatures=[Signature(sig=base64.b64encode(signature))],
        )
        # The times first: a failure there leaves nothing in the log.
        timestamps = [
            RFC3161SignedTimestamp(signed_timestamp=base64.b64encode(one.request_timestamp(signature).as_bytes()))
            for one in self._timestampers
        ]
        logged = [] if self._log is None else [self._log.create_entry(self._request(envelope, payload, signature))]
        bundle = Bundle(
            media_type=BUNDLE_V0_3,
            verification_material=VerificationMaterial(
                public_key=PublicKeyIdentifier(hint=self._hint),
                tlog_entries=[one._inner for one in logged],  # noqa: SLF001 - the message itself, as Bundle wants it
                timestamp_verification_data=TimestampVerificationData(rfc3161_timestamps=timestamps),
            ),
            dsse_envelope=envelope,
        )
        content = bundle.to_json().encode()
        self._check(content, payload)
        return content

    @property
    def _hint(self) -> str:
        """Which key it was: base64 of the SHA-256 of its DER, as cosign and sigstore-go write it."""
        return base64.b64encode(bytes.fromhex(self.identity.fingerprint.hex)).decode()

    def _request(self, envelope: Envelope, payload: bytes, signature: bytes) -> dict[str, Any]:
        """What is sent to the log. Source: Rekor v1's type `dsse` 0.0.1; rekor-v2-spec, 6.1.4."""
        if self._log is not None and self._log.is_v1:
            proposed = {"envelope": envelope.to_json(), "verifiers": [base64.b64encode(public_pem(self._key)).decode()]}
            return {"apiVersion": "0.0.1", "kind": "dsse", "spec": {"proposedContent": proposed}}
        digest = hashes.Hash(self._scheme.prehash or hashes.SHA256())
        digest.update(_pae(payload))
        der = self._key.public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        request = entry.CreateEntryRequest(
            hashed_rekord_request_v002=hashedrekord.HashedRekordRequestV002(
                digest=base64.b64encode(digest.finalize()),
                signature=verifier.Signature(
                    content=base64.b64encode(signature),
                    verifier=verifier.Verifier(
                        public_key=verifier.PublicKey(raw_bytes=base64.b64encode(der)), key_details=self._scheme.details
                    ),
                ),
            )
        )
        return dict(request.to_dict())

    def _check(self, content: bytes, payload: bytes) -> None:
        """Verify a bundle as consumers do; a signature that they would refuse must not leave this machine."""
        terms = Terms(self._trust, [self._managed], self._demands, layout=holds_layout(payload))
        result = verify_bundle(content, terms, name="the new bundle")
        if result.verdict.outcome is not Outcome.ACCEPTED:
            raise SigningError(
                f"the new bundle does not verify: {result.verdict.summary()}",
                hint="do the trust root and the signing config belong to the same Sigstore instance?",
            )
        if result.payload != payload:
            raise SigningError("the new bundle holds another statement than the one that was to be signed")


def _pae(payload: bytes) -> bytes:
    """The bytes that are signed for a statement (DSSE v1, pre-authentication encoding)."""
    return PlainEnvelope(payload, PAYLOAD_TYPE, {}).pae()
