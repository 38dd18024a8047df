"""What each consumer can say, and what it cannot see by design: the one place where a consumer is described.

The catalogue states for each control what dhallmark must say. What the other consumers must say follows from here,
unless a control says otherwise: the same reason; a coarser one, where a consumer has one message for several causes;
or nothing at all, where it does not look. What it does not look at is an open hole in the report, with the sentence
that stands here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from dhallmark.reasons import Reason

DHALLMARK: Final = "dhallmark"
COSIGN: Final = "cosign"
COSIGN_ATTESTATION: Final = "cosign-attestation"

Blind = Mapping[Reason, str]
"""Reasons that a consumer never gives, each with a sentence on why it cannot see the flaw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How a consumer's answers differ from dhallmark's."""

    coarse: Mapping[Reason, Reason] = field(default_factory=dict)
    """What it says where dhallmark says the key: its own message fits more than one cause."""
    blind: Blind = field(default_factory=dict)


_NO_LAYER = "cosign checks the manifest's digest and never reads the layer: whoever pulls it must compare it"
_TYPE_BLIND = "`cosign verify` takes any signed statement for a signature: it does not look at the predicate type"

DIALECTS: Final[Mapping[str, Dialect]] = {
    DHALLMARK: Dialect(),
    COSIGN: Dialect(
        blind={Reason.ARTIFACT_DIGEST_MISMATCH: _NO_LAYER, Reason.STATEMENT_MISSING: _TYPE_BLIND},
    ),
    COSIGN_ATTESTATION: Dialect(blind={Reason.ARTIFACT_DIGEST_MISMATCH: _NO_LAYER}),
}
