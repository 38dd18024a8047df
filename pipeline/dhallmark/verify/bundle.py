"""Verification of one Sigstore bundle v0.3 that holds a DSSE envelope, against a trust root and nothing else.

The order is that of causes: a changed payload breaks the signature, and with it the log entry; the first finding is the
one that names what was changed. Steps that do not depend on a failed one run all the same, so that a report has all.

1. The format: a bundle v0.3 with one DSSE envelope, one signature and one log entry (S5, S7, S13, S14).
2. The signature over the envelope's pre-authentication encoding, by the certificate's key (S3, S4). `keyid` is ignored.
3. The payload type (S8), then the statement, read from the bytes whose signature was verified (S10).
4. The time of signing: signed timestamps over this signature, and a Rekor v1 log's promise (T5, T6, T7).
5. The certificate: valid at each time, below an authority of the trust root that was valid then (C3 to C7), logged for
   certificate transparency (C17), for code signing, with one identity.
6. The log entry: of a trusted log whose key was valid (T8), checkpoint signed by it (T3) with its origin, inclusion
   proven (T2), about this envelope, signature and certificate (T1).

Who may sign what is not decided here: see `dhallmark.verify.policy`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from dhallmark.identity import Identity
from dhallmark.reasons import Reason
from dhallmark.statement import PAYLOAD_TYPE, Statement
from dhallmark.verdict import Outcome, Verdict
from dhallmark.verify import certificate, log, timestamps
from dhallmark.verify.parse import Envelope, ParsedBundle, parse_bundle
from dhallmark.verify.refusal import Refusal, border
from dhallmark.verify.run import Run
from dhallmark.verify.trust import TrustRoot


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleResult:
    """What became of a bundle."""

    verdict: Verdict
    statement: Statement | None
    """The signed statement: there only where the verdict is accepted."""
    identity: Identity | None
    """Who signed it: there only where the verdict is accepted."""
    times: tuple[datetime, ...]
    """When it was signed: there only where the verdict is accepted."""


def verify_bundle(content: bytes, trust: TrustRoot, *, name: str = "bundle") -> BundleResult:
    """Verify a bundle. Any bytes give a result; nothing is raised.

    `name` is what the verdict calls the bundle, such as its digest or file.
    """
    run = Run()
    bundle = run.step("bundle.format", lambda: parse_bundle(content))
    statement = identity = None
    times: tuple[datetime, ...] = ()
    if bundle is not None:
        statement = _verify_envelope(run, bundle)
        identity, times = _verify_material(run, bundle, trust)
    verdict = Verdict.of(name, checks=run.checks)
    if verdict.outcome is not Outcome.ACCEPTED:
        return BundleResult(verdict=verdict, statement=None, identity=None, times=())
    return BundleResult(verdict=verdict, statement=statement, identity=identity, times=times)


def _verify_envelope(run: Run, bundle: ParsedBundle) -> Statement | None:
    run.step("signature.kind", lambda: _require_envelope(bundle))
    envelope = bundle.envelope
    if envelope is None:
        return None
    payload = run.step("signature", lambda: _verify_signature(bundle, envelope))
    if payload is None:
        return None  # bytes that nobody signed are not parsed
    run.step("envelope.payload-type", lambda: _require_payload_type(envelope.payload_type))
    return run.step("statement", lambda: _read_statement(payload))


def _verify_material(run: Run, bundle: ParsedBundle, trust: TrustRoot) -> tuple[Identity | None, tuple[datetime, ...]]:
    leaf, entry = bundle.certificate, bundle.entry
    signed = run.step("timestamps", lambda: timestamps.verify_timestamps(bundle.timestamps, bundle.signature, trust))
    known = run.step("log.entry", lambda: log.find_log(entry, trust))
    integrated = run.step("log.promise", lambda: log.read_integrated_time(entry, known)) if known else None
    times = tuple(signed or ()) + ((integrated,) if integrated else ())
    if signed is not None and run.step("time", lambda: _require_time(times), seen=_show_times) is not None:
        run.step("certificate.validity", lambda: certificate.verify_validity(leaf, times))
        chain = run.step("certificate.chain", lambda: certificate.verify_chain(leaf, times, trust))
        if chain is not None:
            run.step("certificate.sct", lambda: certificate.verify_embedded_sct(leaf, chain, trust))
    run.step("certificate.profile", lambda: certificate.verify_profile(leaf))
    identity = run.step(
        "certificate.identity",
        lambda: certificate.read_identity(leaf),
        seen=lambda found: {"issuer": found.issuer, "subject": found.subject},
    )
    if known:
        run.step("log.key", lambda: log.verify_key_period(known, times))
        checkpoint = run.step("log.checkpoint", lambda: log.verify_checkpoint(entry, known))
        if checkpoint is not None:
            run.step("log.origin", lambda: log.verify_origin(entry, known, checkpoint))
            run.step("log.inclusion", lambda: log.verify_inclusion(entry, checkpoint))
        if bundle.envelope is not None:
            run.step("log.body", lambda: log.verify_body(bundle))
    return identity, times


def _require_envelope(bundle: ParsedBundle) -> None:
    if bundle.envelope is None:
        raise Refusal(Reason.SIGNATURE_KIND, "the bundle signs bare bytes, not a statement")


def _verify_signature(bundle: ParsedBundle, envelope: Envelope) -> bytes:
    """The payload, if the certificate's key signed it."""
    with border(Reason.SIGNATURE_INVALID, "signature"):
        key = bundle.certificate.public_key()
        # The only kind of key that sigstore's clients make for a keyless signature.
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise Refusal(
                Reason.FORMAT_UNSUPPORTED, "the certificate's key is not ECDSA P-256", found=type(key).__name__
            )
        try:
            key.verify(envelope.signature, envelope.pae, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature as error:
            raise Refusal(
                Reason.SIGNATURE_INVALID, "the signature does not fit the payload and the certificate's key"
            ) from error
        return envelope.payload


def _require_payload_type(payload_type: str) -> None:
    if payload_type != PAYLOAD_TYPE:
        raise Refusal(
            Reason.ENVELOPE_PAYLOAD_TYPE,
            "the envelope holds no in-toto statement",
            expected=PAYLOAD_TYPE,
            found=payload_type[:100],
        )


def _read_statement(payload: bytes) -> Statement:
    with border(Reason.STATEMENT_MALFORMED, "statement"):
        return Statement.parse(payload)


def _require_time(times: tuple[datetime, ...]) -> tuple[datetime, ...]:
    if not times:
        raise Refusal(Reason.TIMESTAMP_MISSING, "no signed timestamp, and no integrated time that the log promised")
    return times


def _show_times(times: tuple[datetime, ...]) -> Mapping[str, str]:
    return {"signed": ", ".join(moment.isoformat() for moment in times)}
