"""What each consumer can say, and what it cannot see by design: the one place where a consumer is described.

The catalogue states for each control what dhallmark must say. What the other consumers must say follows from here,
unless a control says otherwise: the same reason; a coarser one, where a consumer has one message for several causes;
or nothing at all, where it does not look. What it does not look at is an open hole in the report, with the sentence
that stands here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from dhallmark.reasons import Reason

DHALLMARK: Final = "dhallmark"
COSIGN: Final = "cosign"
COSIGN_ATTESTATION: Final = "cosign-attestation"
COSIGN_2: Final = "cosign2"
FLUX_1_8: Final = "flux-1.8"
FLUX_1_9: Final = "flux-1.9"
KYVERNO: Final = "kyverno"
SIGSTORE_PYTHON: Final = "sigstore-python"

Blind = Mapping[Reason, str]
"""Reasons that a consumer never gives, each with a sentence on why it cannot see the flaw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How a consumer's answers differ from dhallmark's."""

    coarse: Mapping[Reason, Reason] = field(default_factory=dict)
    """What it says where dhallmark says the key: its own message fits more than one cause."""
    blind: Blind = field(default_factory=dict)


def _named(*beginnings: str) -> tuple[Reason, ...]:
    return tuple(reason for reason in Reason if reason.value.startswith(beginnings))


_CONTENT: Final = _named(
    "artifact.content",
    "statement.predicate",
    "statement.threshold",
    "subject.name",
    "subject.extra",
    "provenance.",
    "source.",
    "version.",
    "step.",
    "layout.",
    "test-result.",
    "summary.",
)
"""What only those see who read what a statement says."""
_TIME: Final = _named("freshness.", "policy.", "trust-root.")
_FINER_IDENTITY: Final = _named("identity.extension", "identity.subject-kind")


def _all(reasons: Iterable[Reason], why: str) -> dict[Reason, str]:
    return dict.fromkeys(reasons, why)


def _never_compares(consumer: str) -> dict[Reason, str]:
    """What no consumer but dhallmark looks at."""
    return {
        **_all(_TIME, f"{consumer} takes a signature of any age, by any policy and trust root that it is given"),
        **_all(_FINER_IDENTITY, f"{consumer} compares the issuer and the subject alone"),
    }


def _type_blind(consumer: str) -> dict[Reason, str]:
    """A consumer for which every signed statement is a signature."""
    why = f"{consumer} takes any statement that this identity signed about the digest, whatever it says"
    return {**_never_compares(consumer), **_all((*_CONTENT, Reason.STATEMENT_MISSING), why)}


def _content_blind(consumer: str) -> dict[Reason, str]:
    """A consumer that asks for predicate types, and reads no further."""
    why = f"{consumer} asks for a statement of the type, and does not read what it says"
    return {**_never_compares(consumer), **_all(_CONTENT, why)}


def _layer_blind(consumer: str) -> dict[Reason, str]:
    why = f"{consumer} checks the manifest's digest and never reads the layer: whoever pulls it must compare it"
    return {Reason.ARTIFACT_DIGEST_MISMATCH: why}


def _lenient(consumer: str) -> dict[Reason, str]:
    """What sigstore-go has no check for."""
    return {
        Reason.TIMESTAMP_FUTURE: f"{consumer} takes a time that has not come yet",
        Reason.LOG_KEY_VALIDITY: f"{consumer} does not look at when the trust root believes a log's key",
    }


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


def _go(consumer: str, *blind: Blind) -> Dialect:
    """A consumer that verifies with sigstore-go."""
    return Dialect(
        coarse=_SIGSTORE_GO,
        blind={reason: why for part in (_lenient(consumer), *blind) for reason, why in part.items()},
    )


DIALECTS: Final[Mapping[str, Dialect]] = {
    DHALLMARK: Dialect(),
    COSIGN: _go("cosign", _layer_blind("cosign"), _type_blind("`cosign verify`")),
    COSIGN_ATTESTATION: _go("cosign", _layer_blind("cosign"), _content_blind("`cosign verify-attestation`")),
    COSIGN_2: _go("cosign", _layer_blind("cosign"), _type_blind("`cosign verify`")),
    FLUX_1_8: _go("Flux", _type_blind("Flux")),
    FLUX_1_9: _go("Flux", _type_blind("Flux")),
    KYVERNO: _go("Kyverno", _layer_blind("Kyverno"), _content_blind("the policy for Kyverno")),
    SIGSTORE_PYTHON: Dialect(
        coarse=_SIGSTORE_PYTHON,
        blind=_layer_blind("sigstore-python")
        | _lenient("sigstore-python")
        | _content_blind("a program with sigstore-python"),
    ),
}
