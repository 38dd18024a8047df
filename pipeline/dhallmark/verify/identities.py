"""Matching who signed against the identities of a policy: certificates' identities, and managed keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import re2

from dhallmark.config.identities import IdentityRule
from dhallmark.config.policy import Policy
from dhallmark.digest import Digest
from dhallmark.errors import ConfigError, FormatError, Location
from dhallmark.identity import Identity, KeyIdentity, Signatory, bare_commit
from dhallmark.reasons import Reason
from dhallmark.verify.keys import ManagedKey
from dhallmark.verify.period import Period
from dhallmark.verify.refusal import Refusal

if TYPE_CHECKING:
    from dhallmark.verify.ancestry import Ancestry


def managed_keys(policy: Policy) -> Mapping[str, ManagedKey]:
    """The keys of a policy, by the names of their identities. Raises ConfigError.

    No key may have two names: which of two periods or roles were meant could not be told from a signature.
    """
    found: dict[str, ManagedKey] = {}
    owners: dict[Digest, str] = {}
    for name, rule in policy.identities.items():
        if rule.key is None:
            continue
        path = policy.origin.folder / rule.key
        where = Location(file=str(path), field=f"identities.{name}.key")
        try:
            key = ManagedKey.load(path, period=Period(rule.valid_from, rule.valid_until))
        except FormatError as error:
            raise ConfigError(error.message, where=where, hint=error.hint) from error
        owner = owners.setdefault(key.identity.fingerprint, name)
        if owner != name:
            raise ConfigError(f"the key is that of identity {owner!r}, too", where=where, hint="give it one name")
        found[name] = key
    return found


@dataclass(frozen=True, slots=True)
class IdentityMatcher:
    """The identities of a policy, ready to be asked."""

    rules: Mapping[str, IdentityRule]
    keys: Mapping[str, ManagedKey] = field(default_factory=dict)
    """The keys among them. An identity that is a key and is missing here is nobody."""

    @classmethod
    def of(cls, policy: Policy) -> IdentityMatcher:
        """The identities of `policy`, with their keys. Raises ConfigError."""
        return cls(policy.identities, managed_keys(policy))

    def require(self, signatory: Signatory, names: Sequence[str]) -> tuple[str, ...]:
        """Those of the identities `names` that `signatory` is, at least one. Refuses where it is none of them.

        The refusal is that of the identity that it comes nearest to: the right issuer with a wrong subject says
        more than another issuer.
        """
        nearest: tuple[int, Refusal] | None = None
        found = []
        for name in names:
            said = self._compare(signatory, name)
            if said is None:
                found.append(name)
            elif nearest is None or said[0] > nearest[0]:
                nearest = said
        if not found:
            raise nearest[1] if nearest else Refusal(Reason.IDENTITY_ISSUER_MISMATCH, "the policy names no identity")
        return tuple(found)

    def require_reachable(self, signatory: Signatory, names: Iterable[str], ancestry: Ancestry) -> tuple[str, ...]:
        """Those of the identities `names` whose demands on commits `signatory` meets; at least one (C18)."""
        refusals: list[Refusal] = []
        found = []
        for name in names:
            try:
                for extension, rule in self.rules[name].reachable.items():
                    commit = signatory.extensions.get(extension, "") if isinstance(signatory, Identity) else ""
                    ancestry.require(bare_commit(commit), rule)
            except Refusal as refusal:
                refusals.append(refusal)
            else:
                found.append(name)
        if not found:
            raise refusals[0]
        return tuple(found)

    def knows(self, signatory: Signatory) -> bool:
        """True where `signatory` is any of the policy's."""
        return any(self._compare(signatory, name) is None for name in self.rules)

    def _compare(self, signatory: Signatory, name: str) -> tuple[int, Refusal] | None:
        """None where `signatory` is the identity `name`; otherwise how far the comparison came, and what stopped it."""
        rule = self.rules[name]
        if rule.key is not None:
            return self._compare_key(signatory, name)
        if isinstance(signatory, KeyIdentity):
            return 0, Refusal(
                Reason.IDENTITY_KEY_MISMATCH,
                "signed with a key, where a certificate is needed",
                found=_shown(signatory),
            )
        return _compare_certificate(signatory, rule)

    def _compare_key(self, signatory: Signatory, name: str) -> tuple[int, Refusal] | None:
        key = self.keys.get(name)
        if key is not None and signatory == key.identity:
            return None
        what = "another key" if isinstance(signatory, KeyIdentity) else "a certificate, where a key is needed"
        return 0, Refusal(
            Reason.IDENTITY_KEY_MISMATCH,
            f"signed with {what}",
            expected=key.identity.fingerprint if key else name,
            found=_shown(signatory),
        )


def _shown(signatory: Signatory) -> str:
    return signatory.fingerprint if isinstance(signatory, KeyIdentity) else signatory.subject


def evidence_of(signatory: Signatory) -> dict[str, str]:
    """Who signed, for a check that passed."""
    if isinstance(signatory, KeyIdentity):
        return {"key": signatory.fingerprint}
    return {"issuer": signatory.issuer, "subject": signatory.subject}


def _compare_certificate(identity: Identity, rule: IdentityRule) -> tuple[int, Refusal] | None:
    if not _matches(identity.issuer, rule.issuer, rule.issuer_reg_exp):
        return 1, Refusal(
            Reason.IDENTITY_ISSUER_MISMATCH,
            "signed with a token of another issuer",
            expected=rule.issuer or rule.issuer_reg_exp or "",
            found=identity.issuer,
        )
    if not _matches(identity.subject, rule.subject, rule.subject_reg_exp):
        return 2, Refusal(
            Reason.IDENTITY_SUBJECT_MISMATCH,
            "signed by another identity",
            expected=rule.subject or rule.subject_reg_exp or "",
            found=identity.subject,
        )
    if identity.subject_kind is not rule.kind:
        return 3, Refusal(
            Reason.IDENTITY_SUBJECT_KIND,
            "the certificate's subject is spelt as allowed and is of another kind",
            expected=rule.kind.value,
            found=identity.subject_kind.value,
        )
    for extension, allowed in rule.extensions.items():
        values = (allowed,) if isinstance(allowed, str) else allowed
        found = identity.extensions.get(extension)
        if found not in values:
            return 4, Refusal(
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
