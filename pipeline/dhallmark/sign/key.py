"""Managed private keys: a PEM file, or a key in a token (`dhallmark.sign.pkcs11`), behind one interface."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from dhallmark.errors import ConfigError, Location, SigningError
from dhallmark.sign.scheme import scheme_of
from dhallmark.sign.secret import SecretSource

_MAX_BYTES = 64 * 1024
_COSIGN_HEADERS = (b"ENCRYPTED SIGSTORE PRIVATE KEY", b"ENCRYPTED COSIGN PRIVATE KEY")
PKCS11_SCHEME = "pkcs11:"

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


class SigningKey(Protocol):
    """A private key that signs, wherever it is kept."""

    @property
    def public(self) -> PublicKeyTypes:
        """The public half, of a kind that `scheme_of` knows."""
        ...

    def sign(self, data: bytes) -> bytes:
        """A signature over `data` by the key's scheme: DER for ECDSA, raw for others.

        Blocks; may be called from several threads. Raises SigningError.
        """
        ...


def public_pem(key: SigningKey) -> bytes:
    """The public half in PEM (RFC 7468, section 13), as policies name it."""
    return key.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@contextmanager
def open_key(reference: str, *, secret: SecretSource) -> Iterator[SigningKey]:
    """The key that `reference` names: a PEM file, or a `pkcs11:` URI (RFC 7512).

    `secret` is asked only where the key needs a password or the token a PIN. Raises UsageError, ConfigError,
    SigningError.
    """
    if reference.startswith(PKCS11_SCHEME):
        from dhallmark.sign.pkcs11 import Pkcs11Uri, open_token_key

        with open_token_key(Pkcs11Uri.parse(reference), secret=secret) as key:
            yield key
    else:
        yield PemKey.load(Path(reference), secret=secret)


@dataclass(frozen=True, slots=True)
class PemKey:
    """A private key that was read from a file and lives in this process's memory."""

    private: PrivateKey = field(repr=False)

    @property
    def public(self) -> PublicKeyTypes:
        return self.private.public_key()

    def sign(self, data: bytes) -> bytes:
        prehash = scheme_of(self.public).prehash
        if isinstance(self.private, ed25519.Ed25519PrivateKey) or prehash is None:
            return self.private.sign(data)  # type: ignore[call-arg]  # no prehash means Ed25519
        if isinstance(self.private, rsa.RSAPrivateKey):
            return self.private.sign(data, padding.PKCS1v15(), prehash)
        return self.private.sign(data, ec.ECDSA(prehash))

    @classmethod
    def load(cls, path: Path, *, secret: SecretSource) -> PemKey:
        """Read a private key, PKCS#8 or the older forms of OpenSSL, encrypted or not.

        Raises ConfigError for a file that is no key of a known kind, SigningError for a wrong password.
        """
        where = Location(file=str(path))
        try:
            with path.open("rb") as file:
                content = file.read(_MAX_BYTES + 1)
        except OSError as error:
            raise ConfigError(f"the key cannot be read: {error.strerror}", where=where) from error
        if len(content) > _MAX_BYTES:
            raise ConfigError(f"more than {_MAX_BYTES} bytes: not a private key", where=where)
        if any(header in content for header in _COSIGN_HEADERS):
            raise ConfigError(
                "an encrypted key in cosign's own format, which only cosign reads",
                where=where,
                hint="keep the key as encrypted PKCS#8, as `openssl genpkey -aes256` writes it; "
                "`cosign import-key-pair` makes cosign's form of that",
            )
        if b"PUBLIC KEY-----" in content:
            raise ConfigError("a public key, which cannot sign", where=where, hint="give the private half")
        encrypted = b"ENCRYPTED" in content
        password = secret.read(f"the password of {path}") if encrypted else None
        private = _load(content, password)
        if private is None:
            # Raised here, not where it was caught: the library's error could quote what it read.
            if encrypted:
                raise SigningError(f"{where}: the password does not open the key, or the file is damaged")
            raise ConfigError(
                "not a private key in PEM", where=where, hint="expected -----BEGIN PRIVATE KEY----- (PKCS#8)"
            )
        try:
            scheme_of(private.public_key())
        except ConfigError as error:
            raise ConfigError(error.message, where=where, hint=error.hint) from error
        # No other kind has a scheme.
        return cls(cast("PrivateKey", private))


def _load(content: bytes, password: bytes | None) -> PrivateKeyTypes | None:
    try:
        return load_pem_private_key(content, password)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
