"""How many different signers stand behind a threshold: one who signs twice, or under two names, is one (S12, P21)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dhallmark.identity import Identity, Signatory


def count_signers(found: Iterable[tuple[Signatory, Iterable[str]]]) -> int:
    """The most signers that can each stand for another identity of the policy.

    `found` has, for each statement, who signed it and which of the policy's identities that is. Two statements of one
    signer count once; so do two signers that are both the same one identity, since a policy that means two people
    names two. Where a signer is several identities the best assignment counts (a maximum matching).
    """
    roles: dict[tuple[str, ...], set[str]] = {}
    for signatory, names in found:
        roles.setdefault(_key(signatory), set()).update(names)
    assigned: dict[str, tuple[str, ...]] = {}
    return sum(_assign(signer, roles, assigned, set()) for signer in roles)


def _assign(
    signer: tuple[str, ...],
    roles: Mapping[tuple[str, ...], set[str]],
    assigned: dict[str, tuple[str, ...]],
    tried: set[str],
) -> bool:
    """Whether `signer` can get a role of its own, others moving over where they can."""
    for role in sorted(roles[signer] - tried):
        tried.add(role)
        if role not in assigned or _assign(assigned[role], roles, assigned, tried):
            assigned[role] = signer
            return True
    return False


def _key(signatory: Signatory) -> tuple[str, ...]:
    if isinstance(signatory, Identity):
        return signatory.issuer, signatory.subject
    return (signatory.fingerprint,)
