"""Verification of one Sigstore bundle, against a trust root or managed keys and nothing else.

The order is that of causes: a changed payload breaks the signature, and with it the log entry; the first finding is the
one that names what was changed. Steps that do not depend on a failed one run all the same, so that a report has all.

1. The format: a bundle v0.1 to v0.3 with one signature, over a DSSE envelope or over a file's bytes, of the kind that
   is demanded (S5, S7, S13, S14).
2. The key: the certificate's, or the managed key that the bundle names; a hint chooses and proves nothing (S11).
3. The signature, over the envelope's pre-authentication encoding (S3, S4) or the file (S2, S6). `keyid` is ignored.
4. For an envelope the payload type (S8), then the statement, read from the bytes whose signature was verified (S10).
5. The time of signing: signed timestamps over this signature, and a Rekor v1 log's promise (T5, T6, T7).
6. The certificate: valid at each time, issued by an authority of the trust root that was valid then (C3 to C7), logged
   for certificate transparency (C17), for code signing, with one identity. Or the managed key: valid at each time (C8).
7. Each log entry: of a trusted log whose key was valid (T8), checkpoint signed by it (T3) with its origin, inclusion
   proven (T2), about this envelope or file, signature and signer (T1).

Whatever a bundle brings must verify, also where less is demanded. Who may sign what is not decided here: see
`dhallmark.verify.policy`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509 import Certificate

from dhallmark.digest import Digest
from dhallmark.errors import FormatError
from dhallmark.identity import Identity, Signatory
from dhallmark.reasons import Reason
from dhallmark.statement import MAX_SUBJECTS, PAYLOAD_TYPE, DigestAlgorithmError, Statement
from dhallmark.verdict import Verdict
from dhallmark.verify import body, certificate, keys, log, sct, timestamps
from dhallmark.verify.demands import Demands, SignatureKind
from dhallmark.verify.keys import ManagedKey
from dhallmark.verify.listed import require_count
from dhallmark.verify.parse import (
    Envelope,
    InclusionProof,
    LogEntry,
    MessageSignature,
    ParsedBundle,
    parse_bundle,
)
from dhallmark.verify.pausing import Pausing, alone
from dhallmark.verify.refusal import Refusal, border
from dhallmark.verify.run import Run
from dhallmark.verify.schemes import BytesNeededError, Content, Key
from dhallmark.verify.terms import Terms
from dhallmark.verify.trust import Log

CLOCK_SKEW = timedelta(minutes=5)
"""How far the clock of whoever vouches for a time may be ahead of this machine's."""


class BundleResult(NamedTuple):
    """What became of a bundle. All but the verdict is there only where that is accepted."""

    verdict: Verdict
    statement: Statement | None
    """The signed statement. None for a message signature, too."""
    identity: Signatory | None
    """Who signed it."""
    times: tuple[datetime, ...]
    """When it was signed, by every verified source; none where only a managed key vouches for it."""
    message: Digest | None = None
    """The file whose bytes were signed. None for a statement, too."""
    payload: bytes | None = None
    """What the envelope holds: the statement's bytes, or those of a layout. None for a message signature, too."""


class _Signer(NamedTuple):
    """Whose key the signature must be by."""

    key: Key
    logged: bytes
    """How a log names the signer: certificate or public key, as DER."""
    managed: ManagedKey | None
    """None where it is a certificate's."""


def verify_bundle(
    content: bytes, terms: Terms, *, name: str = "bundle", message: Digest | bytes | None = None
) -> BundleResult:
    """Verify a bundle. Any bytes give a result; nothing is raised.

    `name` is what the verdict calls the bundle, such as its digest or file.

    `message` is the file that a message signature must be over: its digest, or its bytes, which signatures by Ed25519
    and with other hashes than SHA-256 need. Without it the digest that the bundle names is taken, and returned.

    Where the terms want a layout, its bytes are the result's `payload`; they are not read here.
    """
    return alone(verify_parts(lambda: parse_bundle(content), terms, name=name, message=message))


