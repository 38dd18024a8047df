"""Managed keys: public keys that a site trusts directly, without a certificate authority."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from dhallmark.digest import Digest
from dhallmark.errors import FormatError, Location
from dhallmark.identity import KeyIdentity
from dhallmark.verify.period import Period
from dhallmark.verify.schemes import Key

ALWAYS = Period(None, None)


@dataclass(frozen=True, kw_only=True)
class ManagedKey:
    """A public key, and when signatures by it count."""

    key: PublicKeyTypes
    identity: KeyIdentity
    period: Period = ALWAYS
    """A signature counts where its verified time lies in here (C8). Without a verified time it must be open."""

    @classmethod
    def parse(cls, pem: bytes, *, period: Period = ALWAYS) -> ManagedKey:
        """Read a PEM SubjectPublicKeyInfo (RFC 7468, section 13). Raises FormatError for anything else."""
        try:
            key = load_pem_public_key(pem)
            der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise FormatError("not a public key in PEM", hint="expected -----BEGIN PUBLIC KEY-----") from error
        return cls(key=key, identity=KeyIdentity(fingerprint=Digest.of(der)), period=period)

    @classmethod
    def load(cls, path: Path, *, period: Period = ALWAYS) -> ManagedKey:
        """As `parse`, from a file. Raises FormatError with the file's name."""
        where = Location(file=str(path))
        try:
            return cls.parse(path.read_bytes(), period=period)
        except OSError as error:
            raise FormatError(f"the key cannot be read: {error.strerror}", where=where) from error
        except FormatError as error:
            raise FormatError(error.message, where=where, hint=error.hint) from error

    @cached_property
    def ready(self) -> Key:
        """The key, ready to verify. Raises FormatError for a kind that this verifier does not read."""
        return Key.of(self.key)

    @cached_property
    def der(self) -> bytes:
        """The DER SubjectPublicKeyInfo, as logs record it."""
        return self.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @cached_property
    def hints(self) -> frozenset[str]:
        """How bundles name the key: by its fingerprint, as base64 (cosign, sigstore-go) or as hex."""
        fingerprint = self.identity.fingerprint
        encoded = base64.b64encode(bytes.fromhex(fingerprint.hex)).decode()
        return frozenset({encoded, encoded.rstrip("="), fingerprint.hex, str(fingerprint)})


def choose(keys: Sequence[ManagedKey], hint: str) -> ManagedKey | None:
    """The key that `hint` names, or else the only one. A hint is a stranger's word: it chooses, and proves nothing."""
    named = [key for key in keys if hint in key.hints]
    if named:
        return named[0]
    return keys[0] if len(keys) == 1 else None
