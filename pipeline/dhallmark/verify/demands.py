"""What a policy may demand of every bundle beyond a valid signature: its kind, and how much of log and time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class SignatureKind(StrEnum):
    """What a bundle signs."""

    DSSE = "dsse"
    """An in-toto statement in a DSSE envelope."""
    MESSAGE = "message"
    """The bare bytes of a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """The least that a bundle must have. Whatever is there beyond it is verified all the same."""

    kinds: frozenset[SignatureKind] = frozenset({SignatureKind.DSSE})
    """What the bundle may sign."""
    log_entries: int = 1
    """Entries of transparency logs in the trust root, each with a verified proof or promise."""
    timestamps: int = 0
    """Signed timestamps (RFC 3161) of authorities in the trust root. A certificate needs one verified time in any case,
    which may also be a Rekor v1 log's."""
    scts: int = 1
    """Signed certificate timestamps of CT logs in the trust root; of no meaning for a managed key."""


KEYED = Demands(log_entries=0, scts=0)
"""For a managed key at a site without logs: the signature alone. A policy must say so; it is nobody's default."""
