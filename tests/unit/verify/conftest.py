"""A Sigstore instance in memory: real keys, certificates, SCTs, log entries and checkpoints, made in milliseconds.

It logs as Rekor v1 does (type dsse 0.0.1, with an integrated time and its promise), since a signed timestamp needs
a timestamp authority. Bundles of Rekor v2 with timestamps are tested with the conformance cases and the real servers.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from dhallmark.identity import EXTENSION_OIDS
from dhallmark.lab import pki, trust
from dhallmark.lab.ctlog import add_pre_chain
from dhallmark.statement import PAYLOAD_TYPE
from dhallmark.verify.trust import TrustRoot

HOST = "rekor.unit.test"
ISSUER = "https://token.actions.githubusercontent.com"
SUBJECT = "https://github.com/acme/platform/.github/workflows/release.yml@refs/heads/main"
_SCT_LIST = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
Json = dict[str, Any]


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def der_text(text: str) -> bytes:
    """A DER UTF8String."""
    return b"\x0c" + _der_length(text.encode()) + text.encode()


def der_octets(content: bytes) -> bytes:
    """A DER OCTET STRING."""
    return b"\x04" + _der_length(content) + content


def _der_length(content: bytes) -> bytes:
    size = len(content)
    return bytes([size]) if size < 128 else b"\x82" + size.to_bytes(2, "big")


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
    key: ec.EllipticCurvePrivateKey = field(default_factory=pki.signing_key)
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

    def sign(
        self,
        payload: bytes,
        *,
        payload_type: str = PAYLOAD_TYPE,
        leaf: Leaf | None = None,
        integrated: datetime | None = None,
        origin: str = f"{HOST} - 7",
        signer: str = HOST,
        body: Callable[[Json], object] = lambda _: None,
    ) -> Json:
        """A bundle as JSON. What a test can change is signed as changed; the log then vouches for it."""
        signer_leaf = leaf or Leaf()
        key, certificate = signer_leaf.key, self._certificate(signer_leaf)
        pae = b"DSSEv1 %d %b %d %b" % (len(payload_type), payload_type.encode(), len(payload), payload)
        signature = key.sign(pae, ec.ECDSA(hashes.SHA256()))
        entry_body: Json = {
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "envelopeHash": {"algorithm": "sha256", "value": "00" * 32},
                "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()},
                "signatures": [{"signature": b64(signature), "verifier": b64(certificate.public_bytes(Encoding.PEM))}],
            },
        }
        body(entry_body)
        return {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": b64(certificate.public_bytes(Encoding.DER))},
                "tlogEntries": [
                    self._entry(entry_body, integrated=integrated or datetime.now(UTC), origin=origin, signer=signer)
                ],
            },
            "dsseEnvelope": {
                "payload": b64(payload),
                "payloadType": payload_type,
                "signatures": [{"sig": b64(signature)}],
            },
        }

    def _entry(self, body: Json, *, integrated: datetime, origin: str, signer: str) -> Json:
        content = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
        sibling = hashlib.sha256(b"\x00another entry").digest()
        root = hashlib.sha256(b"\x01" + hashlib.sha256(b"\x00" + content).digest() + sibling).digest()
        log_id = trust.log_id(pki.public_der(self.rekor))
        seconds = int(integrated.timestamp())
        promised = {"body": b64(content), "integratedTime": seconds, "logID": log_id.hex(), "logIndex": 1000}
        note = f"{origin}\n2\n{b64(root)}\n"
        line = f"\u2014 {signer} {b64(log_id[:4] + self._log_sign(note.encode()))}\n"
        return {
            "logIndex": "1000",
            "logId": {"keyId": b64(log_id)},
            "kindVersion": {"kind": body["kind"], "version": body["apiVersion"]},
            "integratedTime": str(seconds),
            "inclusionPromise": {
                "signedEntryTimestamp": b64(
                    self._log_sign(json.dumps(promised, sort_keys=True, separators=(",", ":")).encode())
                )
            },
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": b64(root),
                "treeSize": "2",
                "hashes": [b64(sibling)],
                "checkpoint": {"envelope": f"{note}\n{line}"},
            },
            "canonicalizedBody": b64(content),
        }

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
