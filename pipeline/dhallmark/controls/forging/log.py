"""Forged transparency log entries, with a proof and a checkpoint of a tree of two, or with a promise.

Source: Rekor v1's types dsse 0.0.1 and v2's hashedrekord 0.0.2; RFC 6962, section 2.1; C2SP tlog-checkpoint.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dhallmark import strictjson
from dhallmark.controls.forging.authorities import Authorities, Json
from dhallmark.lab import pki, trust

_TREE = 7
"""Number of the tree, which the origin of a Rekor v1 log ends with."""
_INDEX_V1 = 1000
"""Index of the entry over all shards of a Rekor v1 log."""


def _nothing(_: Json) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What the log entry of a bundle is like. As a log makes it, where nothing is said."""

    v1: bool = False
    """True for an entry of a Rekor v1 log, with an integrated time and its promise."""
    body: Callable[[Json], None] = field(default=_nothing)
    """Changes the entry before the log takes it: what the log then vouches for is about something else."""
    origin: str = ""
    """Another first line of the checkpoint."""
    size: int = 2
    """Of the tree, as the checkpoint says."""
    root: bytes = b""
    """Another root hash in the checkpoint."""
    index: int = 0
    """Of the entry in its tree, as the proof says."""


def make_entry(entry: Entry, body: Json, *, log: Authorities, signed_by: Authorities, at: datetime) -> Json:
    """An entry of the log of `log`, as a bundle has it. The checkpoint and the promise are signed by `signed_by`'s."""
    kind = {"kind": body["kind"], "version": body["apiVersion"]}
    entry.body(body)
    content = strictjson.dump_compact(body)
    key = log.rekor_v1 if entry.v1 else log.rekor
    log_id = trust.log_id(pki.public_der(key))
    signing_key = signed_by.rekor_v1 if entry.v1 else signed_by.rekor
    sibling = hashlib.sha256(b"\x00another entry").digest()
    root = hashlib.sha256(b"\x01" + hashlib.sha256(b"\x00" + content).digest() + sibling).digest()
    made: Json = {
        "logIndex": str(_INDEX_V1 if entry.v1 else entry.index),
        "logId": {"keyId": b64(log_id)},
        "kindVersion": kind,
        "inclusionProof": {
            "logIndex": str(entry.index),
            "rootHash": b64(root),
            "treeSize": str(entry.size),
            "hashes": [b64(sibling)],
            "checkpoint": {"envelope": _checkpoint(entry, root, host=log.host, log_id=log_id, key=signing_key)},
        },
        "canonicalizedBody": b64(content),
    }
    if entry.v1:
        seconds = int(at.timestamp())
        promised = {"body": b64(content), "integratedTime": seconds, "logID": log_id.hex(), "logIndex": _INDEX_V1}
        canonical = json.dumps(promised, sort_keys=True, separators=(",", ":")).encode()
        made["integratedTime"] = str(seconds)
        made["inclusionPromise"] = {"signedEntryTimestamp": b64(signing_key.sign(canonical, ec.ECDSA(hashes.SHA256())))}
    return made


def _checkpoint(entry: Entry, root: bytes, *, host: str, log_id: bytes, key: ec.EllipticCurvePrivateKey) -> str:
    name = f"v1.{host}" if entry.v1 else host
    origin = entry.origin or (f"{name} - {_TREE}" if entry.v1 else name)
    note = f"{origin}\n{entry.size}\n{b64(entry.root or root)}\n"
    signature = key.sign(note.encode(), ec.ECDSA(hashes.SHA256()))
    return f"{note}\n\u2014 {name} {b64(log_id[:4] + signature)}\n"


def body_v2(pae: bytes, signature: bytes, signer: x509.Certificate | ec.EllipticCurvePublicKey) -> Json:
    """What Rekor v2 logs of a DSSE envelope."""
    if isinstance(signer, x509.Certificate):
        verifier: Json = {"x509Certificate": {"rawBytes": b64(signer.public_bytes(Encoding.DER))}}
    else:
        verifier = {"publicKey": {"rawBytes": b64(_spki(signer))}}
    return {
        "apiVersion": "0.0.2",
        "kind": "hashedrekord",
        "spec": {
            "hashedRekordV002": {
                "data": {"algorithm": "SHA2_256", "digest": b64(hashlib.sha256(pae).digest())},
                "signature": {
                    "content": b64(signature),
                    "verifier": {"keyDetails": "PKIX_ECDSA_P256_SHA_256", **verifier},
                },
            }
        },
    }


def body_v1(envelope: Json, payload: bytes, signer: x509.Certificate | ec.EllipticCurvePublicKey) -> Json:
    """What Rekor v1 logs of a DSSE envelope."""
    pem = (
        signer.public_bytes(Encoding.PEM)
        if isinstance(signer, x509.Certificate)
        else signer.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return {
        "apiVersion": "0.0.1",
        "kind": "dsse",
        "spec": {
            "envelopeHash": {
                "algorithm": "sha256",
                "value": hashlib.sha256(strictjson.dump_compact(envelope)).hexdigest(),
            },
            "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()},
            "signatures": [{"signature": envelope["signatures"][0]["sig"], "verifier": b64(pem)}],
        },
    }


def _spki(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()
