"""Forged signatures in cosign's older format: a layer at the tag `sha256-<hex>.sig`, with its material as annotations.

Source: cosign 2.6, specs/SIGNATURE_SPEC.md; Rekor's type hashedrekord 0.0.1.
"""

from __future__ import annotations

import base64
import json

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from dhallmark import strictjson
from dhallmark.controls.forging.authorities import Forgers, Json, Of
from dhallmark.controls.forging.bundle import ISSUED_BEFORE
from dhallmark.controls.forging.certificate import Leaf, issue
from dhallmark.controls.forging.log import Entry, b64, make_entry
from dhallmark.digest import Digest
from dhallmark.identity import Identity
from dhallmark.lab import pki
from dhallmark.oci.descriptor import Descriptor, Manifest, build_manifest, fallback_tag

_LAYER = "application/vnd.dev.cosign.simplesigning.v1+json"
_CONFIG = b"{}"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"


def legacy_tag(digest: Digest) -> str:
    """Where cosign looks for signatures on `digest`."""
    return f"{fallback_tag(digest)}.sig"


def legacy_signature(
    forgers: Forgers, identity: Identity, *, repository: str, digest: Digest
) -> tuple[Manifest, tuple[bytes, ...]]:
    """The manifest of a signature on `digest` by `identity`, with nothing wrong, and its blobs."""
    own = forgers.instances[Of.OWN]
    key = pki.signing_key()
    document = strictjson.dump_compact(
        {
            "critical": {
                "identity": {"docker-reference": repository},
                "image": {"docker-manifest-digest": str(digest)},
                "type": "cosign container image signature",
            },
            "optional": None,
        }
    )
    signature = key.sign(document, ec.ECDSA(hashes.SHA256()))
    start = forgers.now - ISSUED_BEFORE
    certificate = issue(Leaf(), identity, key.public_key(), ca=own.ca, ct=[own.ct], start=start)
    pem = certificate.public_bytes(Encoding.PEM)
    entry = make_entry(Entry(v1=True), _body(document, signature, pem), log=own, signed_by=own, at=forgers.now)
    layer = Descriptor(
        media_type=_LAYER,
        digest=Digest.of(document),
        size=len(document),
        annotations={
            "dev.cosignproject.cosign/signature": b64(signature),
            "dev.sigstore.cosign/certificate": pem.decode(),
            "dev.sigstore.cosign/chain": own.ca.pem.decode(),
            "dev.sigstore.cosign/bundle": json.dumps(_promise(entry)),
        },
    )
    manifest = build_manifest(config=Descriptor.of(_CONFIG, _CONFIG_TYPE), layers=[layer])
    return manifest, (_CONFIG, document)


def _body(document: bytes, signature: bytes, pem: bytes) -> Json:
    return {
        "apiVersion": "0.0.1",
        "kind": "hashedrekord",
        "spec": {
            "data": {"hash": {"algorithm": "sha256", "value": Digest.of(document).hex}},
            "signature": {"content": b64(signature), "publicKey": {"content": b64(pem)}},
        },
    }


def _promise(entry: Json) -> Json:
    return {
        "SignedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"],
        "Payload": {
            "body": entry["canonicalizedBody"],
            "integratedTime": int(entry["integratedTime"]),
            "logIndex": int(entry["logIndex"]),
            "logID": base64.b64decode(entry["logId"]["keyId"]).hex(),
        },
    }
