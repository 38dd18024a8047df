"""What a policy says of identities, in the fewer words of other consumers.

Flux and cosign know one matcher: an issuer and a subject, each exact or an expression. Their expressions are not
anchored, so what comes from a policy is anchored here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dhallmark.config.identities import IdentityRule
from dhallmark.config.policy import Policy, StatementRule
from dhallmark.errors import UsageError
from dhallmark.statement import COSIGN_SIGN_V1

_ANY_OF: Final = "|"


@dataclass(frozen=True, slots=True)
class Matcher:
    """Two RE2 expressions, anchored at both ends."""

    issuer: str
    subject: str


def signature_rules(policy: Policy) -> Sequence[StatementRule]:
    """The rules for the signature that admission looks for; all rules where the policy has none for it."""
    return [rule for rule in policy.statements if rule.predicate_type == COSIGN_SIGN_V1] or policy.statements


def identities_of(policy: Policy, rules: Sequence[StatementRule]) -> tuple[IdentityRule, ...]:
    """Whoever may sign for one of `rules`, each once, in the order of the policy."""
    names = dict.fromkeys(name for rule in rules for name in rule.identities)
    return tuple(policy.identities[name] for name in names)


def one_matcher(identities: Sequence[IdentityRule]) -> Matcher:
    """The one matcher that admits exactly what `identities` admit, of those that are no keys.

    Raises UsageError where there is none: two identities that differ in both issuer and subject would let the issuer
    of one sign as the subject of the other.
    """
    issuers = tuple(dict.fromkeys(_expression(rule.issuer, rule.issuer_reg_exp) for rule in identities))
    subjects = tuple(dict.fromkeys(_expression(rule.subject, rule.subject_reg_exp) for rule in identities))
    if not identities:
        raise UsageError("no identity with an issuer and a subject may sign")
    if len(issuers) > 1 and len(subjects) > 1:
        raise UsageError(f"{len(identities)} identities of different issuers do not fit into one matcher")
    return Matcher(issuer=_anchored(issuers), subject=_anchored(subjects))


def anchored(pattern: str) -> str:
    """`pattern` so that it matches the whole text."""
    return f"^(?:{pattern})$"


def _expression(exact: str | None, pattern: str | None) -> str:
    if exact is not None:
        return re.escape(exact)
    return f"(?:{pattern})"


def _anchored(expressions: Sequence[str]) -> str:
    return f"^{expressions[0]}$" if len(expressions) == 1 else anchored(_ANY_OF.join(expressions))
