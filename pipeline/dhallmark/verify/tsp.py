"""RFC 3161 responses: the DER of a timestamp, read strictly, and the signature in it.

The certificate that signed is the trust root's, so that one inside the response is not looked at, nor the attribute
that binds one to it (RFC 5816): there is no choice of certificates that it could protect.

Source: RFC 3161, section 2.4.2; RFC 5652 (CMS), sections 5.3 and 5.4.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.x509 import ObjectIdentifier

from dhallmark.errors import FormatError
from dhallmark.verify.schemes import DIGESTS, Key, Scheme, Way

_GRANTED = 0
_SIGNED_DATA = ObjectIdentifier("1.2.840.113549.1.7.2")
_TST_INFO = ObjectIdentifier("1.2.840.113549.1.9.16.1.4")
_CONTENT_TYPE = ObjectIdentifier("1.2.840.113549.1.9.3")
_MESSAGE_DIGEST = ObjectIdentifier("1.2.840.113549.1.9.4")
_HASHES: dict[ObjectIdentifier, HashAlgorithm] = {
    ObjectIdentifier("2.16.840.1.101.3.4.2.1"): SHA256(),
    ObjectIdentifier("2.16.840.1.101.3.4.2.2"): SHA384(),
    ObjectIdentifier("2.16.840.1.101.3.4.2.3"): SHA512(),
}
_ECDSA: dict[ObjectIdentifier, Way] = {
    ObjectIdentifier(oid): Way.of(ec.EllipticCurvePublicKey, Scheme(algorithm))
    for oid, algorithm in (
        ("1.2.840.10045.4.3.2", SHA256()),
        ("1.2.840.10045.4.3.3", SHA384()),
        ("1.2.840.10045.4.3.4", SHA512()),
    )
}
_RSA_WAYS = {algorithm.name: Way.of(rsa.RSAPublicKey, Scheme(algorithm)) for algorithm in _HASHES.values()}
_RSA: dict[ObjectIdentifier, Way | None] = {
    ObjectIdentifier("1.2.840.113549.1.1.1"): None,  # the hash is the digest algorithm's
    ObjectIdentifier("1.2.840.113549.1.1.11"): _RSA_WAYS["sha256"],
    ObjectIdentifier("1.2.840.113549.1.1.12"): _RSA_WAYS["sha384"],
    ObjectIdentifier("1.2.840.113549.1.1.13"): _RSA_WAYS["sha512"],
}
_ED25519 = ObjectIdentifier("1.3.101.112")
_ED25519_WAY = Way.of(ed25519.Ed25519PublicKey, Scheme(None))
_OCTETS_TAG = b"\x04"
_PIECES_TAG = b"\x24"
_ATTRIBUTES_TAG = b"\xa0"
_SET_TAG = b"\x31"
_SEQUENCE_TAG = b"\x30"
_LONG_LENGTH = 0x80
_VERSION = 1


@asn1.sequence
class _Algorithm:
    algorithm: ObjectIdentifier
    parameters: asn1.Null | None


@asn1.sequence
class _Status:
    status: int
    text: list[str] | None
    failure: asn1.BitString | None


@asn1.sequence
class _ContentInfo:
    content_type: ObjectIdentifier
    content: Annotated[asn1.TLV, asn1.Explicit(0)]


@asn1.sequence
class _Response:
    status: _Status
    token: _ContentInfo | None


@asn1.sequence
class _Encapsulated:
    content_type: ObjectIdentifier
    content: Annotated[asn1.TLV, asn1.Explicit(0)]


@asn1.sequence
class _Pieces:
    pieces: list[bytes]


@asn1.sequence
class _SignedData:
    version: int
    digest_algorithms: asn1.SetOf[asn1.TLV]
    encapsulated: _Encapsulated
    # Read as sequences, since authorities in the field do not sort these sets; nothing in them is used.
    certificates: Annotated[list[asn1.TLV] | None, asn1.Implicit(0)]
    crls: Annotated[list[asn1.TLV] | None, asn1.Implicit(1)]
    signers: asn1.SetOf[asn1.TLV]


@asn1.sequence
class _Signer:
    version: int
    identifier: asn1.TLV
    digest_algorithm: _Algorithm
    attributes: asn1.TLV
    algorithm: _Algorithm
    signature: bytes
    unsigned: Annotated[list[asn1.TLV] | None, asn1.Implicit(1)]


@asn1.sequence
class _BareSigner:
    """One whose signature is over the content itself: there are no signed attributes."""

    version: int
    identifier: asn1.TLV
    digest_algorithm: _Algorithm
    algorithm: _Algorithm
    signature: bytes
    unsigned: Annotated[list[asn1.TLV] | None, asn1.Implicit(1)]


@asn1.sequence
class _Attribute:
    kind: ObjectIdentifier
    values: asn1.SetOf[asn1.TLV]


@asn1.sequence
class _Attributes:
    attributes: list[_Attribute]


@asn1.sequence
class _Imprint:
    algorithm: _Algorithm
    digest: bytes


@asn1.sequence
class _Accuracy:
    seconds: int | None
    millis: Annotated[int | None, asn1.Implicit(0)]
    micros: Annotated[int | None, asn1.Implicit(1)]


@asn1.sequence
class _Any:
    """Whatever stands in an explicit tag: encoded as a sequence of one, with that tag."""

    value: asn1.TLV


@asn1.sequence
class _Info:
    version: int
    policy: ObjectIdentifier
    imprint: _Imprint
    serial: int
    time: asn1.GeneralizedTime
    accuracy: _Accuracy | None
    ordering: Annotated[bool, asn1.Default(value=False)]
    nonce: int | None
    authority: Annotated[_Any | None, asn1.Implicit(0)]
    extensions: Annotated[list[asn1.TLV] | None, asn1.Implicit(1)]


class Token(NamedTuple):
    """A timestamp whose signature is not verified yet."""

    info: bytes
    """The TSTInfo: what the authority says."""
    time: datetime
    """When it says that it saw the bytes; UTC."""
    imprint: bytes
    hash: HashAlgorithm
    """Of the imprint."""
    signer: _Signer | _BareSigner

    @classmethod
    def parse(cls, response: bytes) -> Token:
        """Read a TimeStampResp. Raises FormatError or ValueError for any other bytes, and for one that says no."""
        answer = asn1.decode_der(_Response, response)
        if answer.status.status != _GRANTED or answer.token is None:
            raise FormatError(f"the authority granted no timestamp: status {answer.status.status}")
        if answer.token.content_type != _SIGNED_DATA:
            raise FormatError("the timestamp is not signed data")
        signed: _SignedData = answer.token.content.parse(_SignedData)
        if signed.encapsulated.content_type != _TST_INFO:
            raise FormatError("what the authority signed is not a timestamp")
        signers = signed.signers.as_list()
        if len(signers) != 1:
            raise FormatError(f"a timestamp needs exactly one signer, not {len(signers)}")
        content = _octets(signed.encapsulated.content)
        info = asn1.decode_der(_Info, content)
        algorithm = _HASHES.get(info.imprint.algorithm.algorithm)
        if info.version != _VERSION or algorithm is None:
            raise FormatError("a timestamp of a version, or with a hash, that this verifier does not read")
        return cls(
            info=content,
            time=info.time.as_datetime().replace(tzinfo=UTC),
            imprint=info.imprint.digest,
            hash=algorithm,
            signer=_signer(signers[0]),
        )

    def is_of(self, content: bytes) -> bool:
        """True where it is `content` that the authority saw."""
        return DIGESTS[self.hash.name](content) == self.imprint

    def verify(self, key: Key) -> None:
        """Raises InvalidSignature unless the owner of `key` signed it; FormatError for a scheme that is not read."""
        signer = self.signer
        algorithm = _HASHES.get(signer.digest_algorithm.algorithm)
        if algorithm is None:
            raise FormatError("the timestamp's digest is of a kind that this verifier does not read")
        content = self.info
        if isinstance(signer, _Signer):
            attributes = bytes(signer.attributes.data)
            _check_attributes(attributes, digest=DIGESTS[algorithm.name](self.info))
            content = _der(_SET_TAG, attributes)  # what is signed has the tag of a set (RFC 5652, section 5.4)
        _verify(key, signer.signature, content, signer.algorithm.algorithm, algorithm)


def _octets(content: asn1.TLV) -> bytes:
    """An octet string, also in pieces: CMS allows BER, and some authorities' libraries write it."""
    if content.tag_bytes == _OCTETS_TAG:
        return bytes(content.data)
    if content.tag_bytes != _PIECES_TAG:
        raise FormatError("what the authority signed is not an octet string")
    pieces = asn1.decode_der(_Pieces, _der(_SEQUENCE_TAG, _der(_SEQUENCE_TAG, bytes(content.data)))).pieces
    return b"".join(pieces)


