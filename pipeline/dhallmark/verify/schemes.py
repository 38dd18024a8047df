"""Signature schemes: in which ways a public key may have signed, and whether it did.

A key that comes with the name of its scheme (a log's, in the trust root) is held to it. A certificate's or a managed
key has no such name, so each of its kind's schemes is tried: the one that Sigstore's registry names, and the one that
clients used before there was a registry.

Source: Sigstore's algorithm registry (architecture-docs, algorithm-registry.md); protobuf-specs, PublicKeyDetails.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm

from dhallmark.errors import FormatError

_MIN_RSA_BITS = 2048
_MAX_RSA_BITS = 8192
"""A larger modulus makes one verification cost what thousands do."""


@dataclass(frozen=True, slots=True)
class Content:
    """What was signed: bytes, or the SHA-256 of bytes that are elsewhere."""

    data: bytes | None
    sha256: bytes

    @classmethod
    def of(cls, data: bytes) -> Content:
        return cls(data, hashlib.sha256(data).digest())

    def digest(self, name: str) -> bytes | None:
        """Its digest by hashlib's name of the algorithm. None where that takes the bytes, and they are not here."""
        if name == "sha256":
            return self.sha256
        return None if self.data is None else hashlib.new(name, self.data).digest()


class BytesNeededError(Exception):
    """The scheme signs more than a SHA-256, and only that is known."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """One way to sign."""

    hash: HashAlgorithm | None
    """None for Ed25519, which signs the bytes themselves."""
    pss: bool = False
    """For RSA: PSS, or else PKCS #1 v1.5."""


Check = Callable[[bytes, bytes], None]
"""Raises InvalidSignature unless the signature, first, is one of the bytes, second."""


@dataclass(frozen=True, slots=True)
class Key:
    """A public key that is ready to verify."""

    public: ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey
    schemes: tuple[Scheme, ...]
    """At least one, all fit for the key."""
    of_bytes: tuple[Check, ...]
    """For each scheme, the check of a signature of bytes."""
    of_digest: tuple[Check | None, ...]
    """For each scheme, the check of a signature of what has a SHA-256; None where that is not enough to know."""

    @classmethod
    def of(cls, public: PublicKeyTypes) -> Key:
        """A key whose scheme nobody names. Raises FormatError for a kind that this verifier does not read."""
        if isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name in _CURVES:
            return cls._of(public, _CURVES[public.curve.name])
        if isinstance(public, ed25519.Ed25519PublicKey):
            return cls._of(public, (_ED25519,))
        if isinstance(public, rsa.RSAPublicKey) and _MIN_RSA_BITS <= public.key_size <= _MAX_RSA_BITS:
            return cls._of(public, (Scheme(SHA256()), Scheme(SHA256(), pss=True)))
        raise FormatError(f"a key of a kind that this verifier does not read: {_kind(public)}")

    @classmethod
    def named(cls, public: PublicKeyTypes, details: str) -> Key:
        """A key with its scheme in PublicKeyDetails. Raises FormatError where they do not fit, or one is not read."""
        kind, scheme = _NAMED.get(details, (None, None))
        if scheme is None or kind not in {_kind(public), type(public).__name__}:
            raise FormatError(f"a key of a kind that this verifier does not read: {details[:60]} for {_kind(public)}")
        return cls._of(cls.of(public).public, (scheme,))

    @classmethod
    def _of(
        cls,
        public: ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey,
        schemes: tuple[Scheme, ...],
    ) -> Key:
        checks = [_checks(public, scheme) for scheme in schemes]
        return cls(public, schemes, tuple(check for check, _ in checks), tuple(check for _, check in checks))

    def verify(self, signature: bytes, content: Content) -> None:
        """Raises InvalidSignature, or BytesNeededError where the digest is not enough to know."""
        if content.data is not None:
            self.verify_bytes(signature, content.data)
            return
        needed = False
        for check in self.of_digest:
            if check is None:
                needed = True
            elif _passes(check, signature, content.sha256):
                return
        raise BytesNeededError if needed else InvalidSignature

    def verify_bytes(self, signature: bytes, data: bytes) -> None:
        """As `verify`, where the bytes are there and no digest of them is wanted. Raises InvalidSignature."""
        for check in self.of_bytes[:-1]:
            if _passes(check, signature, data):
                return
        self.of_bytes[-1](signature, data)


