"""The CT log's answer, checked with `cryptography`'s own reading of a final certificate."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.lab import pki
from dhallmark.lab.ctlog import ChainError, add_pre_chain, without_poison

AUTHORITY = pki.fulcio_chain("test")
ISSUER = AUTHORITY.certificates[0]
LOG_KEY = pki.signing_key()


def leaf(
    *, poison: bool = True, names: int = 1, signer: ec.EllipticCurvePrivateKey = AUTHORITY.key
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(ISSUER.subject)
        .public_key(pki.signing_key().public_key())
        .serial_number(7)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(minutes=10))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.UniformResourceIdentifier(f"https://example.com/{n}") for n in range(names)]
            ),
            critical=True,
        )
    )
    if poison:
        builder = builder.add_extension(x509.PrecertPoison(), critical=True)
    return builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True).sign(
        signer, hashes.SHA256()
    )


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


# Names make the extensions longer than 127, 255 and 65535 bytes: each form of a DER length.
@pytest.mark.parametrize("names", [0, 1, 5, 20, 4000])
def test_the_poison_goes_and_nothing_else_changes(names: int) -> None:
    certificate = leaf(names=names)
    body = without_poison(certificate.tbs_certificate_bytes)
    # A certificate of the same signature and the new body is read again by the library.
    whole = der(certificate).replace(certificate.tbs_certificate_bytes, body)
    length = len(whole) - _header_length(whole)
    again = x509.load_der_x509_certificate(_sequence(whole[-length:]))
    assert [extension.oid for extension in again.extensions] == [
        extension.oid
        for extension in certificate.extensions
        if extension.oid != x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.3")
    ]
    assert again.public_key() == certificate.public_key()
    assert again.serial_number == certificate.serial_number
    assert again.not_valid_after_utc == certificate.not_valid_after_utc


def _header_length(data: bytes) -> int:
    return 2 if data[1] < 0x80 else 2 + (data[1] & 0x7F)


def _sequence(content: bytes) -> bytes:
    size = (len(content).bit_length() + 7) // 8
    return bytes([0x30, 0x80 | size]) + len(content).to_bytes(size, "big") + content


def test_the_timestamp_is_signed_as_rfc_6962_says() -> None:
    certificate = leaf()
    answer = add_pre_chain([der(certificate)], issuer=ISSUER, key=LOG_KEY)
    assert answer["sct_version"] == 0
    assert answer["extensions"] == ""
    spki = pki.public_der(LOG_KEY)
    assert base64.b64decode(str(answer["id"])) == hashlib.sha256(spki).digest()

    signature = base64.b64decode(str(answer["signature"]))
    assert signature[:2] == bytes([4, 3])
    assert int.from_bytes(signature[2:4], "big") == len(signature) - 4
    issuer_spki = pki.public_der(AUTHORITY.key)
    body = without_poison(certificate.tbs_certificate_bytes)
    timestamp = answer["timestamp"]
    assert isinstance(timestamp, int)
    signed = (
        b"\0\0"
        + timestamp.to_bytes(8, "big")
        + b"\0\1"
        + hashlib.sha256(issuer_spki).digest()
        + len(body).to_bytes(3, "big")
        + body
        + b"\0\0"
    )
    LOG_KEY.public_key().verify(signature[4:], signed, ec.ECDSA(hashes.SHA256()))


@pytest.mark.parametrize(
    ("chain", "message"),
    [
        ([], "empty chain"),
        ([b"nonsense"], "not issued by"),
        ([der(leaf(signer=pki.signing_key()))], "not issued by"),
        ([der(AUTHORITY.certificates[1])], "not issued by"),
        ([der(leaf(poison=False))], "no poison extension"),
    ],
)
def test_what_the_authority_did_not_sign_gets_no_timestamp(chain: list[bytes], message: str) -> None:
    with pytest.raises(ChainError, match=message):
        add_pre_chain(chain, issuer=ISSUER, key=LOG_KEY)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_chain_error(data: bytes) -> None:
    with pytest.raises(ChainError):
        without_poison(data)


@given(st.integers(min_value=0, max_value=600), st.integers(min_value=0, max_value=255))
def test_any_changed_byte_gives_a_result_or_a_chain_error(position: int, value: int) -> None:
    body = bytearray(BODY)
    body[position % len(body)] = value
    try:
        result = without_poison(bytes(body))
    except ChainError:
        return
    assert len(result) < len(body)


BODY = leaf().tbs_certificate_bytes