def verify_parts(
    read: Callable[[], ParsedBundle], terms: Terms, *, name: str, message: Digest | bytes | None = None
) -> Pausing[BundleResult]:
    """As `verify_bundle`, with a pause between steps, and for what has a bundle's parts in whatever form.

    `read` makes them, and raises Refusal alone.
    """
    run = Run()
    bundle = run.step("bundle.format", read)
    found = _Verification(run, terms) if bundle is not None else None
    if bundle is not None and found is not None:
        yield
        yield from found.verify(bundle, message)
    verdict = Verdict.of(name, checks=run.checks)
    if found is None or not run.passed:
        return BundleResult(verdict=verdict, statement=None, identity=None, times=())
    return BundleResult(
        verdict=verdict,
        statement=found.statement,
        identity=found.identity,
        times=found.times,
        message=found.message,
        payload=found.payload,
    )


class _Verification:
    """The steps of one verification, and what they found so far."""

    def __init__(self, run: Run, terms: Terms) -> None:
        self.run = run
        self.trust = terms.trust
        self.keys = terms.keys
        self.demands = terms.demands
        self.now = terms.clock()
        self.layout = terms.layout
        self.payload: bytes | None = None
        self.statement: Statement | None = None
        self.identity: Signatory | None = None
        self.times: tuple[datetime, ...] = ()
        self.message: Digest | None = None

    def verify(self, bundle: ParsedBundle, message: Digest | bytes | None) -> Pausing[None]:
        """Run all steps but the first. It pauses before each that runs much code of its own."""
        run = self.run
        run.step("signature.kind", lambda: _require_kind(bundle, self.demands))
        signer = run.step("signature.key", lambda: _find_signer(bundle, self.keys, message))
        yield
        if isinstance(bundle.content, Envelope):
            signed: Content | None = Content.of(bundle.content.pae)
            self._verify_envelope(bundle.content, signer, signed)
        else:
            signed = self._verify_message(bundle.content, signer, message)
        yield
        known = self._verify_time(bundle, keyed=bundle.certificate is None)
        if bundle.certificate is not None:
            yield from self._verify_certificate(bundle.certificate)
        elif signer is not None and signer.managed is not None:
            self._verify_key(signer.managed)
        about = None
        if signer is not None and signed is not None:
            about = body.Signed(
                content=bundle.content,
                message=signed,
                verifier=signer.logged,
                certified=signer.managed is None,
            )
        for entry, its_log in known:
            yield from self._verify_entry(entry, its_log, about)

    def _verify_envelope(self, envelope: Envelope, signer: _Signer | None, signed: Content | None) -> None:
        run = self.run
        if signer is None or signed is None:
            return
        if run.step("signature", lambda: _verify_signature(signer.key, envelope.signature, signed)) is None:
            return  # bytes that nobody signed are not parsed
        run.step("envelope.payload-type", lambda: _require_payload_type(envelope.payload_type))
        self.payload = envelope.payload
        if self.layout:
            return
        self.statement = statement = run.step("statement", lambda: _read_statement(envelope.payload))
        # A policy may allow fewer and counts again, for a check of its own.
        if statement is not None and statement.count > MAX_SUBJECTS:
            run.step("subject.count", lambda: require_count(statement, MAX_SUBJECTS))

    def _verify_message(
        self, signature: MessageSignature, signer: _Signer | None, message: Digest | bytes | None
    ) -> Content | None:
        signed = self.run.step("message", lambda: _find_message(signature, message))
        if signed is None or signer is None:
            return signed
        if self.run.step("signature", lambda: _verify_message_signature(signer.key, signature, signed)):
            self.message = Digest.from_hex(signed.sha256.hex())
        return signed

    def _verify_time(self, bundle: ParsedBundle, *, keyed: bool) -> tuple[tuple[LogEntry, Log], ...]:
        """Find the times of signing; the bundle's entries of trusted logs."""
        run, demands = self.run, self.demands
        trust = self.trust
        if trust is None:
            run.step("trust", lambda: _require_no_trust(demands, keyed=keyed))
            return ()
        stamped = bundle.signature if bundle.stamped is None else bundle.stamped
        stamps = run.step(
            "timestamps",
            lambda: timestamps.verify_timestamps(bundle.timestamps, stamped, trust, least=demands.timestamps),
        )
        known = run.step("log.entry", lambda: log.find_logs(bundle.entries, trust, least=demands.log_entries))
        times = [stamp.time for stamp in stamps or ()]
        times += [promised for item in known or () if (promised := self._read_promise(*item)) is not None]
        if stamps is not None or times:
            # No time that was verified is left out: each of them must fit.
            checked = run.step("time", lambda: _require_time(tuple(times), keyed=keyed, now=self.now), seen=_show_times)
            self.times = checked or ()
        return known or ()

    def _verify_certificate(self, leaf: Certificate) -> Pausing[None]:
        run, times, trust = self.run, self.times, self.trust
        yield
        extensions = run.step("certificate.extensions", lambda: certificate.read_extensions(leaf))
        if trust is not None and times:
            run.step("certificate.validity", lambda: certificate.verify_validity(leaf, times))
            yield
            authority = run.step("certificate.chain", lambda: certificate.find_authority(leaf, times, trust))
            yield
            if authority is not None and extensions is not None:
                least = self.demands.scts
                run.step(
                    "certificate.sct",
                    lambda: sct.verify_embedded_scts(leaf, extensions, authority.key_hash, trust, least=least),
                )
        yield
        if extensions is not None:
            run.step("certificate.profile", lambda: certificate.verify_profile(extensions))
            self.identity = run.step(
                "certificate.identity", lambda: certificate.read_identity(leaf, extensions), seen=_show_identity
            )

    def _verify_key(self, managed: ManagedKey) -> None:
        self.run.step("key.validity", lambda: _require_valid_key(managed, self.times))
        self.identity = managed.identity

    def _read_promise(self, entry: LogEntry, its_log: Log) -> datetime | None:
        return self.run.step("log.promise", lambda: log.read_integrated_time(entry, its_log))

    def _verify_entry(self, entry: LogEntry, its_log: Log, about: body.Signed | None) -> Pausing[None]:
        yield
        # Where nothing says when it was made, it must be believable today.
        self.run.step("log.key", lambda: log.verify_key_period(its_log, self.times or (self.now,)))
        if entry.proof is not None:  # else the promise, verified above, is all that a bundle v0.1 needs
            self._verify_proof(entry, entry.proof, its_log)
        yield
        if about is not None:
            self.run.step("log.body", lambda: body.verify_body(entry, about))

    def _verify_proof(self, entry: LogEntry, proof: InclusionProof, its_log: Log) -> None:
        run = self.run
        checkpoint = None
        if proof.checkpoint is not None:
            envelope = proof.checkpoint
            checkpoint = run.step("log.checkpoint", lambda: log.verify_checkpoint(envelope, its_log))
            if checkpoint is None:
                return
            signed = checkpoint
            run.step("log.origin", lambda: log.verify_origin(entry, its_log, signed))
        run.step("log.inclusion", lambda: log.verify_inclusion(entry, proof, checkpoint))


