"""`dhallmark public-key`: what a policy names of a private key."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from dhallmark.cli.public_key import public_key
from dhallmark.errors import SigningError
from dhallmark.lab import pki
from dhallmark.verify.keys import ManagedKey


def test_the_public_half_is_printed_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private = pki.signing_key()
    path, out = tmp_path / "key.pem", tmp_path / "keys" / "key.pub"
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open sesame")))
    monkeypatch.setenv("KEY_PASSWORD", "open sesame")
    out.parent.mkdir()
    result = public_key(key=str(path), key_password_env="KEY_PASSWORD", out=out)
    pem = pki.public_pem(private)
    assert out.read_bytes() == pem
    assert result.data == {
        "schema": "dhallmark.dev/public-key/v1",
        "fingerprint": ManagedKey.parse(pem).identity.fingerprint,
        "publicKey": pem.decode(),
    }
    assert result.text == pem.decode().rstrip()
    monkeypatch.setenv("KEY_PASSWORD", "wrong")
    with pytest.raises(SigningError):
        public_key(key=str(path), key_password_env="KEY_PASSWORD")