def _signer(content: asn1.TLV) -> _Signer | _BareSigner:
    try:
        signer: _Signer = content.parse(_Signer)
    except ValueError:
        bare: _BareSigner = content.parse(_BareSigner)
        return bare
    if signer.attributes.tag_bytes != _ATTRIBUTES_TAG:
        raise FormatError("the timestamp's signed attributes are malformed")
    return signer


def _check_attributes(content: bytes, *, digest: bytes) -> None:
    """The signature is over the attributes; these must bind the content (RFC 5652, section 5.4)."""
    found: dict[ObjectIdentifier, list[asn1.TLV]] = {}
    for attribute in asn1.decode_der(_Attributes, _der(_SEQUENCE_TAG, _der(_SEQUENCE_TAG, content))).attributes:
        if attribute.kind in found:
            raise FormatError("an attribute of the timestamp stands twice")
        found[attribute.kind] = attribute.values.as_list()
    kinds, digests = found.get(_CONTENT_TYPE, []), found.get(_MESSAGE_DIGEST, [])
    if len(kinds) != 1 or kinds[0].parse(ObjectIdentifier) != _TST_INFO:
        raise FormatError("the timestamp's signature is over another type of content")
    if len(digests) != 1 or digests[0].parse(bytes) != digest:
        raise InvalidSignature


def _verify(
    key: Key, signature: bytes, content: bytes, scheme: ObjectIdentifier, digest_algorithm: HashAlgorithm
) -> None:
    public = key.public
    way: Way | None = None
    if isinstance(public, ec.EllipticCurvePublicKey):
        way = _ECDSA.get(scheme)
    elif isinstance(public, rsa.RSAPublicKey):
        way = (_RSA[scheme] or _RSA_WAYS[digest_algorithm.name]) if scheme in _RSA else None
    elif scheme == _ED25519:
        way = _ED25519_WAY
    if way is None:
        raise FormatError(f"the timestamp's signature is of a kind that does not fit: {scheme.dotted_string}")
    if not key.passes(way, signature, content):
        raise InvalidSignature


def _der(tag: bytes, content: bytes) -> bytes:
    size = len(content)
    if size < _LONG_LENGTH:
        return tag + bytes([size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return tag + bytes([_LONG_LENGTH | len(length)]) + length + content
