"""A Sigstore instance in memory: real keys, certificates, SCTs, log entries, checkpoints and timestamps, made in
milliseconds.

It logs as Rekor v1 does (with an integrated time and its promise) unless told otherwise. The public conformance cases
and the real servers say whether what is made here is what is made elsewhere.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from dhallmark.config.policy import Policy
from dhallmark.digest import Digest
from dhallmark.identity import EXTENSION_OIDS
from dhallmark.lab import pki, trust
from dhallmark.lab.ctlog import add_pre_chain
from dhallmark.statement import COSIGN_SIGN_V1, PAYLOAD_TYPE, Statement, Subject
from dhallmark.verify.basis import Basis
from dhallmark.verify.trust import TrustRoot

HOST = "rekor.unit.test"
ISSUER = "https://token.actions.githubusercontent.com"
SUBJECT = "https://github.com/acme/platform/.github/workflows/release.yml@refs/heads/main"
_SCT_LIST = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_TST_INFO = "1.2.840.113549.1.9.16.1.4"
MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
REKOR_V2 = (("hashedrekord", "0.0.2"), ("dsse", "0.0.2"))
Json = dict[str, Any]
SIGNED = Policy.model_validate(
    {
        "schemaVersion": 1,
        "identities": {"release": {"issuer": ISSUER, "subject": SUBJECT}},
        "statements": [{"predicateType": COSIGN_SIGN_V1, "identities": ["release"]}],
    }
)
"""Wants one statement by the identity of `Leaf`."""
PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def tlv(tag: int, *parts: bytes) -> bytes:
    """One element of DER."""
    content = b"".join(parts)
    size = len(content)
    length = bytes([size]) if size < 128 else b"\x82" + size.to_bytes(2, "big")
    return bytes([tag]) + (b"\x81" + bytes([size]) if 128 <= size < 256 else length) + content


def sequence(*parts: bytes) -> bytes:
    """A DER SEQUENCE."""
    return tlv(0x30, *parts)


def oid(text: str) -> bytes:
    """A DER OBJECT IDENTIFIER."""
    first, second, *rest = (int(part) for part in text.split("."))
    content = bytes([first * 40 + second])
    for number in rest:
        groups = [number & 0x7F]
        while number := number >> 7:
            groups.insert(0, number & 0x7F | 0x80)
        content += bytes(groups)
    return tlv(0x06, content)


def der_text(text: str) -> bytes:
    """A DER UTF8String."""
    return tlv(0x0C, text.encode())


def der_octets(content: bytes) -> bytes:
    """A DER OCTET STRING."""
    return tlv(0x04, content)


def sign_with(key: PrivateKey, message: bytes) -> bytes:
    """A signature by the scheme that Sigstore's registry has for the key."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, padding.PKCS1v15(), hashes.SHA256())
    digests = {"secp384r1": hashes.SHA384(), "secp521r1": hashes.SHA512()}
    return key.sign(message, ec.ECDSA(digests.get(key.curve.name, hashes.SHA256())))


