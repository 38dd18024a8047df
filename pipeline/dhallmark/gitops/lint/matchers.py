"""Rules about identity expressions, read as Flux, cosign and Kyverno read them: RE2, and not anchored."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from dhallmark.gitops.lint.model import Finding, Fix, Resource, Severity
from dhallmark.gitops.lint.yamlfile import PLACEHOLDER, Mapping, Scalar
from dhallmark.lookalikes import SAYS, Kind, Lookalike, admitted

_OF_ISSUERS = frozenset({Kind.DOT, Kind.HOST, Kind.SCHEME, Kind.ANYBODY})
_WARNED = frozenset({Kind.DOT, Kind.ANY_REPOSITORY, Kind.WORKFLOW, Kind.BRANCH})
"""What needs a second mistake, or somebody of the same owner, to be used."""
_COMMITS = frozenset({Kind.REF, Kind.COMMIT})
_ONE_COMMIT = re.compile(r"@[0-9a-f]{40}\$?$")
_SUBSTITUTED = re.compile(r"\$\{[^}]*\}")
"""What Flux's post-build substitution fills in."""


def check_matcher(resource: Resource, matcher: Mapping, *, issuer: str, subject: str) -> Iterator[Finding]:
    """Rules about one matcher, whose expressions stand under the keys `issuer` and `subject`."""
    for key, of_issuers in ((issuer, True), (subject, False)):
        scalar = matcher.get(key)
        if isinstance(scalar, Scalar) and scalar.value:
            yield from _check(resource, matcher, key, scalar, of_issuers=of_issuers)


def _check(resource: Resource, matcher: Mapping, key: str, scalar: Scalar, *, of_issuers: bool) -> Iterator[Finding]:
    pattern = scalar.value
    if PLACEHOLDER in pattern or _SUBSTITUTED.search(pattern):
        return  # filled in where it is applied
    base = Finding(
        rule="verify.regex-loose",
        file=resource.file,
        line=matcher.line_of(key),
        subject=resource.subject,
        message="",
    )
    try:
        found = admitted(pattern, anchored=False)
    except ValueError as error:
        yield replace(base, rule="verify.regex-invalid", message=f"the {key} is no RE2 expression: {error}")
        return
    if of_issuers:
        found = tuple(one for one in found if one.kind in _OF_ISSUERS)
    loose = [one for one in found if one.kind not in _COMMITS]
    if loose:
        tight = tightened(pattern)
        fits = tight != pattern and not [one for one in admitted(tight, anchored=False) if one in loose]
        yield replace(
            base,
            message=f"the {key} admits {_told(loose)}",
            severity=Severity.WARNING if {one.kind for one in loose} <= _WARNED else Severity.ERROR,
            proposal=f"{key}: '{tight}'" if fits else "",
            fix=Fix(line=scalar.line, column=scalar.column, old=pattern, new=tight) if fits else None,
        )
    commits = [one for one in found if one.kind in _COMMITS]
    if commits and not of_issuers:
        yield replace(base, rule="verify.regex-any-commit", message=f"the {key} admits {_told(commits)}")
    if not of_issuers and _ONE_COMMIT.search(pattern):
        yield replace(base, rule="verify.regex-one-commit", message=f"the {key} ends with one commit")


def _told(found: list[Lookalike]) -> str:
    first = found[0]
    kinds = "; ".join(dict.fromkeys(SAYS[one.kind] for one in found))
    return f"{kinds}: {first.text or 'an empty text'}"


_BARE_DOT = re.compile(r"(?<!\\)\.(?![*+?{])")


def tightened(pattern: str) -> str:
    """The expression with its lone dots escaped, and anchored where it begins and ends with literal text.

    It matches a part of what it matched before; everything that is meant literally is still in it.
    """
    if "[" in pattern or "|" in pattern:
        return pattern  # a dot in a class is none, and an anchor belongs to one alternative
    tight = _BARE_DOT.sub(r"\\.", pattern)
    if tight.startswith(("http://", "https://")):
        tight = f"^{tight}"
    if tight.startswith("^") and not tight.endswith(("$", "*", "+", "/")) and ("@" in tight or tight.count("/") == 2):  # noqa: PLR2004
        tight = f"{tight}$"
    return tight
