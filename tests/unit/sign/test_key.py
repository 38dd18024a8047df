"""Private keys in PEM files: every kind that signs, every form that they are kept in, and what is wrong with others."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from sigstore_models.common.v1 import PublicKeyDetails

from dhallmark.errors import ConfigError, Error, SigningError
from dhallmark.sign.key import PemKey, open_key, public_pem
from dhallmark.sign.scheme import scheme_of
from dhallmark.sign.secret import FileSecret, NoSecret, VariableSecret

_PASSWORD = "correct horse"
_KINDS: dict[str, tuple[Callable[[], PrivateKeyTypes], PublicKeyDetails]] = {
    "P-256": (lambda: ec.generate_private_key(ec.SECP256R1()), PublicKeyDetails.PKIX_ECDSA_P256_SHA_256),
    "P-384": (lambda: ec.generate_private_key(ec.SECP384R1()), PublicKeyDetails.PKIX_ECDSA_P384_SHA_384),
    "P-521": (lambda: ec.generate_private_key(ec.SECP521R1()), PublicKeyDetails.PKIX_ECDSA_P521_SHA_512),
    "RSA": (lambda: rsa.generate_private_key(65537, 2048), PublicKeyDetails.PKIX_RSA_PKCS1V15_2048_SHA256),
    "Ed25519": (ed25519.Ed25519PrivateKey.generate, PublicKeyDetails.PKIX_ED25519),
}


def write(
    path: Path,
    key: PrivateKeyTypes,
    *,
    form: PrivateFormat = PrivateFormat.PKCS8,
    encryption: KeySerializationEncryption | None = None,
) -> Path:
    path.write_bytes(key.private_bytes(Encoding.PEM, form, encryption or NoEncryption()))
    return path


def _verify(key: PemKey, signature: bytes, data: bytes) -> None:
    public, prehash = key.public, scheme_of(key.public).prehash
    if isinstance(public, ed25519.Ed25519PublicKey):
        public.verify(signature, data)
        return
    assert prehash is not None
    if isinstance(public, rsa.RSAPublicKey):
        public.verify(signature, data, padding.PKCS1v15(), prehash)
    else:
        assert isinstance(public, ec.EllipticCurvePublicKey)
        public.verify(signature, data, ec.ECDSA(prehash))


@pytest.mark.parametrize("kind", _KINDS)
def test_every_kind_signs_by_its_scheme(tmp_path: Path, kind: str) -> None:
    make, details = _KINDS[kind]
    private = make()
    key = PemKey.load(write(tmp_path / "key.pem", private), secret=NoSecret())
    assert scheme_of(key.public).details == details
    _verify(key, key.sign(b"data"), b"data")
    expected = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert public_pem(key) == expected


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_an_encrypted_key_opens_with_its_password(tmp_path: Path, form: PrivateFormat) -> None:
    encryption = BestAvailableEncryption(_PASSWORD.encode())
    path = write(tmp_path / "key.pem", ec.generate_private_key(ec.SECP256R1()), form=form, encryption=encryption)
    password = tmp_path / "password"
    password.write_text(f"{_PASSWORD}\n")
    with open_key(str(path), secret=FileSecret(password)) as key:
        assert key.sign(b"data")


def test_a_password_is_asked_for_only_where_it_is_needed(tmp_path: Path) -> None:
    path = write(tmp_path / "key.pem", ec.generate_private_key(ec.SECP256R1()))
    assert PemKey.load(path, secret=VariableSecret("NOT_SET", {})).sign(b"data")


def test_a_wrong_password_is_no_signature_and_is_not_quoted(tmp_path: Path) -> None:
    encryption = BestAvailableEncryption(_PASSWORD.encode())
    path = write(tmp_path / "key.pem", ec.generate_private_key(ec.SECP256R1()), encryption=encryption)
    wrong = VariableSecret("P", {"P": _PASSWORD[::-1]})
    with pytest.raises(SigningError, match="the password does not open the key") as caught:
        PemKey.load(path, secret=wrong)
    assert _PASSWORD[::-1] not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None
    with pytest.raises(SigningError, match="none is given"):
        PemKey.load(path, secret=NoSecret())


def _pem(key: PrivateKeyTypes) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


_BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "no PEM": (lambda: b"hello", "not a private key in PEM"),
    "empty": (lambda: b"", "not a private key in PEM"),
    "too long": (lambda: b"x" * 70_000, "more than 65536 bytes"),
    "public": (
        lambda: (
            ec.generate_private_key(ec.SECP256R1())
            .public_key()
            .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        ),
        "a public key, which cannot sign",
    ),
    "cosign's": (
        lambda: b"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n",
        "cosign's own format",
    ),
    "DSA": (lambda: _pem(dsa.generate_private_key(1024)), "a key of this kind does not sign releases"),  # noqa: S505
    "another curve": (lambda: _pem(ec.generate_private_key(ec.SECP256K1())), "ECDSA on secp256k1"),
    "a short RSA key": (lambda: _pem(rsa.generate_private_key(65537, 1024)), "RSA with 1024 bits"),  # noqa: S505
}


@pytest.mark.parametrize("case", _BAD)
def test_what_cannot_sign_is_named(tmp_path: Path, case: str) -> None:
    make, message = _BAD[case]
    path = tmp_path / "key.pem"
    path.write_bytes(make())
    with pytest.raises(ConfigError, match=message) as caught:
        PemKey.load(path, secret=NoSecret())
    assert caught.value.where is not None
    assert caught.value.where.file == str(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Error, match="cannot be read"):
        PemKey.load(tmp_path / "none.pem", secret=NoSecret())


def test_a_key_does_not_print_itself(tmp_path: Path) -> None:
    key = PemKey.load(write(tmp_path / "key.pem", ec.generate_private_key(ec.SECP256R1())), secret=NoSecret())
    assert repr(key) == "PemKey()"