def _passes(check: Check, signature: bytes, data: bytes) -> bool:
    try:
        check(signature, data)
    except InvalidSignature:
        return False
    return True


def _checks(
    public: ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey, scheme: Scheme
) -> tuple[Check, Check | None]:
    """The checks of a scheme: of bytes, and of a SHA-256."""
    algorithm = scheme.hash
    if isinstance(public, ed25519.Ed25519PublicKey) or algorithm is None:
        if not isinstance(public, ed25519.Ed25519PublicKey):
            raise FormatError("a scheme for Ed25519, and a key of another kind")
        return public.verify, None
    hashed = Prehashed(algorithm) if algorithm.name == "sha256" else None
    if isinstance(public, ec.EllipticCurvePublicKey):
        curve = public
        of_bytes, of_digest = ec.ECDSA(algorithm), ec.ECDSA(hashed) if hashed is not None else None
        return (
            lambda signature, data: curve.verify(signature, data, of_bytes),
            None if of_digest is None else lambda signature, digest: curve.verify(signature, digest, of_digest),
        )
    modulus, pad = public, _padding(scheme, algorithm)
    return (
        lambda signature, data: modulus.verify(signature, data, pad, algorithm),
        None if hashed is None else lambda signature, digest: modulus.verify(signature, digest, pad, hashed),
    )


def _padding(scheme: Scheme, algorithm: HashAlgorithm) -> padding.AsymmetricPadding:
    if scheme.pss:
        return padding.PSS(mgf=padding.MGF1(algorithm), salt_length=padding.PSS.AUTO)
    return padding.PKCS1v15()


def _kind(public: PublicKeyTypes) -> str:
    if isinstance(public, ec.EllipticCurvePublicKey):
        return public.curve.name
    if isinstance(public, rsa.RSAPublicKey):
        return f"RSA {public.key_size}"
    return type(public).__name__


_ED25519 = Scheme(None)
_CURVES: Mapping[str, tuple[Scheme, ...]] = MappingProxyType(
    {
        "secp256r1": (Scheme(SHA256()),),
        "secp384r1": (Scheme(SHA384()), Scheme(SHA256())),
        "secp521r1": (Scheme(SHA512()), Scheme(SHA256())),
    }
)
_RSA_SIZES = (2048, 3072, 4096)
_NAMED: Mapping[str, tuple[str, Scheme]] = MappingProxyType(
    {
        "PKIX_ECDSA_P256_SHA_256": ("secp256r1", Scheme(SHA256())),
        "PKIX_ECDSA_P384_SHA_384": ("secp384r1", Scheme(SHA384())),
        "PKIX_ECDSA_P384_SHA_256": ("secp384r1", Scheme(SHA256())),
        "PKIX_ECDSA_P521_SHA_512": ("secp521r1", Scheme(SHA512())),
        "PKIX_ECDSA_P521_SHA_256": ("secp521r1", Scheme(SHA256())),
        "PKIX_ED25519": ("Ed25519PublicKey", _ED25519),
        # The names that leave the size open are deprecated, and staging's first CT log has one.
        "PKCS1_RSA_PKCS1V5": ("RSAPublicKey", Scheme(SHA256())),
        "PKIX_RSA_PKCS1V5": ("RSAPublicKey", Scheme(SHA256())),
        "PKCS1_RSA_PSS": ("RSAPublicKey", Scheme(SHA256(), pss=True)),
        "PKIX_RSA_PSS": ("RSAPublicKey", Scheme(SHA256(), pss=True)),
        **{f"PKIX_RSA_PKCS1V15_{bits}_SHA256": (f"RSA {bits}", Scheme(SHA256())) for bits in _RSA_SIZES},
        **{f"PKIX_RSA_PSS_{bits}_SHA256": (f"RSA {bits}", Scheme(SHA256(), pss=True)) for bits in _RSA_SIZES},
    }
)