SCHEMES = {
    "ECPrivateKey": sequence(oid("1.2.840.10045.4.3.2")),
    "RSAPrivateKey": sequence(oid("1.2.840.113549.1.1.11"), b"\x05\x00"),
    "Ed25519PrivateKey": sequence(oid("1.3.101.112")),
}
"""The names in CMS of what `sign_with` does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """What a log is given, and the body that it makes of it: a method for each kind of entry."""

    message: bytes
    """What was signed."""
    payload: bytes
    payload_type: str
    signature: bytes
    der: bytes
    """The signer's certificate or public key."""
    pem: bytes
    certified: bool

    def hashedrekord_001(self) -> Json:
        return {
            "data": {"hash": {"algorithm": "sha256", "value": hashlib.sha256(self.message).hexdigest()}},
            "signature": {"content": b64(self.signature), "publicKey": {"content": b64(self.pem)}},
        }

    def hashedrekord_002(self) -> Json:
        return {
            "hashedRekordV002": {
                "data": {"algorithm": "SHA2_256", "digest": b64(hashlib.sha256(self.message).digest())},
                "signature": {"content": b64(self.signature), "verifier": self._verifier()},
            }
        }

    def dsse_001(self) -> Json:
        return {
            "envelopeHash": {"algorithm": "sha256", "value": "00" * 32},
            "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(self.payload).hexdigest()},
            "signatures": [{"signature": b64(self.signature), "verifier": b64(self.pem)}],
        }

    def dsse_002(self) -> Json:
        return {
            "dsseV002": {
                "payloadHash": {"algorithm": "SHA2_256", "digest": b64(hashlib.sha256(self.payload).digest())},
                "signatures": [{"content": b64(self.signature), "verifier": self._verifier()}],
            }
        }

    def intoto_002(self) -> Json:
        signed = {"publicKey": b64(self.pem), "sig": b64(b64(self.signature).encode())}
        return {
            "content": {
                "envelope": {
                    "payload": b64(b64(self.payload).encode()),
                    "payloadType": self.payload_type,
                    "signatures": [signed],
                },
                "hash": {"algorithm": "sha256", "value": "00" * 32},
                "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(self.payload).hexdigest()},
            }
        }

    def _verifier(self) -> Json:
        name = "x509Certificate" if self.certified else "publicKey"
        return {"keyDetails": "PKIX_ECDSA_P256_SHA_256", name: {"rawBytes": b64(self.der)}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """What the certificate of a signer says."""

    names: tuple[x509.GeneralName, ...] = (x509.UniformResourceIdentifier(SUBJECT),)
    issuer: str | None = ISSUER
    legacy_issuer: str | None = ISSUER
    """The same in Fulcio's older extension."""
    extensions: Mapping[str, str] = field(default_factory=dict)
    usage: ObjectIdentifier = ExtendedKeyUsageOID.CODE_SIGNING
    digital_signature: bool = True
    authority: bool = False
    key: PrivateKey = field(default_factory=pki.signing_key)
    stamps: int = 1
    """How many SCTs it has."""

    @classmethod
    def of(cls, subject: str) -> Leaf:
        return cls(names=(x509.UniformResourceIdentifier(subject),))


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """The authorities of one instance."""

    fulcio: pki.Chain = field(default_factory=lambda: pki.fulcio_chain("unit"))
    ct: ec.EllipticCurvePrivateKey = field(default_factory=pki.signing_key)
    rekor: ec.EllipticCurvePrivateKey = field(default_factory=pki.signing_key)
    timestamp: pki.Chain = field(default_factory=pki.timestamp_chain)

    def trusted_root(self) -> Json:
        return trust.trusted_root(
            fulcio=("https://fulcio.unit.test", self.fulcio.certificates),
            rekor=(f"https://{HOST}", pki.public_der(self.rekor)),
            ctlog=("https://ct.unit.test", pki.public_der(self.ct)),
            timestamp=("https://tsa.unit.test", self.timestamp.certificates),
        )

    def trust(self, change: Callable[[Json], object] = lambda _: None) -> TrustRoot:
        """The trust root, after `change`."""
        body = copy.deepcopy(self.trusted_root())
        change(body)
        return TrustRoot.parse(json.dumps(body).encode())

    def sign(self, payload: bytes, *, payload_type: str = PAYLOAD_TYPE, **how: Any) -> Json:  # noqa: ANN401
        """A bundle v0.3 with an envelope, as JSON; `how` as for `sign_message`."""
        pae = b"DSSEv1 %d %b %d %b" % (len(payload_type), payload_type.encode(), len(payload), payload)
        how.setdefault("kind", ("dsse", "0.0.1"))
        bundle, signature = self._seal(pae, payload=payload, payload_type=payload_type, **how)
        bundle["dsseEnvelope"] = {
            "payload": b64(payload),
            "payloadType": payload_type,
            "signatures": [{"sig": b64(signature)}],
        }
        return bundle

    def sign_message(self, message: bytes, **how: Any) -> Json:  # noqa: ANN401
        """A bundle v0.3 of the bytes `message`. What a test changes is signed as changed; the log then vouches for it.

        `leaf` or `key`: the signer's certificate, or a managed private key. `kind`: of the log entry, by name and
        version; None for no entry. `integrated`, `origin`, `signer`: when the log took it, the checkpoint's origin, and
        as whom the log signed. `body`: changes the entry's body. `stamps`: makes the signed timestamps.
        """
        how.setdefault("kind", ("hashedrekord", "0.0.1"))
        bundle, signature = self._seal(message, payload=message, payload_type="", **how)
        digest = b64(hashlib.sha256(message).digest())
        bundle["messageSignature"] = {
            "messageDigest": {"algorithm": "SHA2_256", "digest": digest},
            "signature": b64(signature),
        }
        return bundle

    def _seal(
        self,
        message: bytes,
        *,
        payload: bytes,
        payload_type: str,
        kind: tuple[str, str] | None,
        leaf: Leaf | None = None,
        key: PrivateKey | None = None,
        integrated: datetime | None = None,
        origin: str | None = None,
        signer: str = HOST,
        body: Callable[[Json], object] = lambda _: None,
        stamps: Callable[[bytes], Sequence[bytes]] = lambda _: (),
    ) -> tuple[Json, bytes]:
        signer_leaf = None if key is not None else leaf or Leaf()
        private = key or (signer_leaf or Leaf()).key
        signature = sign_with(private, message)
        material: Json = {}
        if signer_leaf is None:
            der = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            material["publicKey"] = {"hint": b64(hashlib.sha256(der).digest())}
        else:
            certificate = self._certificate(signer_leaf)
            der, pem = certificate.public_bytes(Encoding.DER), certificate.public_bytes(Encoding.PEM)
            material["certificate"] = {"rawBytes": b64(der)}
        if kind is not None:
            logged = Logged(
                message=message,
                payload=payload,
                payload_type=payload_type,
                signature=signature,
                der=der,
                pem=pem,
                certified=signer_leaf is not None,
            )
            spec: Json = getattr(logged, f"{kind[0]}_{kind[1].replace('.', '')}", dict)()
            entry_body: Json = {"apiVersion": kind[1], "kind": kind[0], "spec": spec}
            body(entry_body)
            second = kind in REKOR_V2
            material["tlogEntries"] = [
                self._entry(
                    entry_body,
                    integrated=None if second else integrated or datetime.now(UTC),
                    origin=origin or (HOST if second else f"{HOST} - 7"),
                    signer=signer,
                )
            ]
        tokens = stamps(signature)
        if tokens:
            material["timestampVerificationData"] = {
                "rfc3161Timestamps": [{"signedTimestamp": b64(token)} for token in tokens]
            }
        return {"mediaType": MEDIA_TYPE, "verificationMaterial": material}, signature

    def _entry(self, body: Json, *, integrated: datetime | None, origin: str, signer: str) -> Json:
        content = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
        sibling = hashlib.sha256(b"\x00another entry").digest()
        root = hashlib.sha256(b"\x01" + hashlib.sha256(b"\x00" + content).digest() + sibling).digest()
        log_id = trust.log_id(pki.public_der(self.rekor))
        note = f"{origin}\n2\n{b64(root)}\n"
        line = f"\u2014 {signer} {b64(log_id[:4] + self._log_sign(note.encode()))}\n"
        entry: Json = {
            "logIndex": "1000",
            "logId": {"keyId": b64(log_id)},
            "kindVersion": {"kind": body["kind"], "version": body["apiVersion"]},
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": b64(root),
                "treeSize": "2",
                "hashes": [b64(sibling)],
                "checkpoint": {"envelope": f"{note}\n{line}"},
            },
            "canonicalizedBody": b64(content),
        }
        if integrated is not None:
            seconds = int(integrated.timestamp())
            promised = {"body": b64(content), "integratedTime": seconds, "logID": log_id.hex(), "logIndex": 1000}
            signed = json.dumps(promised, sort_keys=True, separators=(",", ":")).encode()
            entry["integratedTime"] = str(seconds)
            entry["inclusionPromise"] = {"signedEntryTimestamp": b64(self._log_sign(signed))}
        return entry

    def stamp(
        self,
        content: bytes,
        *,
        at: datetime | None = None,
        attributes: bool = True,
        pieces: bool = False,
        change: Callable[[bytes], bytes] = lambda attributes: attributes,
        status: int = 0,
        signer: tuple[PrivateKey, x509.Certificate] | None = None,
    ) -> bytes:
        """A TimeStampResp over `content` (RFC 3161), DER.

        `attributes`: the signature is over signed attributes, as nearly all authorities do it; `change` changes them.
        `pieces`: the content stands in an octet string of octet strings, which BER allows. `signer`: another authority.
        """
        moment = at or datetime.now(UTC)
        sha256 = sequence(oid("2.16.840.1.101.3.4.2.1"), b"\x05\x00")
        info = sequence(
            b"\x02\x01\x01",
            oid("1.3.6.1.4.1.57264.2"),
            sequence(sha256, der_octets(hashlib.sha256(content).digest())),
            b"\x02\x01\x05",
            tlv(0x18, moment.strftime("%Y%m%d%H%M%SZ").encode()),
        )
        signed = info
        attribute_set = b""
        if attributes:
            kinds = sequence(oid("1.2.840.113549.1.9.3"), tlv(0x31, oid(_TST_INFO)))
            digests = sequence(oid("1.2.840.113549.1.9.4"), tlv(0x31, der_octets(hashlib.sha256(info).digest())))
            attribute_set = change(kinds + digests)
            signed = tlv(0x31, attribute_set)
        key, certificate = signer or (self.timestamp.key, self.timestamp.certificates[0])
        signer_info = sequence(
            b"\x02\x01\x01",
            sequence(
                certificate.issuer.public_bytes(),
                tlv(0x02, certificate.serial_number.to_bytes(21, "big").lstrip(b"\0")),
            ),
            sha256,
            tlv(0xA0, attribute_set) if attributes else b"",
            SCHEMES[type(key).__name__],
            der_octets(sign_with(key, signed)),
        )
        octets = tlv(0x24, der_octets(info)) if pieces else der_octets(info)
        token = sequence(
            oid("1.2.840.113549.1.7.2"),
            tlv(
                0xA0,
                sequence(
                    b"\x02\x01\x03",
                    tlv(0x31, sha256),
                    sequence(oid(_TST_INFO), tlv(0xA0, octets)),
                    tlv(0x31, signer_info),
                ),
            ),
        )
        return sequence(sequence(tlv(0x02, bytes([status]))), token)

    def _log_sign(self, content: bytes) -> bytes:
        return self.rekor.sign(content, ec.ECDSA(hashes.SHA256()))

    def _certificate(self, leaf: Leaf) -> x509.Certificate:
        now = datetime.now(UTC).replace(microsecond=0)
        issuing = self.fulcio.certificates[0]
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(issuing.subject)
            .public_key(leaf.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=1))
            .not_valid_after(now + timedelta(minutes=9))
            .add_extension(
                x509.KeyUsage(
                    digital_signature=leaf.digital_signature,
                    content_commitment=not leaf.digital_signature,
                    key_encipherment=False,
                    data_encipherment=False,
                    key_agreement=False,
                    key_cert_sign=leaf.authority,
                    crl_sign=False,
                    encipher_only=False,
                    decipher_only=False,
                ),
                critical=True,
            )
            .add_extension(x509.ExtendedKeyUsage([leaf.usage]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.fulcio.key.public_key()), critical=False
            )
            .add_extension(x509.SubjectAlternativeName(leaf.names), critical=True)
        )
        if leaf.authority:
            builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        values = {EXTENSION_OIDS[name]: der_text(text) for name, text in leaf.extensions.items()}
        if leaf.legacy_issuer is not None:
            values["1.3.6.1.4.1.57264.1.1"] = leaf.legacy_issuer.encode()
        if leaf.issuer is not None:
            values["1.3.6.1.4.1.57264.1.8"] = der_text(leaf.issuer)
        for oid, value in values.items():
            builder = builder.add_extension(x509.UnrecognizedExtension(ObjectIdentifier(oid), value), critical=False)
        if not leaf.stamps:
            return builder.sign(self.fulcio.key, hashes.SHA256())
        precertificate = builder.add_extension(x509.PrecertPoison(), critical=True)
        listed = b"".join(
            self._stamp(precertificate.sign(self.fulcio.key, hashes.SHA256())) for _ in range(leaf.stamps)
        )
        content = der_octets(len(listed).to_bytes(2, "big") + listed)
        return builder.add_extension(x509.UnrecognizedExtension(_SCT_LIST, content), critical=False).sign(
            self.fulcio.key, hashes.SHA256()
        )

    def _stamp(self, precertificate: x509.Certificate) -> bytes:
        """An SCT, as a certificate's list of them has it (RFC 6962, section 3.3)."""
        answer = add_pre_chain(
            [precertificate.public_bytes(Encoding.DER)], issuer=self.fulcio.certificates[0], key=self.ct
        )
        stamp = b"".join(
            [
                b"\x00",
                base64.b64decode(str(answer["id"])),
                int(str(answer["timestamp"])).to_bytes(8, "big"),
                b"\x00\x00",
                base64.b64decode(str(answer["signature"])),
            ]
        )
        return len(stamp).to_bytes(2, "big") + stamp


