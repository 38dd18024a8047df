"""Where a consumer says something else to one control than its dialect has it: seen, each of them, and pinned.

A control states what dhallmark must say, and `consumers.dialect` what that reason becomes with the others. What is left
stands here, by the control's id: a reason that the consumer gives instead; what it does, where it accepts the mutant
and so leaves a hole; None, where it is not asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from dhallmark.control import Control, Expectation
from dhallmark.controls.catalogue.expected import FLUX, FLUX_2_8, hole, rejected
from dhallmark.controls.consumers.dialect import (
    COSIGN,
    COSIGN_2,
    COSIGN_ATTESTATION,
    DIALECTS,
    KYVERNO,
    SIGSTORE_PYTHON,
)
from dhallmark.reasons import Reason

Said = Reason | str | None

_COSIGN_3: Final = (COSIGN, COSIGN_ATTESTATION)
_TYPED: Final = (COSIGN_ATTESTATION, KYVERNO, SIGSTORE_PYTHON)
_OLDER: Final = (COSIGN_2, *FLUX_2_8)
"""Those built with sigstore-go before 1.2."""
_GO: Final = (COSIGN, COSIGN_ATTESTATION, COSIGN_2, *FLUX, KYVERNO)

_LENIENT_BASE64: Final = "passes over line breaks in base64: two texts are the same signature"
_LENIENT_JSON: Final = "reads JSON that the specification leaves open: another reader may see another statement"
_OLD_LOG: Final = "compares the log's entry with a part of the bundle alone: what was logged may be something else"
_NO_END: Final = "knows no end of a public key: it is good until somebody takes it out"

DIFFERENCES: Final[Mapping[str, Mapping[tuple[str, ...], Said]]] = {
    "S3-rewritten": {_GO: Reason.LOG_INCLUSION, _OLDER: Reason.SIGNATURE_INVALID},
    "S5": {_GO: Reason.LOG_INCLUSION, _OLDER: Reason.LOG_ENTRY_MISMATCH},
    "S7-base64": {_GO: Reason.SIGNATURE_NONE, (SIGSTORE_PYTHON,): Reason.BUNDLE_MALFORMED},
    "S9": {(SIGSTORE_PYTHON,): Reason.BUNDLE_MALFORMED},
    "S10-first": {(SIGSTORE_PYTHON,): Reason.SIGNATURE_INVALID},
    "S10-last": {(SIGSTORE_PYTHON,): Reason.SUBJECT_MISMATCH},
    "S10-lines": {(*_GO, SIGSTORE_PYTHON): _LENIENT_BASE64},
    "S13-duplicate": {(SIGSTORE_PYTHON,): _LENIENT_JSON},
    "S13-nan": {(SIGSTORE_PYTHON,): _LENIENT_JSON},
    "S13-null": {_GO: Reason.SUBJECT_MISMATCH},
    "S13-capitals": {
        (*_COSIGN_3, KYVERNO, SIGSTORE_PYTHON): Reason.SUBJECT_MISMATCH,
        (COSIGN_2, *FLUX): "takes the digest in capitals for the same, which the specification does not",
    },
    "S13-bundle": {(SIGSTORE_PYTHON,): _LENIENT_JSON},
    "C4-older": {(SIGSTORE_PYTHON,): Reason.CERTIFICATE_UNTRUSTED},
    "C5": {(SIGSTORE_PYTHON,): Reason.BUNDLE_MALFORMED},
    "C7-retired": {(SIGSTORE_PYTHON,): "does not look at when the trust root believes an authority"},
    "C8-expired": {_GO: _NO_END},
    "C8-unknown": {_OLDER: Reason.LOG_ENTRY_MISMATCH, (SIGSTORE_PYTHON,): Reason.BUNDLE_MALFORMED},
    # sigstore-python's policies know no expressions.
    "C9": {(SIGSTORE_PYTHON,): None},
    "C10-after": {(SIGSTORE_PYTHON,): None},
    "C10-before": {(SIGSTORE_PYTHON,): None},
    "C11": {(SIGSTORE_PYTHON,): None},
    "C17-retired": {(SIGSTORE_PYTHON,): "does not look at when the trust root believes a log"},
    "C19-usage": {_GO: Reason.CERTIFICATE_UNTRUSTED},
    "C19-key": {_GO: "does not ask whether the key may sign: the usage for code signing is enough"},
    "C19-names": {(*_GO, SIGSTORE_PYTHON): "looks at one name of the certificate, and lets others stand beside it"},
    "C19-extension": {(SIGSTORE_PYTHON,): Reason.CERTIFICATE_UNTRUSTED},
    "C19-authority": {_GO: "takes a leaf certificate that says of itself that it is an authority"},
    "T1-digest": {_OLDER: _OLD_LOG},
    "T1-signature": {_OLDER: Reason.LOG_ENTRY_MISMATCH},
    "T1-certificate": {_OLDER: Reason.LOG_ENTRY_MISMATCH},
    "T1-kind": {_OLDER: _OLD_LOG},
    "T1-v1": {_GO: Reason.LOG_ENTRY_MISMATCH, _OLDER: _OLD_LOG},
    "T2-log": {(SIGSTORE_PYTHON,): Reason.LOG_CHECKPOINT},
    "T2-proof": {_GO: Reason.SIGNATURE_NONE, (SIGSTORE_PYTHON,): Reason.BUNDLE_MALFORMED},
    "T3-missing": {_GO: Reason.SIGNATURE_NONE, (SIGSTORE_PYTHON,): Reason.LOG_INCLUSION},
    "T3-origin": {(SIGSTORE_PYTHON,): "does not compare the checkpoint's origin with the log's name"},
    "T4-negative": {_GO: "keeps the index of the proof, and does not look at the other one"},
    "T4-beyond": {(SIGSTORE_PYTHON,): Reason.BUNDLE_MALFORMED},
    "T6-forged": {(SIGSTORE_PYTHON,): Reason.CERTIFICATE_UNTRUSTED},
    "T7-twice": {_GO: "counts a timestamp that is there twice once, and is content with one"},
    "P3-alone": {_TYPED: Reason.STATEMENT_MISSING},
    "P7": {_GO: Reason.SUBJECT_MISMATCH},
    "P8": {(SIGSTORE_PYTHON,): "counts no subjects"},
    # The policy for Kyverno counts attestors; who is missing has signed nothing.
    "P21-again": {(KYVERNO,): Reason.IDENTITY_SUBJECT_MISMATCH},
    "P21-once": {(KYVERNO,): Reason.IDENTITY_SUBJECT_MISMATCH},
    "P23-signer": {(*_GO, SIGSTORE_PYTHON): "reads no layout"},
}


def as_seen(control: Control) -> Control:
    """`control`, with what the other consumers were seen to say."""
    found: dict[str, Expectation | None] = dict(control.expect)
    for names, said in DIFFERENCES.get(control.id, {}).items():
        found |= dict.fromkeys(names, _expectation(said))
    expect = {name: _of(name, expectation) for name, expectation in found.items() if expectation is not None}
    return replace(control, expect=MappingProxyType(expect))


def _of(consumer: str, expectation: Expectation) -> Expectation:
    """With a whole sentence about the hole, if there is one: who leaves it open."""
    if not expectation.out_of_scope:
        return expectation
    return replace(expectation, out_of_scope=f"{DIALECTS[consumer].title} {expectation.out_of_scope}")


def _expectation(said: Said) -> Expectation | None:
    if isinstance(said, Reason):
        return rejected(said)
    return None if said is None else hole(said)
