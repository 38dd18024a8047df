"""How expectations are written in the catalogue, and the names of the consumers that they are about."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from dhallmark.control import Expectation
from dhallmark.reasons import Reason
from dhallmark.verdict import Outcome

DHALLMARK = "dhallmark"
COSIGN = "cosign"
COSIGN_ATTESTATION = "cosign-attestation"


def rejected(reason: Reason) -> Expectation:
    """Refused for `reason` and no other."""
    return Expectation(outcome=Outcome.REJECTED, reason=reason)


def hole(why: str) -> Expectation:
    """Accepted, because the consumer cannot see the flaw by design. Shown as an open hole, not as a pass."""
    return Expectation(outcome=Outcome.ACCEPTED, out_of_scope=why)


def by_all(reason: Reason) -> Mapping[str, Expectation]:
    """Refused for `reason` by every consumer."""
    return MappingProxyType({name: rejected(reason) for name in (DHALLMARK, COSIGN, COSIGN_ATTESTATION)})