def _require_kind(bundle: ParsedBundle, demands: Demands) -> None:
    kind = SignatureKind.DSSE if bundle.envelope is not None else SignatureKind.MESSAGE
    if kind not in demands.kinds:
        found = "the bundle signs bare bytes, not a statement"
        raise Refusal(
            Reason.SIGNATURE_KIND,
            found if kind is SignatureKind.MESSAGE else "the bundle signs a statement, not a file",
            expected=", ".join(sorted(demands.kinds)),
            found=kind.value,
        )


def _find_signer(bundle: ParsedBundle, managed_keys: Sequence[ManagedKey], message: Digest | bytes | None) -> _Signer:
    with border(Reason.FORMAT_UNSUPPORTED, "key"):
        if bundle.certificate is not None:
            return _Signer(key=Key.of(bundle.certificate.public_key()), logged=bundle.certificate_der, managed=None)
        hint = bundle.key_hint or ""
        chosen = keys.choose(managed_keys, hint) or _key_that_signed(bundle.content, managed_keys, message)
        if chosen is None:
            raise Refusal(
                Reason.KEY_UNKNOWN,
                "the bundle is signed by a managed key, and by none of those that are trusted",
                expected=", ".join(key.identity.fingerprint for key in managed_keys) or "a certificate",
                found=hint[:100] or "no name of a key",
            )
        return _Signer(key=chosen.ready, logged=chosen.der, managed=chosen)


