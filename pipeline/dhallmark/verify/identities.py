"""Matching the identity in a certificate against the identities of a policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import re2

from dhallmark.config.identities import IdentityRule
from dhallmark.identity import Identity
from dhallmark.reasons import Reason
from dhallmark.verify.refusal import Refusal


@dataclass(frozen=True, slots=True)
class IdentityMatcher:
    """The identities of a policy, ready to be asked."""

    rules: Mapping[str, IdentityRule]

    def require(self, identity: Identity, names: Sequence[str]) -> str:
        """The first of the identities `names` that `identity` is. Refuses where it is none of them.

        The refusal is that of the identity that it comes nearest to: the right issuer with a wrong subject says
        more than another issuer.
        """
        nearest: tuple[int, Refusal] = (
            -1,
            Refusal(Reason.IDENTITY_ISSUER_MISMATCH, "the policy names no identity", found=identity.issuer),
        )
        for name in names:
            found = _compare(identity, self.rules[name])
            if found is None:
                return name
            nearest = max(nearest, found, key=lambda item: item[0])
        raise nearest[1]

    def knows(self, identity: Identity) -> bool:
        """True where `identity` is any of the policy's."""
        return any(_compare(identity, rule) is None for rule in self.rules.values())


def _compare(identity: Identity, rule: IdentityRule) -> tuple[int, Refusal] | None:
    """None where `identity` is the one of `rule`; otherwise how far the comparison came, and what stopped it."""
    if not _matches(identity.issuer, rule.issuer, rule.issuer_reg_exp):
        return 0, Refusal(
            Reason.IDENTITY_ISSUER_MISMATCH,
            "signed with a token of another issuer",
            expected=rule.issuer or rule.issuer_reg_exp or "",
            found=identity.issuer,
        )
    if not _matches(identity.subject, rule.subject, rule.subject_reg_exp):
        return 1, Refusal(
            Reason.IDENTITY_SUBJECT_MISMATCH,
            "signed by another identity",
            expected=rule.subject or rule.subject_reg_exp or "",
            found=identity.subject,
        )
    for extension, allowed in rule.extensions.items():
        values = (allowed,) if isinstance(allowed, str) else allowed
        found = identity.extensions.get(extension)
        if found not in values:
            return 2, Refusal(
                Reason.IDENTITY_EXTENSION_MISMATCH,
                f"the certificate's {extension} is not allowed",
                expected=" or ".join(values),
                found=found or "",
            )
    return None


def _matches(text: str, exact: str | None, pattern: str | None) -> bool:
    if exact is not None:
        return text == exact
    # fullmatch: an expression that matches a part admits `org/repo-evil` for `org/repo` (C10).
    return pattern is not None and re2.fullmatch(pattern, text) is not None
