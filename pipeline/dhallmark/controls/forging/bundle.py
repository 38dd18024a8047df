"""Forged bundles: what a recipe says is wrong with them, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from dhallmark import strictjson
from dhallmark.controls.forging.authorities import Forgers, Json, Of
from dhallmark.controls.forging.certificate import Leaf, issue
from dhallmark.controls.forging.log import Entry, b64, body_v1, body_v2, make_entry
from dhallmark.controls.forging.timestamp import stamp
from dhallmark.digest import Digest
from dhallmark.identity import Identity
from dhallmark.lab import pki
from dhallmark.statement import PAYLOAD_TYPE
from dhallmark.verify.parse import Envelope

NOW = timedelta()
ISSUED_BEFORE = timedelta(seconds=5)
"""How long before the signature the certificate was issued."""
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"


def _same(identity: Identity) -> Identity:
    return identity


def _as_it_is(content: bytes) -> bytes:
    return content


def _nothing(_: Json) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """One signed timestamp of a bundle."""

    of: Of = Of.OWN
    other_bytes: bool = False
    """True where it is of another signature."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a bundle is made. What is not said is as a real client, Fulcio, Rekor and timestamp authority make it."""

    payload_type: str = PAYLOAD_TYPE
    signs: Callable[[bytes], bytes] = field(default=_as_it_is)
    """What is signed instead of the payload; log and timestamp vouch for the payload that the bundle carries."""
    signature: Callable[[bytes], bytes] = field(default=_as_it_is)
    """What becomes of the signature before log and timestamp see it."""
    message: bool = False
    """True for a bare signature over the payload, without an envelope."""
    identity: Callable[[Identity], Identity] = field(default=_same)
    """Who signs, by who is meant to."""
    keyed: bool = False
    """True for a signature with the forger's managed key, without a certificate."""
    other_key: bool = False
    """True for one with another key, which the bundle calls by the managed key's name."""
    leaf: Leaf = field(default_factory=Leaf)
    ca: Of = Of.OWN
    at: timedelta = NOW
    """When it is signed, from now."""
    issued: timedelta = NOW
    """When its certificate is issued, apart from the usual time before signing."""
    log: Of = Of.OWN
    log_signer: Of = Of.OWN
    """Whose key signs the checkpoint and the promise; the log's own where it is OWN."""
    entry: Entry = field(default_factory=Entry)
    stamps: tuple[Stamp, ...] = (Stamp(),)
    change: Callable[[Json], None] = field(default=_nothing)
    """Changes the bundle when it is made."""


GENUINE = Recipe()
"""Nothing wrong with it: an entry of a Rekor v2 log, and a timestamp."""
GENUINE_V1 = Recipe(entry=Entry(v1=True), stamps=())
"""Nothing wrong with it: an entry of a Rekor v1 log, whose promise gives the time."""


@dataclass(frozen=True, slots=True)
class Forger:
    """Makes bundles."""

    forgers: Forgers

    def bundle(self, payload: bytes, identity: Identity, recipe: Recipe = GENUINE) -> bytes:
        """A bundle over `payload`, as JSON, by whom `recipe` makes of `identity`."""
        body = self.make(payload, identity, recipe)
        return strictjson.dump_compact(body)

    def make(self, payload: bytes, identity: Identity, recipe: Recipe) -> Json:
        """As `bundle`, before it becomes text."""
        instances, when = self.forgers.instances, self.forgers.now + recipe.at
        managed = self.forgers.managed
        key = managed if recipe.keyed and not recipe.other_key else pki.signing_key()
        signer: x509.Certificate | ec.EllipticCurvePublicKey = key.public_key()
        material: Json = {"publicKey": {"hint": Digest.of(pki.public_der(managed)).hex}}
        if not recipe.keyed:
            signer = issue(
                recipe.leaf,
                recipe.identity(identity),
                key.public_key(),
                ca=instances[recipe.ca].ca,
                ct=[instances[of].ct for of in recipe.leaf.scts],
                start=when + recipe.issued - ISSUED_BEFORE,
            )
            material = {"certificate": {"rawBytes": b64(signer.public_bytes(Encoding.DER))}}
        carried = _pae(recipe, payload)
        signature = recipe.signature(key.sign(_pae(recipe, recipe.signs(payload)), ec.ECDSA(hashes.SHA256())))
        content = _content(recipe, payload, signature)
        entry = make_entry(
            recipe.entry,
            body_v1(content["dsseEnvelope"], payload, signer)
            if recipe.entry.v1
            else body_v2(carried, signature, signer),
            log=instances[recipe.log],
            signed_by=instances[recipe.log_signer if recipe.log_signer is not Of.OWN else recipe.log],
            at=when,
        )
        stamps = [self._stamp(one, signature, recipe) for one in recipe.stamps]
        material["tlogEntries"] = [entry]
        if stamps:
            material["timestampVerificationData"] = {
                "rfc3161Timestamps": [{"signedTimestamp": b64(response)} for response in stamps]
            }
        bundle: Json = {"mediaType": BUNDLE, "verificationMaterial": material, **content}
        recipe.change(bundle)
        return bundle

    def _stamp(self, one: Stamp, signature: bytes, recipe: Recipe) -> bytes:
        message = signature[::-1] if one.other_bytes else signature
        return stamp(message, tsa=self.forgers.instances[one.of].tsa, at=self.forgers.now + recipe.at)


def _pae(recipe: Recipe, payload: bytes) -> bytes:
    """The bytes that a signature is over."""
    if recipe.message:
        return payload
    return Envelope(payload_type=recipe.payload_type, payload=payload, signature=b"").pae


def _content(recipe: Recipe, payload: bytes, signature: bytes) -> Json:
    if recipe.message:
        digest = {"algorithm": "SHA2_256", "digest": b64(bytes.fromhex(Digest.of(payload).hex))}
        return {"messageSignature": {"messageDigest": digest, "signature": b64(signature)}}
    return {
        "dsseEnvelope": {
            "payload": b64(payload),
            "payloadType": recipe.payload_type,
            "signatures": [{"sig": b64(signature)}],
        }
    }
