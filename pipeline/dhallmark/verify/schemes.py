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
from typing import Any, NamedTuple, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm

from dhallmark.errors import FormatError

_MIN_RSA_BITS = 2048
_MAX_RSA_BITS = 8192
"""A larger modulus makes one verification cost what thousands do."""


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _sha384(data: bytes) -> bytes:
    return hashlib.sha384(data).digest()


def _sha512(data: bytes) -> bytes:
    return hashlib.sha512(data).digest()


DIGESTS: Mapping[str, Callable[[bytes], bytes]] = MappingProxyType(
    {"sha256": _sha256, "sha384": _sha384, "sha512": _sha512}
)
"""Of bytes, by the names that `cryptography` has for the hashes."""


class Content(NamedTuple):
    """What was signed: bytes, or the SHA-256 of bytes that are elsewhere."""

    data: bytes | None
    sha256: bytes

    @classmethod
    def of(cls, data: bytes) -> Content:
        return cls(data, _sha256(data))

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


class _Verifies(Protocol):
    """A public key of any kind; what follows the signature and the bytes is the scheme, and differs."""

    def verify(self, *arguments: Any, **named: Any) -> None: ...  # noqa: ANN401 - that is what differs


@dataclass(frozen=True, slots=True)
class Way:
    """A scheme as `verify` of a key of one kind wants it."""

    scheme: Scheme
    digest: Callable[[bytes], bytes] | None
    """What the signature is over, of the bytes. None where it is over the bytes themselves."""
    how: tuple[object, ...]
    """What follows the signature and that digest, or the bytes."""

    @property
    def takes_sha256(self) -> bool:
        """Whether a SHA-256 of the bytes is enough to know."""
        return self.digest is _sha256

    @classmethod
    def of(cls, kind: type, scheme: Scheme) -> Way:
        """`scheme` for keys of `kind`. Raises FormatError where they do not fit."""
        algorithm = scheme.hash
        if issubclass(kind, ed25519.Ed25519PublicKey) or algorithm is None:
            if not issubclass(kind, ed25519.Ed25519PublicKey):
                raise FormatError("a scheme for Ed25519, and a key of another kind")
            return cls(scheme, None, ())
        # The library takes a quarter more time for a verification if it has to make the digest, too.
        hashed = Prehashed(algorithm)
        if issubclass(kind, ec.EllipticCurvePublicKey):
            return cls(scheme, DIGESTS[algorithm.name], (ec.ECDSA(hashed),))
        return cls(scheme, DIGESTS[algorithm.name], (_padding(scheme, algorithm), hashed))


@dataclass(frozen=True, slots=True)
class Key:
    """A public key that is ready to verify."""

    public: ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey
    ways: tuple[Way, ...]
    """At least one, all fit for the key."""

    @classmethod
    def of(cls, public: PublicKeyTypes) -> Key:
        """A key whose scheme nobody names. Raises FormatError for a kind that this verifier does not read."""
        # In this order, since most are of the first kind and to ask for a kind takes time.
        if isinstance(public, ec.EllipticCurvePublicKey):
            ways = _CURVES.get(public.curve.name)
            if ways is not None:
                return cls(public, ways)
        elif isinstance(public, ed25519.Ed25519PublicKey):
            return cls(public, _ED25519_WAYS)
        elif isinstance(public, rsa.RSAPublicKey) and _MIN_RSA_BITS <= public.key_size <= _MAX_RSA_BITS:
            return cls(public, _RSA_WAYS)
        raise FormatError(f"a key of a kind that this verifier does not read: {_kind(public)}")

    @classmethod
    def named(cls, public: PublicKeyTypes, details: str) -> Key:
        """A key with its scheme in PublicKeyDetails. Raises FormatError where they do not fit, or one is not read."""
        kind, scheme = _NAMED.get(details, (None, None))
        if scheme is None or kind not in {_kind(public), type(public).__name__}:
            raise FormatError(f"a key of a kind that this verifier does not read: {details[:60]} for {_kind(public)}")
        read = cls.of(public).public
        return cls(read, (Way.of(type(read), scheme),))

    def verify(self, signature: bytes, content: Content) -> None:
        """Raises InvalidSignature, or BytesNeededError where the digest is not enough to know."""
        needed = False
        for way in self.ways:
            if way.takes_sha256:
                signed: bytes | None = content.sha256
            else:
                signed = None if content.data is None else _signed(way, content.data)
            if signed is None:
                needed = True
            elif self._passes(signature, signed, way.how):
                return
        raise BytesNeededError if needed else InvalidSignature

    def verify_bytes(self, signature: bytes, data: bytes) -> None:
        """As `verify`, where the bytes are there and no digest of them is wanted. Raises InvalidSignature."""
        if not any(self.passes(way, signature, data) for way in self.ways):
            raise InvalidSignature

    def passes(self, way: Way, signature: bytes, data: bytes) -> bool:
        """Whether the key's owner signed the bytes that way, which must be one for keys of its kind."""
        return self._passes(signature, _signed(way, data), way.how)

    def _passes(self, signature: bytes, signed: bytes, how: tuple[object, ...]) -> bool:
        public: _Verifies = self.public
        try:
            public.verify(signature, signed, *how)
        except InvalidSignature:
            return False
        return True


def _signed(way: Way, data: bytes) -> bytes:
    return data if way.digest is None else way.digest(data)


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
_ED25519_WAYS = (Way.of(ed25519.Ed25519PublicKey, _ED25519),)
_RSA_WAYS = tuple(Way.of(rsa.RSAPublicKey, scheme) for scheme in (Scheme(SHA256()), Scheme(SHA256(), pss=True)))
_CURVES: Mapping[str, tuple[Way, ...]] = MappingProxyType(
    {
        name: tuple(Way.of(ec.EllipticCurvePublicKey, Scheme(algorithm)) for algorithm in algorithms)
        for name, algorithms in (
            ("secp256r1", (SHA256(),)),
            ("secp384r1", (SHA384(), SHA256())),
            ("secp521r1", (SHA512(), SHA256())),
        )
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
