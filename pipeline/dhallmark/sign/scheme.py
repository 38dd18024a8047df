"""How a managed key signs: one scheme for each kind of key, so that nobody has to guess it from a signature.

Source: Sigstore's algorithm registry (architecture-docs, algorithm-registry.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from sigstore_models.common.v1 import PublicKeyDetails

from dhallmark.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """A signature algorithm with its hash."""

    details: PublicKeyDetails
    """Its name in the registry, which a Rekor v2 log asks for."""
    prehash: hashes.HashAlgorithm | None
    """What is hashed with before signing; None for Ed25519, which signs the bytes themselves."""


_CURVES = MappingProxyType(
    {
        "secp256r1": Scheme(details=PublicKeyDetails.PKIX_ECDSA_P256_SHA_256, prehash=hashes.SHA256()),
        "secp384r1": Scheme(details=PublicKeyDetails.PKIX_ECDSA_P384_SHA_384, prehash=hashes.SHA384()),
        "secp521r1": Scheme(details=PublicKeyDetails.PKIX_ECDSA_P521_SHA_512, prehash=hashes.SHA512()),
    }
)
_MODULI = MappingProxyType(
    {
        2048: Scheme(details=PublicKeyDetails.PKIX_RSA_PKCS1V15_2048_SHA256, prehash=hashes.SHA256()),
        3072: Scheme(details=PublicKeyDetails.PKIX_RSA_PKCS1V15_3072_SHA256, prehash=hashes.SHA256()),
        4096: Scheme(details=PublicKeyDetails.PKIX_RSA_PKCS1V15_4096_SHA256, prehash=hashes.SHA256()),
    }
)
_ED25519 = Scheme(details=PublicKeyDetails.PKIX_ED25519, prehash=None)


def scheme_of(key: PublicKeyTypes) -> Scheme:
    """The scheme of a public key. Raises ConfigError for a kind of key that nothing here signs with."""
    found: Scheme | None = None
    kind = type(key).__name__
    if isinstance(key, ec.EllipticCurvePublicKey):
        found, kind = _CURVES.get(key.curve.name), f"ECDSA on {key.curve.name}"
    elif isinstance(key, rsa.RSAPublicKey):
        found, kind = _MODULI.get(key.key_size), f"RSA with {key.key_size} bits"
    elif isinstance(key, ed25519.Ed25519PublicKey):
        found = _ED25519
    if found is None:
        raise ConfigError(
            f"a key of this kind does not sign releases: {kind}",
            hint="use ECDSA P-256 (or P-384, P-521), Ed25519, or RSA with 2048, 3072 or 4096 bits",
        )
    return found
