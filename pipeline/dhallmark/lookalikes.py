"""Identities that look like those that are meant: what a loose expression lets in (C10, C18).

From an identity that may sign, or from an expression alone, come the near misses that people have been fooled by:
another host, an owner or a repository that begins alike, another workflow, a ref that strangers can make. An expression
is tried with each, by RE2 as consumers do, anchored or not. The list is not complete, and cannot be: what it finds is
wrong, what it does not find is not proven right.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import re2


class Kind(StrEnum):
    """In what a look-alike differs from the identity that is meant."""

    DOT = "dot"
    """A character where a dot stands: a dot that is not escaped matches any."""
    HOST = "host"
    """Another host, which contains the right one: the expression is not anchored, or its host is open."""
    OWNER = "owner"
    """Another owner of repositories."""
    REPOSITORY = "repository"
    """Another repository whose name begins alike."""
    ANY_REPOSITORY = "any-repository"
    """Any repository of the owner."""
    WORKFLOW = "workflow"
    """Any workflow of the repository."""
    REF = "ref"
    """A ref that whoever may open a pull request can make."""
    COMMIT = "commit"
    """Any commit, a fork's among them."""
    ADDRESS = "address"
    """Another e-mail address."""
    ANYBODY = "anybody"
    """A text that has nothing of the identity."""


@dataclass(frozen=True, slots=True)
class Lookalike:
    """An identity that is not meant."""

    kind: Kind
    text: str


_STRANGER = "https://stranger.example/x"
_COMMIT = "0123456789abcdef0123456789abcdef01234567"
_WORKFLOW = re.compile(r"(?P<root>https?://[^/]+)/(?P<owner>[^/@]+)/(?P<path>[^@]*)(?P<ref>@.*)?")


def lookalikes(identity: str) -> Iterator[Lookalike]:
    """The near misses of an issuer's URL or a certificate's subject."""
    yield Lookalike(Kind.ANYBODY, _STRANGER if "://" in identity else "stranger@other.example")
    for place in (match.start() for match in re.finditer(r"\.", identity)):
        yield Lookalike(Kind.DOT, f"{identity[:place]}x{identity[place + 1 :]}")
    if "://" not in identity:
        yield from _addresses(identity)
        return
    scheme, _, rest = identity.partition("://")
    host, slash, path = rest.partition("/")
    yield Lookalike(Kind.HOST, f"{scheme}://{host}.stranger.example{slash}{path}")
    yield Lookalike(Kind.HOST, f"https://stranger.example/{identity}")
    yield Lookalike(Kind.HOST, f"{scheme}://stranger-{host}{slash}{path}")
    workflow = _WORKFLOW.fullmatch(identity)
    if workflow is None:
        return
    root, owner, ref = workflow["root"], workflow["owner"], workflow["ref"] or ""
    yield Lookalike(Kind.OWNER, f"{root}/{owner}-stranger/{workflow['path']}{ref}")
    yield Lookalike(Kind.OWNER, f"{root}/stranger/{workflow['path']}{ref}")
    yield from _within(root, owner, workflow["path"], ref)


def _addresses(identity: str) -> Iterator[Lookalike]:
    yield Lookalike(Kind.ADDRESS, f"stranger-{identity}")
    yield Lookalike(Kind.ADDRESS, f"{identity}.stranger.example")
    if "@" in identity:
        yield Lookalike(Kind.ADDRESS, f"stranger@{identity.rpartition('@')[2]}")


def _within(root: str, owner: str, path: str, ref: str) -> Iterator[Lookalike]:
    """Other repositories, workflows and refs of the same owner."""
    # GitHub: repository, then a folder of its own; GitLab: the project ends at a double slash.
    repository, separator, file = path.partition("//" if "//" in path else "/")
    if not separator:
        return
    yield Lookalike(Kind.REPOSITORY, f"{root}/{owner}/{repository}-stranger{separator}{file}{ref}")
    yield Lookalike(Kind.REPOSITORY, f"{root}/{owner}/stranger-{repository}{separator}{file}{ref}")
    yield Lookalike(Kind.ANY_REPOSITORY, f"{root}/{owner}/zz{separator}{file}{ref}")
    if file:
        folder = file.rpartition("/")[0]
        yield Lookalike(Kind.WORKFLOW, f"{root}/{owner}/{path[: len(path) - len(file)]}{folder}/stranger.yml{ref}")
    if ref:
        before = f"{root}/{owner}/{path}"
        yield Lookalike(Kind.REF, f"{before}@refs/pull/1/merge")
        yield Lookalike(Kind.REF, f"{before}@refs/heads/stranger")
        yield Lookalike(Kind.COMMIT, f"{before}@{_COMMIT}")


