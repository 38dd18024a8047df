"""Keys: which schemes they have, and that one of a name is held to it."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from dhallmark.errors import FormatError
from dhallmark.verify.schemes import BytesNeededError, Content, Key

MESSAGE = b"message"
P256, P384, P521 = (ec.generate_private_key(curve()) for curve in (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1))
ED25519 = ed25519.Ed25519PrivateKey.generate()
RSA = rsa.generate_private_key(65537, 2048)
PKCS1 = padding.PKCS1v15()
PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)


def ecdsa(hash_: hashes.HashAlgorithm) -> ec.ECDSA:
    return ec.ECDSA(hash_)


SIGNED: dict[str, tuple[Any, bytes]] = {
    "PKIX_ECDSA_P256_SHA_256": (P256, P256.sign(MESSAGE, ecdsa(hashes.SHA256()))),
    "PKIX_ECDSA_P384_SHA_384": (P384, P384.sign(MESSAGE, ecdsa(hashes.SHA384()))),
    "PKIX_ECDSA_P384_SHA_256": (P384, P384.sign(MESSAGE, ecdsa(hashes.SHA256()))),
    "PKIX_ECDSA_P521_SHA_512": (P521, P521.sign(MESSAGE, ecdsa(hashes.SHA512()))),
    "PKIX_ECDSA_P521_SHA_256": (P521, P521.sign(MESSAGE, ecdsa(hashes.SHA256()))),
    "PKIX_ED25519": (ED25519, ED25519.sign(MESSAGE)),
    "PKIX_RSA_PKCS1V15_2048_SHA256": (RSA, RSA.sign(MESSAGE, PKCS1, hashes.SHA256())),
    "PKIX_RSA_PSS_2048_SHA256": (RSA, RSA.sign(MESSAGE, PSS, hashes.SHA256())),
}


@pytest.mark.parametrize("name", SIGNED)
def test_a_key_without_a_name_has_all_schemes_of_its_kind(name: str) -> None:
    private, signature = SIGNED[name]
    key = Key.of(private.public_key())
    key.verify(signature, Content.of(MESSAGE))
    with pytest.raises(InvalidSignature):
        key.verify(signature, Content.of(b"another"))


@pytest.mark.parametrize("name", SIGNED)
def test_a_key_with_a_name_has_that_scheme_alone(name: str) -> None:
    private, signature = SIGNED[name]
    key = Key.named(private.public_key(), name)
    key.verify_bytes(signature, MESSAGE)
    for other, (owner, theirs) in SIGNED.items():
        if other != name and owner is private:
            with pytest.raises(InvalidSignature):
                key.verify_bytes(theirs, MESSAGE)


@pytest.mark.parametrize("name", SIGNED)
def test_a_digest_is_enough_where_it_is_what_was_signed(name: str) -> None:
    private, signature = SIGNED[name]
    content = Content(None, Content.of(MESSAGE).sha256)
    key = Key.of(private.public_key())
    if "SHA_384" in name or "SHA_512" in name or name == "PKIX_ED25519":
        with pytest.raises(BytesNeededError):
            key.verify(signature, content)
    else:
        key.verify(signature, content)
        if len(key.ways) == 1 or private is RSA:
            with pytest.raises(InvalidSignature):
                key.verify(signature, Content(None, bytes(32)))


def test_a_prehashed_signature_is_one_of_the_bytes() -> None:
    content = Content.of(MESSAGE)
    signature = P256.sign(content.sha256, ec.ECDSA(Prehashed(hashes.SHA256())))
    Key.of(P256.public_key()).verify(signature, content)


@pytest.mark.parametrize(
    "private",
    [
        ec.generate_private_key(ec.SECP256K1()),
        ec.generate_private_key(ec.SECP224R1()),
        rsa.generate_private_key(65537, 1024),  # noqa: S505
        dsa.generate_private_key(2048),
        ed448.Ed448PrivateKey.generate(),
    ],
)
def test_a_key_of_another_kind_is_an_error(private: Any) -> None:  # noqa: ANN401
    with pytest.raises(FormatError):
        Key.of(private.public_key())


@pytest.mark.parametrize(
    ("private", "name"),
    [
        (P256, "PKIX_ECDSA_P384_SHA_384"),
        (P256, "PKIX_ED25519"),
        (ED25519, "PKIX_ECDSA_P256_SHA_256"),
        (RSA, "PKIX_RSA_PKCS1V15_4096_SHA256"),
        (P256, "ML_DSA_65"),
        (P256, ""),
    ],
)
def test_a_name_that_is_not_the_keys_is_an_error(private: Any, name: str) -> None:  # noqa: ANN401
    with pytest.raises(FormatError):
        Key.named(private.public_key(), name)
