"""Who did a step: matching signers with those that the layout allows.

How many different ones there are is counted by `dhallmark.verify.signers` (P21, S12): a functionary counts once, under
two certificates, with two keys of one identity, with one key under two key ids, or as two subjects that one expression
of the policy admits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from dhallmark.identity import KeyIdentity, Signatory
from dhallmark.reasons import Reason
from dhallmark.verify.layouts.model import Step
from dhallmark.verify.refusal import Refusal


class Identities(Protocol):
    """The identities of a policy, as far as this package asks them."""

    @property
    def rules(self) -> Mapping[str, object]:
        """By name."""
        ...

    def require(self, signatory: Signatory, names: Sequence[str]) -> Sequence[str]:
        """Those of the identities `names` that `signatory` is, at least one. Refuses where it is none of them."""
        ...


def functionaries_of(step: Step, signatory: Signatory, identities: Identities) -> frozenset[str]:
    """As whom `signatory` may have done `step`: names of identities, or the fingerprint of a key of the layout's.

    Refuses one who may not, with the reason of the identity that comes nearest.
    """
    unknown = [name for name in step.identities if name not in identities.rules]
    if unknown:
        raise Refusal(
            Reason.LAYOUT_MALFORMED, f"the step {step.name} names an identity that the policy lacks", found=unknown[0]
        )
    known = _names_of(signatory, identities)
    roles = known & set(step.identities)
    if isinstance(signatory, KeyIdentity) and any(key.identity == signatory for key in step.keys):
        # A key that the policy knows is its identity's here, too: two keys of one identity are one functionary.
        roles |= known or {signatory.fingerprint}
    if roles:
        return roles
    if step.identities:
        identities.require(signatory, step.identities)
    raise Refusal(
        Reason.IDENTITY_SUBJECT_MISMATCH,
        f"the layout does not let this signer do the step {step.name}",
        expected=" or ".join(key.identity.fingerprint for key in step.keys),
        found=signatory.fingerprint if isinstance(signatory, KeyIdentity) else signatory.subject,
    )


def _names_of(signatory: Signatory, identities: Identities) -> frozenset[str]:
    """Every identity of the policy that `signatory` is."""
    try:
        return frozenset(identities.require(signatory, tuple(identities.rules)))
    except Refusal:
        return frozenset()