def admitted(pattern: str, *, anchored: bool, meant: Sequence[str] = ()) -> tuple[Lookalike, ...]:
    """The look-alikes that an expression lets in, one of each kind: those of the identities `meant`, or where none is
    known, of a text that the expression matches.

    `anchored` says whether the consumer matches the whole text, as dhallmark does, or any part of it, as Flux, cosign
    and Kyverno do. Raises ValueError where RE2 cannot compile the expression.
    """
    compiled = _compile(pattern)
    matches = compiled.fullmatch if anchored else compiled.search
    literal = _literal(pattern)
    goods = [text for text in meant if matches(text)] or [text for text in _samples(literal) if matches(text)][:1]
    found: dict[Kind, Lookalike] = {}
    for good in goods or [""]:
        for one in lookalikes(good):
            # A dot in what was made up to complete a sample is none of the expression's.
            made_up = one.kind is Kind.DOT and not meant and one.text[: len(literal)] == good[: len(literal)]
            if one.text not in goods and not made_up and matches(one.text):
                found.setdefault(one.kind, one)
    if Kind.ANYBODY in found:
        return (found[Kind.ANYBODY],)
    # An open owner lets in every repository, an open repository every workflow: the widest says it all.
    covered = {kind for wide, narrow in _COVERS if wide in found for kind in narrow}
    return tuple(one for kind, one in found.items() if kind not in covered)


def _compile(pattern: str) -> re2._Regexp[str]:
    import re2  # late: a tenth of a second, which commands that try no expression need not spend

    quiet = re2.Options()
    quiet.log_errors = False
    try:
        return re2.compile(pattern, quiet)
    except re2.error as error:
        said = error.args[0] if error.args else ""
        raise ValueError(said.decode(errors="replace") if isinstance(said, bytes) else str(said)) from error


_COVERS: tuple[tuple[Kind, frozenset[Kind]], ...] = (
    (Kind.OWNER, frozenset({Kind.REPOSITORY, Kind.ANY_REPOSITORY, Kind.WORKFLOW, Kind.REF, Kind.COMMIT})),
    (Kind.ANY_REPOSITORY, frozenset({Kind.REPOSITORY, Kind.WORKFLOW, Kind.REF, Kind.COMMIT})),
    (Kind.REF, frozenset({Kind.COMMIT})),
)
_ENDS = ("/.github/workflows/release.yaml@refs/heads/main", "/release.yaml@refs/heads/main", "@refs/heads/main", "")


def _samples(literal: str) -> list[str]:
    """Texts that an expression with these literal parts may be meant for, the most complete first.

    The caller tries which of them it really matches: this is no parser of RE2, and need not be one.
    """
    if "://" not in literal or "@" in literal:
        return [literal]
    return [literal.rstrip("/") + end if end.startswith("/") else literal + end for end in _ENDS]


_ELEMENT = re.compile(
    r"""
    (?P<anchor>\^|\$|\\[AzbB])
    | \(\?[:a-zA-Z-]*:? | (?P<open>\() | (?P<close>\))
    | (?P<any>\.(?:[*+]\??|\{[0-9,]+\}))
    | \[(?P<class>\^?\]?[^\]]*)\](?P<many>[*+?]\??|\{(?P<count>[0-9]+)[0-9,]*\})?
    | \\(?P<shorthand>[dDwWsS])(?P<many2>[*+?]|\{(?P<count2>[0-9]+)[0-9,]*\})?
    | \\(?P<escaped>.)
    | (?P<quantifier>[*+?]\??|\{[0-9,]+\})
    | (?P<or>\|)
    | (?P<char>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_SHORTHANDS = {"d": "1", "w": "a", "s": " ", "D": "a", "W": "-", "S": "a"}


def _literal(pattern: str) -> str:
    """The text of an expression's literal parts; of alternatives, the first."""
    out: list[str] = []
    depth, skipped = 0, None
    for match in _ELEMENT.finditer(pattern):
        if match["open"] or match[0].startswith("(?"):
            depth += 1
            continue
        if match["close"]:
            depth -= 1
            skipped = None if skipped is not None and depth < skipped else skipped
            continue
        if skipped is not None:
            continue
        if match["or"]:
            skipped = depth
        elif match["class"] is not None:
            out.append(_one_of(match["class"]) * int(match["count"] or 1))
        elif match["shorthand"]:
            out.append(_SHORTHANDS[match["shorthand"]] * int(match["count2"] or 1))
        elif match["any"]:
            out.append("" if match["any"].startswith(".*") else "x")
        elif match["escaped"] or match["char"]:
            out.append(match["escaped"] or match["char"])
    return "".join(out)


def _one_of(members: str) -> str:
    """A character of a class."""
    if members.startswith("^"):
        return next(c for c in "x1-" if c not in members)
    first = members.replace("\\d", "0").replace("\\w", "a")
    return first[:1] or "x"
