"""cosign's older format: signatures as layers of a manifest at the tag `sha256-<hex>.sig`, attestations at `.att`.

A layer with its annotations holds what a bundle holds, so it becomes the parts of one, and goes through the same steps.
What differs from a bundle is told here:

- A `.sig` layer is a JSON document that names the artifact ("simple signing"); beside it is a signature over its bytes.
  It says what a statement of type https://sigstore.dev/cosign/sign/v1 says, no more and no less: somebody signed this
  digest. It is judged as that statement, whose subject is the artifact that the document names.
- Nothing names a key. Each that is trusted is tried.
- The log's word is its signed promise, without a proof of inclusion, as in a bundle v0.1.
- A timestamp is over the signature for a `.sig` layer, and over the whole envelope for an `.att` layer.

The chain of certificates in an annotation is a stranger's and counts for nothing (C4): the trust root has the chain.
Source: cosign 2.6, specs/SIGNATURE_SPEC.md, pkg/oci/static and pkg/cosign/verify.go; containers-signature(5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate, load_pem_x509_certificate

from dhallmark import strictjson
from dhallmark.digest import Digest
from dhallmark.errors import FormatError
from dhallmark.oci.descriptor import Descriptor, Manifest
from dhallmark.reasons import Reason
from dhallmark.statement import COSIGN_SIGN_V1, Statement, Subject
from dhallmark.verdict import Check, Outcome, Verdict
from dhallmark.verify.bundle import BundleResult, verify_parts
from dhallmark.verify.demands import SignatureKind
from dhallmark.verify.parse import MAX_BUNDLE_BYTES, Envelope, LogEntry, MessageSignature, ParsedBundle, parse_envelope
from dhallmark.verify.pausing import alone
from dhallmark.verify.protojson import decode_base64
from dhallmark.verify.refusal import Refusal, border
from dhallmark.verify.terms import Terms

SIMPLE_SIGNING: Final = "application/vnd.dev.cosign.simplesigning.v1+json"
DSSE_ENVELOPE: Final = "application/vnd.dsse.envelope.v1+json"
MAX_LAYERS: Final = 256
"""Most signatures and attestations in the older format on one artifact; cosign adds a layer each time."""
_CRITICAL_TYPE: Final = "cosign container image signature"
_SIGNATURE: Final = "dev.cosignproject.cosign/signature"
_CERTIFICATE: Final = "dev.sigstore.cosign/certificate"
_BUNDLE: Final = "dev.sigstore.cosign/bundle"
_PREDICATE_TYPE: Final = "predicateType"
_TIMESTAMP: Final = "dev.sigstore.cosign/rfc3161timestamp"
_MAX_INTEGER: Final = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacySignature:
    """A layer in the older format, with its bytes. Nothing in it is verified yet."""

    media_type: str
    annotations: Mapping[str, str]
    content: bytes


def legacy_layers(manifests: Sequence[Manifest]) -> tuple[Descriptor, ...]:
    """The layers of legacy manifests that are signatures or attestations; others are something else's.

    Raises FormatError for a manifest without layers, for a layer that is larger than any signature, for too many.
    """
    found: dict[tuple[Digest, tuple[tuple[str, str], ...]], Descriptor] = {}
    for manifest in manifests:
        for layer in manifest.blobs()[1:]:
            if layer.media_type in {SIMPLE_SIGNING, DSSE_ENVELOPE}:
                found[layer.digest, tuple(sorted(layer.annotations.items()))] = layer
    if len(found) > MAX_LAYERS:
        raise FormatError(f"{len(found)} signatures in cosign's legacy format; at most {MAX_LAYERS} are read")
    for layer in found.values():
        if layer.size > MAX_BUNDLE_BYTES:
            raise FormatError(f"a legacy signature of {layer.size} bytes; at most {MAX_BUNDLE_BYTES} are read")
    return tuple(found.values())


def verify_legacy(legacy: LegacySignature, terms: Terms, *, name: str) -> BundleResult:
    """Verify a signature in the older format. Any content gives a result; nothing is raised.

    As `verify_bundle`; the kinds of the demands do not count, since a signature of either kind is a statement here.
    That it is about the artifact whose tag it was found under is for the policy to see: `statement` names what it is
    about.
    """
    is_message = legacy.media_type == SIMPLE_SIGNING
    kind = SignatureKind.MESSAGE if is_message else SignatureKind.DSSE
    wanted = replace(terms, demands=replace(terms.demands, kinds=frozenset({kind})))
    # A certificate is never verified by a key.
    candidates = [] if legacy.annotations.get(_CERTIFICATE) else [[key] for key in terms.keys]
    message = legacy.content if is_message else None
    results = [
        alone(verify_parts(lambda: _read(legacy), replace(wanted, keys=chosen), name=name, message=message))
        for chosen in candidates or [[]]
    ]
    result = max(results, key=_progress)
    return _with_statement(result, legacy) if is_message else result


def claimed_legacy_type(legacy: LegacySignature) -> str | None:
    """The predicate type that a layer claims to hold, for explaining; never for deciding. None where there is none."""
    if legacy.media_type == SIMPLE_SIGNING:
        return COSIGN_SIGN_V1
    return legacy.annotations.get(_PREDICATE_TYPE)


def _progress(result: BundleResult) -> tuple[bool, bool]:
    """How near a key came: what is wrong with a signature that fits it says more than that it does not fit another."""
    verdict = result.verdict
    return verdict.outcome is Outcome.ACCEPTED, Reason.SIGNATURE_INVALID not in verdict.reasons


def _read(legacy: LegacySignature) -> ParsedBundle:
    """The parts of a bundle. Raises Refusal, and nothing else."""
    with border(Reason.BUNDLE_MALFORMED, "legacy signature"):
        content: Envelope | MessageSignature
        if legacy.media_type == SIMPLE_SIGNING:
            signature = decode_base64(legacy.annotations.get(_SIGNATURE, ""))
            if not signature:
                raise Refusal(Reason.BUNDLE_MALFORMED, "the layer has no signature beside it", field=_SIGNATURE)
            content = MessageSignature(signature=signature, algorithm=None, digest=b"")
        else:
            content = parse_envelope(strictjson.parse(legacy.content, what="envelope", max_bytes=MAX_BUNDLE_BYTES))
        certificate = _certificate(legacy)
        return ParsedBundle(
            content=content,
            certificate=certificate,
            certificate_der=b"" if certificate is None else certificate.public_bytes(Encoding.DER),
            key_hint=None if certificate is not None else "",
            timestamps=_timestamps(legacy),
            entries=_entries(legacy),
            stamped=legacy.content if isinstance(content, Envelope) else None,
        )


def _certificate(legacy: LegacySignature) -> Certificate | None:
    pem = legacy.annotations.get(_CERTIFICATE)
    return load_pem_x509_certificate(pem.encode()) if pem else None


def _timestamps(legacy: LegacySignature) -> tuple[bytes, ...]:
    text = legacy.annotations.get(_TIMESTAMP)
    if not text:
        return ()
    body = _object(strictjson.parse(text.encode(), what="timestamp"), _TIMESTAMP)
    stamp = body.get("SignedRFC3161Timestamp")
    return () if stamp is None else (decode_base64(_text(body, "SignedRFC3161Timestamp", _TIMESTAMP)),)


def _entries(legacy: LegacySignature) -> tuple[LogEntry, ...]:
    text = legacy.annotations.get(_BUNDLE)
    if not text:
        return ()
    bundle = _object(strictjson.parse(text.encode(), what="log entry"), _BUNDLE)
    payload = _object(bundle.get("Payload"), f"{_BUNDLE}: Payload")
    body = decode_base64(_text(payload, "body", _BUNDLE))
    entry = _object(strictjson.parse(body, what="log entry"), f"{_BUNDLE}: body")
    return (
        LogEntry(
            log_id=bytes.fromhex(_text(payload, "logID", _BUNDLE)),
            log_index=_integer(payload, "logIndex"),
            kind=_text(entry, "kind", _BUNDLE),
            version=_text(entry, "apiVersion", _BUNDLE),
            integrated_time=_integer(payload, "integratedTime"),
            promise=decode_base64(_text(bundle, "SignedEntryTimestamp", _BUNDLE)),
            proof=None,
            body=body,
        ),
    )


def _with_statement(result: BundleResult, legacy: LegacySignature) -> BundleResult:
    """The result with the statement that a verified "simple signing" document stands for."""
    if result.verdict.outcome is not Outcome.ACCEPTED:
        return result
    try:
        with border(Reason.STATEMENT_MALFORMED, "signed document"):
            statement = _statement(legacy.content)
    except Refusal as refusal:
        checks = [*result.verdict.checks, refusal.check("statement")]
        verdict = Verdict.of(result.verdict.subject, checks=checks)
        return BundleResult(verdict=verdict, statement=None, identity=None, times=())
    checks = [*result.verdict.checks, Check(name="statement", evidence={"format": SIMPLE_SIGNING})]
    verdict = Verdict.of(result.verdict.subject, checks=checks)
    return result._replace(verdict=verdict, statement=statement, message=None)


def _statement(content: bytes) -> Statement:
    critical = _object(_object(strictjson.parse(content), "document").get("critical"), "critical")
    if critical.get("type") != _CRITICAL_TYPE:
        raise Refusal(
            Reason.STATEMENT_MALFORMED,
            "the signed document is no signature of an artifact",
            expected=_CRITICAL_TYPE,
            found=str(critical.get("type"))[:100],
        )
    identity = _object(critical.get("identity"), "critical.identity")
    image = _object(critical.get("image"), "critical.image")
    name = _repository(_text(identity, "docker-reference", "critical.identity"))
    subject = Subject(name, Digest(_text(image, "docker-manifest-digest", "critical.image")))
    return Statement(payload=content, predicate_type=COSIGN_SIGN_V1, subjects=(subject,), predicate={})


def _repository(reference: str) -> str:
    """A reference without tag and digest: what statements call an artifact."""
    head, slash, last = reference.partition("@")[0].rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"


def _object(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise FormatError(f"{what} is not an object")
    return value


def _text(holder: Mapping[str, Any], key: str, what: str) -> str:
    value = holder.get(key)
    if not isinstance(value, str):
        raise FormatError(f"{what}: {key} is no text")
    return value


def _integer(holder: Mapping[str, Any], key: str) -> int:
    value = holder.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MAX_INTEGER:
        raise FormatError(f"{_BUNDLE}: {key} is no number")
    return value
