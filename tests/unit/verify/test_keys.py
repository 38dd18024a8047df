"""Managed keys are read from PEM, and known by the digest of what they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dhallmark.digest import Digest
from dhallmark.errors import FormatError
from dhallmark.verify.keys import ManagedKey


def test_a_key_is_known_by_the_digest_of_its_public_key_info(tmp_path: Path) -> None:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    path = tmp_path / "key.pub"
    path.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert ManagedKey.load(path).identity.fingerprint == Digest.of(der)
    assert ManagedKey.load(path).identity.to_json() == {"key": Digest.of(der)}


@pytest.mark.parametrize("content", [b"", b"key", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_anything_else_is_an_error_that_names_the_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "key.pub"
    path.write_bytes(content)
    with pytest.raises(FormatError) as refused:
        ManagedKey.load(path)
    assert str(path) in str(refused.value)


def test_a_key_that_is_not_there_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(FormatError) as refused:
        ManagedKey.load(tmp_path / "no.pub")
    assert "no.pub" in str(refused.value)