def _key_that_signed(
    content: Envelope | MessageSignature, managed_keys: Sequence[ManagedKey], message: Digest | bytes | None
) -> ManagedKey | None:
    """The key that fits the signature, for a bundle that names none: hints are whatever a signer writes."""
    try:
        signed = Content.of(content.pae) if isinstance(content, Envelope) else _find_message(content, message)
    except Refusal:  # its own check says so
        return None
    for managed in managed_keys:
        try:
            managed.ready.verify(content.signature, signed)
        except (InvalidSignature, BytesNeededError, FormatError, ValueError):
            continue
        return managed
    return None


def _verify_message_signature(key: Key, signature: MessageSignature, signed: Content) -> bool:
    try:
        return _verify_signature(key, signature.signature, signed)
    except Refusal as refusal:
        hashed = isinstance(key.public, ed25519.Ed25519PublicKey) and signature.algorithm == "SHA2_512"
        if hashed and refusal.reason is Reason.SIGNATURE_INVALID:
            raise Refusal(
                Reason.FORMAT_UNSUPPORTED,
                "a signature that is not pure Ed25519, and Ed25519ph, over a SHA-512, is not read",
            ) from refusal
        raise


def _verify_signature(key: Key, signature: bytes, signed: Content) -> bool:
    with border(Reason.SIGNATURE_INVALID, "signature"):
        try:
            key.verify(signature, signed)
        except InvalidSignature as error:
            raise Refusal(
                Reason.SIGNATURE_INVALID, "the signature does not fit what is signed and the signer's key"
            ) from error
        except BytesNeededError as error:
            raise Refusal(
                Reason.FORMAT_UNSUPPORTED,
                "a signature by a key of this kind needs the bytes of the file: neither its SHA-256 nor a file that is "
                "too large to be held will do",
            ) from error
        return True


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
        try:
            return Statement.parse(payload, foreign=True)
        except DigestAlgorithmError as error:
            raise Refusal(Reason.SUBJECT_ALGORITHM, error.message) from error


def _find_message(signature: MessageSignature, message: Digest | bytes | None) -> Content:
    """What must have been signed: the file that the caller has, or else the one that the bundle names."""
    if message is None:
        if signature.algorithm != "SHA2_256":
            raise Refusal(Reason.FORMAT_UNSUPPORTED, "the bundle names no SHA-256 of its file: give the file")
        return Content(None, signature.digest)
    content = Content(None, bytes.fromhex(message.hex)) if isinstance(message, Digest) else Content.of(message)
    named = signature.algorithm and content.digest(signature.algorithm.lower().replace("sha2_", "sha"))
    if named and named != signature.digest:
        raise Refusal(
            Reason.MESSAGE_MISMATCH,
            "the bundle is about another file",
            expected=named.hex(),
            found=signature.digest.hex(),
        )
    return content


def _require_no_trust(demands: Demands, *, keyed: bool) -> None:
    if not keyed or demands.log_entries or demands.timestamps:
        raise Refusal(
            Reason.TRUST_ROOT_MISSING, "a certificate, a log entry or a timestamp is demanded, and no trust root given"
        )


def _require_time(times: tuple[datetime, ...], *, keyed: bool, now: datetime) -> tuple[datetime, ...]:
    if not times and not keyed:
        raise Refusal(Reason.TIMESTAMP_MISSING, "no signed timestamp, and no integrated time that the log promised")
    for moment in times:
        if moment > now + CLOCK_SKEW:
            raise Refusal(
                Reason.TIMESTAMP_FUTURE,
                "the time of signing is in the future",
                expected=f"until {now.isoformat()}",
                found=moment.isoformat(),
            )
    return times


def _require_valid_key(managed: ManagedKey, times: tuple[datetime, ...]) -> None:
    if not times and managed.period != keys.ALWAYS:
        raise Refusal(
            Reason.TIMESTAMP_MISSING,
            "the key is valid for a time only, and nothing proves when it signed",
            expected=str(managed.period),
        )
    for moment in times:
        if not managed.period.contains(moment):
            raise Refusal(
                Reason.KEY_OUTSIDE_VALIDITY,
                "signed when the managed key was not valid",
                expected=str(managed.period),
                found=moment.isoformat(),
            )


def _show_times(times: tuple[datetime, ...]) -> Mapping[str, str]:
    return {"signed": ", ".join(moment.isoformat() for moment in times)} if times else {}


def _show_identity(found: Identity) -> Mapping[str, str]:
    return {"issuer": found.issuer, "subject": found.subject}