@dataclass(frozen=True, slots=True)
class SignedFiles:
    """A folder, and the instance that signs what is put there."""

    instance: Instance
    folder: Path

    @property
    def basis(self) -> Basis:
        return Basis(policy=SIGNED, trusted_root=json.dumps(self.instance.trusted_root()).encode())

    def bundle(self, content: bytes, *, name: str = "web.tgz") -> bytes:
        """A bundle about `content`, as the file `name`."""
        subject = Subject(name, Digest.of(content))
        statement = Statement.build(predicate_type=COSIGN_SIGN_V1, subjects=[subject], predicate={})
        return json.dumps(self.instance.sign(statement.payload)).encode()

    def add(self, name: str, content: bytes | None = None, *, bundle: str | None = None, about: bytes = b"") -> Path:
        """Write a file, and its bundle beside it under the name `bundle` (empty for none), which may be about other
        bytes than the file's."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = name.encode() if content is None else content
        path.write_bytes(content)
        where = f"{name}.sigstore.json" if bundle is None else bundle
        if where:
            (self.folder / where).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / where).write_bytes(self.bundle(about or content, name=path.name))
        return path


@pytest.fixture(scope="session")
def instance() -> Instance:
    return Instance()


@pytest.fixture(scope="session")
def stranger() -> Instance:
    """Another instance, with authorities of its own."""
    return Instance()


@pytest.fixture(scope="session")
def make_leaf() -> type[Leaf]:
    """The certificates' shape, for tests that change it."""
    return Leaf


@pytest.fixture
def signed_files(instance: Instance, tmp_path: Path) -> SignedFiles:
    """An empty folder for files that are signed."""
    folder = tmp_path / "files"
    folder.mkdir()
    return SignedFiles(instance, folder)
