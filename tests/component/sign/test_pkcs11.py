"""Keys in a token: SoftHSM's library, loaded and asked as any vendor's would be."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from tests.component.softhsm import MODULE, SoftToken

from dhallmark.errors import ConfigError, Error, SigningError
from dhallmark.sign.key import SigningKey, open_key
from dhallmark.sign.scheme import scheme_of
from dhallmark.sign.secret import FileSecret, NoSecret, SecretSource, VariableSecret

pytestmark = pytest.mark.component


def _verify(key: SigningKey, signature: bytes, data: bytes) -> None:
    public, prehash = key.public, scheme_of(key.public).prehash
    assert prehash is not None
    if isinstance(public, rsa.RSAPublicKey):
        public.verify(signature, data, padding.PKCS1v15(), prehash)
    else:
        assert isinstance(public, ec.EllipticCurvePublicKey)
        public.verify(signature, data, ec.ECDSA(prehash))


@pytest.mark.parametrize("name", ["p256", "p384", "rsa"])
def test_a_key_signs_inside_its_token(soft_token: SoftToken, name: str) -> None:
    with open_key(soft_token.uri(name), secret=FileSecret(soft_token.pin_file)) as key:
        _verify(key, key.sign(b"data"), b"data")


def test_a_key_is_found_by_its_id_and_the_pin_by_the_uri(soft_token: SoftToken) -> None:
    uri = f"pkcs11:id=%01;model=SoftHSM%20v2?module-path={MODULE}&pin-source=file:{soft_token.pin_file}"
    with open_key(uri, secret=NoSecret()) as key:
        _verify(key, key.sign(b"data"), b"data")


def test_one_session_serves_many_threads(soft_token: SoftToken) -> None:
    signed: list[bytes] = []
    with open_key(soft_token.uri("p256"), secret=FileSecret(soft_token.pin_file)) as key:
        threads = [threading.Thread(target=lambda: signed.append(key.sign(b"data"))) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(signed)) == 16
        for signature in signed:
            _verify(key, signature, b"data")


_FAULTS: dict[str, tuple[str, SecretSource | None, type[Error], str]] = {
    "another PIN": ("token=release-keys;object=p256", VariableSecret("P", {"P": "0000"}), SigningError, "PinIncorrect"),
    "no PIN": ("token=release-keys;object=p256", NoSecret(), SigningError, "PIN of the token 'release-keys' is needed"),
    "a PIN in Latin-1": (
        "token=release-keys;object=p256",
        VariableSecret("P", {"P": "\udce9"}),
        SigningError,
        "is no UTF-8",
    ),
    "another token": ("token=other;object=p256", None, SigningError, "no tokens fit the URI"),
    "another serial": ("serial=00;object=p256", None, SigningError, "no tokens fit the URI"),
    "another slot": ("slot-id=0;object=p256", None, SigningError, "no tokens fit the URI"),
    "another key": ("token=release-keys;object=none", None, SigningError, "no private keys .* fit the URI"),
    "label and id of two keys": ("object=p256;id=%02", None, SigningError, "no private keys .* fit the URI"),
}


@pytest.mark.parametrize("case", _FAULTS)
def test_what_does_not_fit_is_named(soft_token: SoftToken, case: str) -> None:
    attributes, secret, kind, message = _FAULTS[case]
    uri = f"pkcs11:{attributes}?module-path={MODULE}"
    with (
        pytest.raises(kind, match=message),
        open_key(uri, secret=secret or FileSecret(soft_token.pin_file)),
    ):
        pass


def test_a_label_of_two_keys_is_none(soft_token: SoftToken) -> None:
    soft_token.generate("twice", kind="EC:secp256r1", key_id="11")
    soft_token.generate("twice", kind="EC:secp256r1", key_id="12")
    secret = FileSecret(soft_token.pin_file)
    with pytest.raises(SigningError, match="2 private keys"), open_key(soft_token.uri("twice"), secret=secret):
        pass
    with open_key(f"pkcs11:object=twice;id=%12?module-path={MODULE}", secret=secret) as key:
        assert key.sign(b"data")


def test_a_key_that_signs_no_releases_is_refused(soft_token: SoftToken) -> None:
    soft_token.generate("koblitz", kind="EC:secp256k1", key_id="21")
    with (
        pytest.raises(ConfigError, match="secp256k1"),
        open_key(soft_token.uri("koblitz"), secret=FileSecret(soft_token.pin_file)),
    ):
        pass


@pytest.mark.parametrize("content", [None, b"not a library"])
def test_a_library_that_is_none_is_named(tmp_path: Path, content: bytes | None) -> None:
    module = tmp_path / "vendor.so"
    if content is not None:
        module.write_bytes(content)
    with (
        pytest.raises(ConfigError, match=f"PKCS#11 library {module} cannot be used"),
        open_key(f"pkcs11:object=a?module-path={module}", secret=NoSecret()),
    ):
        pass
