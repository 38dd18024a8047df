"""What a policy says of identities, in the fewer words of consumers that know one matcher.

Flux and cosign know an issuer and a subject, each exact or an expression. Their expressions are not anchored, so what
comes from a policy is anchored here. They do not see Fulcio's extensions: a list of commits that the policy demands
there is written into the subject, where the subject ends with the commit, so that they let in no other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from dhallmark.config.identities import IdentityRule
from dhallmark.config.policy import Policy, StatementRule
from dhallmark.errors import InputError, UsageError
from dhallmark.expressions import samples
from dhallmark.lookalikes import SAYS, Kind, Lookalike, admitted, lookalikes
from dhallmark.statement import COSIGN_SIGN_V1

_ANY_OF: Final = "|"
_SIGNER: Final = "buildSignerDigest"
"""The commit of the workflow that signed; a workflow that is called by its commit has it in its subject, too."""
_ANY_COMMIT: Final = re.compile(
    r"(?<=@)(?:\[0-9a-f\]|\[a-f0-9\]|\[0-9a-fA-F\]|\[a-fA-F0-9\]|\[\[:xdigit:\]\]|\\w)(?:\{40\}|\+)"
)
"""How an expression says "any commit" behind the workflow's `@`."""
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_SUBJECTS_COMMIT: Final = re.compile(r"@([0-9a-f]{40})$")
_OF_COMMITS: Final = frozenset({Kind.REF, Kind.BRANCH, Kind.COMMIT})


@dataclass(frozen=True, slots=True)
class Matcher:
    """Two RE2 expressions, anchored at both ends."""

    issuer: str
    subject: str

    def to_json(self) -> dict[str, str]:
        """As it stands in Flux's `matchOIDCIdentity`."""
        return {"issuer": self.issuer, "subject": self.subject}


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
    subjects = tuple(dict.fromkeys(_expression(rule.subject, subject_expression(rule)) for rule in identities))
    if not identities:
        raise UsageError("no identity with an issuer and a subject may sign")
    if len(issuers) > 1 and len(subjects) > 1:
        raise UsageError(
            f"{len(identities)} identities of different issuers do not fit into one matcher",
            hint="the issuer of one could sign as the subject of the other: let identities of one issuer sign",
        )
    return Matcher(issuer=_anchored(issuers), subject=_anchored(subjects))


def subject_expression(rule: IdentityRule) -> str | None:
    """The rule's expression for subjects, with its list of commits where it says any commit; None for an exact one."""
    pattern = rule.subject_reg_exp
    if pattern is None or not _listed(rule):
        return pattern
    return _ANY_COMMIT.sub(f"(?:{_ANY_OF.join(_listed(rule))})", pattern)


def anchored(pattern: str) -> str:
    """`pattern` so that it matches the whole text."""
    return f"^(?:{pattern})$"


def require_tight(name: str, rule: IdentityRule) -> None:
    """Raise InputError for an identity that a consumer which sees issuer and subject alone would take too widely: its
    policy holds the commits of the workflow in something that such a consumer does not look at."""
    pattern = subject_expression(rule)
    if pattern is None or not (_SIGNER in rule.extensions or _SIGNER in rule.reachable):
        return
    loose = [one for one in admitted(pattern, anchored=True) if one.kind in _OF_COMMITS]
    if loose:
        raise InputError(
            f"the identity {name!r} cannot be said to consumers that see issuer and subject alone: they would let in "
            f"{SAYS[loose[0].kind]}, such as {loose[0].text}",
            hint=f"end its subjectRegExp with @[0-9a-f]{{40}} and list the commits in extensions.{_SIGNER}, or let a "
            "workflow sign that is called by its branch",
        )


def require_equal(matcher: Matcher, identities: Sequence[IdentityRule]) -> None:
    """Try the matcher, as a consumer does, with identities that may sign and with their near misses; raise InputError
    where it decides otherwise than the rules that it was made of."""
    import re2  # late: a tenth of a second

    rules = [_Rule.of(rule) for rule in identities]
    issuer, subject = re2.compile(matcher.issuer), re2.compile(matcher.subject)
    for text, other in _tried(rules):
        said = bool(issuer.search(text)) and bool(subject.search(other))
        if said != any(rule.admits(text, other) for rule in rules):
            raise InputError(
                f"one matcher for {len(rules)} identities would {'let in' if said else 'refuse'} {other} of {text}",
                hint="write the expressions of these identities without flags, or name the identities exactly",
            )


@dataclass(frozen=True, slots=True)
class _Rule:
    """One identity as the policy's own judge reads it: whole texts, and the commits that are listed."""

    issuers: tuple[str, ...]
    """Some that it means."""
    subjects: tuple[str, ...]
    admits_issuer: Callable[[str], bool]
    admits_subject: Callable[[str], bool]

    @classmethod
    def of(cls, rule: IdentityRule) -> _Rule:
        listed = frozenset(_listed(rule)) if subject_expression(rule) != rule.subject_reg_exp else frozenset()
        issuers, admits_issuer = _side(rule.issuer, rule.issuer_reg_exp)
        subjects, admits = _side(rule.subject, rule.subject_reg_exp)
        with_commits = tuple(
            _SUBJECTS_COMMIT.sub(f"@{commit}", text) for commit in (*sorted(listed), "0" * 40) for text in subjects
        )

        def admits_subject(text: str) -> bool:
            commit = _SUBJECTS_COMMIT.search(text)
            return admits(text) and (not listed or (commit is not None and commit[1] in listed))

        return cls(issuers, tuple(dict.fromkeys((*subjects, *with_commits))), admits_issuer, admits_subject)

    def admits(self, issuer: str, subject: str) -> bool:
        return self.admits_issuer(issuer) and self.admits_subject(subject)


def _side(exact: str | None, pattern: str | None) -> tuple[tuple[str, ...], Callable[[str], bool]]:
    if exact is not None:
        return (exact,), lambda text: text == exact
    import re2

    compiled = re2.compile(pattern or "")
    return tuple(one.text for one in samples(pattern or "")), lambda text: bool(compiled.fullmatch(text))


def _tried(rules: Sequence[_Rule]) -> Iterator[tuple[str, str]]:
    """Pairs of issuer and subject: those that are meant, of one rule and across rules, and the near misses of each."""
    issuers = tuple(dict.fromkeys(text for rule in rules for text in rule.issuers))
    subjects = tuple(dict.fromkeys(text for rule in rules for text in rule.subjects))
    for issuer in issuers:
        for subject in subjects:
            yield issuer, subject
            yield from ((issuer, near.text) for near in _near(subject))
    for subject in subjects[:1]:
        yield from ((near.text, subject) for issuer in issuers for near in _near(issuer))


def _near(text: str) -> Iterator[Lookalike]:
    yield from lookalikes(text)
    yield from (Lookalike(Kind.ANYBODY, other) for other in (f"{text}\n", f"x{text}", f"{text}x", ""))


def _listed(rule: IdentityRule) -> tuple[str, ...]:
    """The commits of its workflow that may sign, where the rule lists them."""
    found = rule.extensions.get(_SIGNER, ())
    commits = (found,) if isinstance(found, str) else found
    return tuple(commits) if all(_COMMIT.fullmatch(one) for one in commits) else ()


def _expression(exact: str | None, pattern: str | None) -> str:
    if exact is not None:
        return re.escape(exact)
    return f"(?:{pattern})"


def _anchored(expressions: Sequence[str]) -> str:
    return f"^{expressions[0]}$" if len(expressions) == 1 else anchored(_ANY_OF.join(expressions))
