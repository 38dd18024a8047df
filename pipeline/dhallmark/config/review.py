"""What in a valid policy lets in more than its author may think: shown by examples, never an error.

An expression is right by its syntax and wrong by what it admits; nothing but trying shows that. Each one is tried, as
the judge does (the whole text must match), with identities that look like those that it is meant for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dhallmark.config import strictyaml
from dhallmark.config.identities import IdentityRule
from dhallmark.config.policy import Format, Policy, Subjects
from dhallmark.identity import SubjectKind
from dhallmark.lookalikes import SAYS, Kind, Lookalike, admitted
from dhallmark.statement import COSIGN_SIGN_V1

_OF_ISSUERS = frozenset({Kind.DOT, Kind.HOST, Kind.SCHEME, Kind.ANYBODY})
_OF_COMMITS = frozenset({Kind.REF, Kind.BRANCH, Kind.COMMIT})
_SIGNER = "buildSignerDigest"
"""The commit of the workflow that signed. Pinned, it settles which commits and refs of a workflow may sign."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One thing that somebody should look at."""

    field: strictyaml.Path
    """Where it stands in the file."""
    message: str
    hint: str
    example: str = ""
    """An identity that is let in, where it is about that."""

    def to_json(self) -> dict[str, object]:
        return {"message": self.message, "hint": self.hint, **({"example": self.example} if self.example else {})}


def review(policy: Policy, *, meant: Sequence[str] = ()) -> tuple[Advice, ...]:
    """All that is to be said of `policy`. `meant` are subjects that are known to be good, to make look-alikes of."""
    return (*loose_expressions(policy, meant=meant), *_identities(policy), *_demands(policy), *_files(policy))


def loose_expressions(policy: Policy, *, meant: Sequence[str] = ()) -> Iterator[Advice]:
    """The expressions that let look-alikes in (C10)."""
    for name, rule in policy.identities.items():
        if rule.issuer_reg_exp is not None:
            found = [one for one in admitted(rule.issuer_reg_exp, anchored=True) if one.kind in _OF_ISSUERS]
            yield from _told(("identities", name, "issuerRegExp"), found)
        if rule.subject_reg_exp is not None:
            loose = admitted(rule.subject_reg_exp, anchored=True, meant=meant)
            found = [one for one in loose if not _is_settled(one, rule)]
            yield from _told(("identities", name, "subjectRegExp"), found)


def _is_settled(one: Lookalike, rule: IdentityRule) -> bool:
    """Whether something else in the rule refuses a look-alike that the expression admits."""
    is_address = "://" not in one.text
    if is_address != (rule.kind is SubjectKind.EMAIL) and one.kind is not Kind.ANYBODY:
        return True
    return one.kind in _OF_COMMITS and (_SIGNER in rule.extensions or _SIGNER in rule.reachable)


def _told(field: strictyaml.Path, found: Sequence[Lookalike]) -> Iterator[Advice]:
    for one in found:
        hint = (
            f"list the commits in `extensions.{_SIGNER}`, or demand `reachable.{_SIGNER}`"
            if one.kind in _OF_COMMITS
            else "escape dots, and spell out host, owner, repository and workflow"
        )
        yield Advice(field=field, message=f"admits {SAYS[one.kind]}", hint=hint, example=one.text or "an empty text")


def _identities(policy: Policy) -> Iterator[Advice]:
    used = {name for statement in policy.statements for name in statement.identities}
    used |= set(policy.signature.identities if policy.signature else ())
    for name, rule in policy.identities.items():
        if name not in used and policy.layout is None:
            yield Advice(
                field=("identities", name),
                message="no rule uses this identity; a failed test result by it refuses a release all the same",
                hint="leave it out, unless that is what it is for",
            )
        if (rule.issuer or "").startswith("http://"):
            yield Advice(
                field=("identities", name, "issuer"),
                message="an issuer without TLS: whoever stands between can issue tokens",
                hint="use https, except in a lab",
            )
        if "@refs/pull/" in (rule.subject or ""):
            yield Advice(
                field=("identities", name, "subject"),
                message="a pull request's ref: whoever may open one signs",
                hint="let a protected branch or tag sign",
            )


def _demands(policy: Policy) -> Iterator[Advice]:
    keyless = any(rule.key is None for rule in policy.identities.values())
    if policy.evidence.log_entries == 0:
        yield Advice(
            field=("evidence", "logEntries"),
            message="no transparency log: a stolen token or key signs without anyone seeing it",
            hint="leave it out where there is a log",
        )
    if keyless and policy.evidence.scts == 0:
        yield Advice(
            field=("evidence", "scts"),
            message="no certificate transparency: an authority that issues to strangers is not found out",
            hint="leave it out where the authority has a CT log",
        )
    if Format.LEGACY in policy.formats:
        yield Advice(
            field=("formats",),
            message="cosign's legacy signatures bind neither predicate type nor name: dev's stands for prod's",
            hint="sign again as bundles, and leave `legacy` out",
        )
    for index, rule in enumerate(policy.statements):
        if rule.allow_unnamed:
            yield Advice(
                field=("statements", index, "allowUnnamed"),
                message="nothing binds the statement to the artifact's environment: dev's stands for prod's",
                hint="sign statements whose subject names the repository",
            )
        if rule.predicate_type == COSIGN_SIGN_V1 and rule.allowed_subjects is not Subjects.ARTIFACT:
            yield Advice(
                field=("statements", index, "subjects"),
                message="one signature lets several artifacts in, in cosign and Flux, too",
                hint="make one signature for each artifact",
            )


def _files(policy: Policy) -> Iterator[Advice]:
    bundles: list[tuple[strictyaml.Path, str]] = [
        (("identities", name, "reachable", extension, "bundle"), item.bundle)
        for name, rule in policy.identities.items()
        for extension, item in rule.reachable.items()
    ]
    if policy.source and policy.source.reachable:
        bundles.append((("source", "reachable", "bundle"), policy.source.reachable.bundle))
    for field, bundle in bundles:
        if not (policy.origin.folder / bundle).is_file():
            yield Advice(
                field=field,
                message=f"there is no {bundle} beside the policy: every verdict will be indeterminate",
                hint="`git bundle create FILE BRANCH` writes it, in a clone that you trust",
            )
