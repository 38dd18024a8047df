"""What each consumer can say, and what it cannot see by design: the one place where a consumer is described.

The catalogue states for each control what dhallmark must say. What the other consumers must say follows from here,
unless a control says otherwise: the same reason; a coarser one, where a consumer has one message for several causes;
or nothing at all, where it does not look. What it does not look at is an open hole in the report, with the words that
stand here: what the consumer does, as the rest of a sentence that begins with its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from dhallmark.controls.limits import Needs
from dhallmark.reasons import Reason

DHALLMARK: Final = "dhallmark"
COSIGN: Final = "cosign"
COSIGN_ATTESTATION: Final = "cosign-attestation"
COSIGN_2: Final = "cosign2"
FLUX_1_8: Final = "flux-1.8"
FLUX_1_9: Final = "flux-1.9"
SOURCE_CONTROLLER_1_8: Final = "source-controller-1.8"
SOURCE_CONTROLLER_1_9: Final = "source-controller-1.9"
KYVERNO: Final = "kyverno"
SIGSTORE_PYTHON: Final = "sigstore-python"

FLUX_2_8: Final = (FLUX_1_8, SOURCE_CONTROLLER_1_8)
FLUX_2_9: Final = (FLUX_1_9, SOURCE_CONTROLLER_1_9)
"""The verification code of the controller, and the controller itself."""
CONTROLLERS: Final = (SOURCE_CONTROLLER_1_8, SOURCE_CONTROLLER_1_9)
"""Asked only where they are named: each answer takes an API server of its own."""

Blind = Mapping[Reason, str]
"""Reasons that a consumer never gives, each with what it does instead of seeing the flaw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How a consumer's answers differ from dhallmark's."""

    title: str
    """What people call it."""
    coarse: Mapping[Reason, Reason] = field(default_factory=dict)
    """What it says where dhallmark says the key: its own message fits more than one cause."""
    blind: Blind = field(default_factory=dict)
    needs: Needs = field(default_factory=Needs)


def _named(*beginnings: str) -> tuple[Reason, ...]:
    return tuple(reason for reason in Reason if reason.value.startswith(beginnings))


_CONTENT: Final[Blind] = {
    reason: what
    for what, beginnings in {
        "one of a type that nobody asked for": ("statement.missing",),
        "a lone one where two must sign": ("statement.threshold",),
        "a failed test result": ("test-result.",),
        "a verification summary that says no": ("summary.",),
        "one for another environment": ("subject.name",),
        "one about another artifact, too": ("subject.extra",),
        "provenance that leaves out what was built": ("artifact.content", "statement.predicate"),
        "provenance of another source, builder or version": ("provenance.", "source.", "version."),
        "records of steps that are missing or do not fit together": ("step.", "layout."),
        "one about an archive that is itself an attack": ("layout.inspection",),
    }.items()
    for reason in _named(*beginnings)
}
"""What only those see who read what a statement says; a later line wins."""
_TIME: Final = _named("freshness.", "policy.", "trust-root.")
_FINER_IDENTITY: Final = _named("identity.extension", "identity.subject-kind")


def _all(reasons: Iterable[Reason], what: str) -> dict[Reason, str]:
    return dict.fromkeys(reasons, what)


_NEVER_COMPARED: Final[Blind] = {
    **_all(_TIME, "takes a signature of any age, by any policy and trust root that it is given"),
    **_all(_FINER_IDENTITY, "compares the issuer and the subject alone"),
}
"""What no consumer but dhallmark looks at."""
_TYPE_BLIND: Final[Blind] = {
    **_NEVER_COMPARED,
    **{
        reason: f"accepts any signed statement of this identity about the digest, {what} included"
        for reason, what in _CONTENT.items()
    },
}
"""Of a consumer for which every signed statement is a signature."""
_CONTENT_BLIND: Final[Blind] = {
    **_NEVER_COMPARED,
    **{
        reason: f"accepts any signed statement of the type that it asks for, {what} included"
        for reason, what in _CONTENT.items()
        if reason is not Reason.STATEMENT_MISSING
    },
}
"""Of a consumer that asks for predicate types, and reads no further."""
_LAYER_BLIND: Final[Blind] = {
    Reason.ARTIFACT_DIGEST_MISMATCH: (
        "checks the manifest's digest and never reads the layer: whoever pulls it must compare it"
    )
}
_LENIENT: Final[Blind] = {
    Reason.TIMESTAMP_FUTURE: "takes a time that has not come yet",
    Reason.LOG_KEY_VALIDITY: "does not look at when the trust root believes a log's key",
}
"""What sigstore-go and sigstore-python have no check for."""

_SIGSTORE_GO: Final = {
    # "leaf certificate verification failed", whatever it was.
    Reason.CERTIFICATE_OUTSIDE_VALIDITY: Reason.CERTIFICATE_UNTRUSTED,
    # The origin is the name of the key that the checkpoint's signature is looked up by.
    Reason.LOG_ORIGIN: Reason.LOG_CHECKPOINT,
    # Rekor v2's entry is made anew from the bundle, so another entry is not in the tree.
    Reason.LOG_ENTRY_MISMATCH: Reason.LOG_INCLUSION,
    # An entry whose promise does not hold is passed over.
    Reason.LOG_PROMISE: Reason.LOG_ENTRY_MISSING,
    # What cannot be read as a bundle is passed over, as if nobody had signed.
    Reason.BUNDLE_MALFORMED: Reason.SIGNATURE_NONE,
    Reason.FORMAT_UNSUPPORTED: Reason.SIGNATURE_NONE,
    Reason.CERTIFICATE_MISSING: Reason.SIGNATURE_NONE,
    Reason.CERTIFICATE_ROOT_INCLUDED: Reason.SIGNATURE_NONE,
    Reason.ENVELOPE_PAYLOAD_TYPE: Reason.STATEMENT_MALFORMED,
    Reason.SUBJECT_ALGORITHM: Reason.SUBJECT_MISMATCH,
}
"""Where sigstore-go has one message for several causes."""

_SIGSTORE_PYTHON: Final = {
    Reason.FORMAT_UNSUPPORTED: Reason.BUNDLE_MALFORMED,
    # "failed to build timestamp certificate chain", whatever it was.
    Reason.CERTIFICATE_OUTSIDE_VALIDITY: Reason.CERTIFICATE_UNTRUSTED,
    Reason.SUBJECT_ALGORITHM: Reason.SUBJECT_MISMATCH,
}


_API_SERVER: Final = Needs(seconds=180.0, scratch=256 * 1024 * 1024)
"""Of a controller: etcd sets aside 128 MiB for its log, whatever is in it."""


def _go(title: str, *blind: Blind, needs: Needs | None = None) -> Dialect:
    """A consumer that verifies with sigstore-go."""
    return Dialect(
        title=title,
        needs=needs or Needs(),
        coarse=_SIGSTORE_GO,
        blind={reason: what for part in (_LENIENT, *blind) for reason, what in part.items()},
    )


DIALECTS: Final[Mapping[str, Dialect]] = {
    DHALLMARK: Dialect(title="dhallmark"),
    COSIGN: _go("cosign verify", _LAYER_BLIND, _TYPE_BLIND),
    COSIGN_ATTESTATION: _go("cosign verify-attestation", _LAYER_BLIND, _CONTENT_BLIND),
    COSIGN_2: _go("cosign 2's verify", _LAYER_BLIND, _TYPE_BLIND),
    FLUX_1_8: _go("Flux 2.8", _TYPE_BLIND),
    FLUX_1_9: _go("Flux 2.9", _TYPE_BLIND),
    SOURCE_CONTROLLER_1_8: _go("Flux 2.8's source-controller", _TYPE_BLIND, needs=_API_SERVER),
    SOURCE_CONTROLLER_1_9: _go("Flux 2.9's source-controller", _TYPE_BLIND, needs=_API_SERVER),
    KYVERNO: _go("Kyverno", _LAYER_BLIND, _CONTENT_BLIND),
    SIGSTORE_PYTHON: Dialect(
        title="a program with sigstore-python",
        coarse=_SIGSTORE_PYTHON,
        blind={**_LAYER_BLIND, **_LENIENT, **_CONTENT_BLIND},
    ),
}
