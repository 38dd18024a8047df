"""Identities that look like those that are meant: what a loose expression lets in (C10, C18).

From an identity that may sign, or from an expression alone, come the near misses that people have been fooled by:
another host, an owner or a repository that begins alike, another workflow, a ref that strangers can make. An expression
is tried with each, by RE2 as consumers do, anchored or not. The list is not complete, and cannot be: what it finds is
wrong, what it does not find is not proven right.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from dhallmark.expressions import Sample, samples

if TYPE_CHECKING:
    import re2


class Kind(StrEnum):
    """In what a look-alike differs from the identity that is meant."""

    DOT = "dot"
    """A character where a dot stands: a dot that is not escaped matches any."""
    HOST = "host"
    """Another host, which contains the right one: the expression is not anchored, or its host is open."""
    SCHEME = "scheme"
    """The same without TLS: whoever stands between can answer in its name."""
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
    BRANCH = "branch"
    """A ref whose name begins alike."""
    COMMIT = "commit"
    """Any commit, a fork's among them."""
    ADDRESS = "address"
    """Another e-mail address."""
    ANYBODY = "anybody"
    """A text that has nothing of the identity."""


SAYS: Mapping[Kind, str] = MappingProxyType(
    {
        Kind.DOT: "a dot that is not escaped",
        Kind.HOST: "another host",
        Kind.SCHEME: "an address without TLS",
        Kind.OWNER: "another owner",
        Kind.REPOSITORY: "another repository",
        Kind.ANY_REPOSITORY: "any repository of the owner",
        Kind.WORKFLOW: "any workflow of the repository",
        Kind.REF: "any ref and commit",
        Kind.BRANCH: "a ref whose name begins alike",
        Kind.COMMIT: "any commit, a fork's among them",
        Kind.ADDRESS: "another address",
        Kind.ANYBODY: "anybody",
    }
)
"""What each kind means that an expression lets in, in a few words."""


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
    if scheme == "https":
        yield Lookalike(Kind.SCHEME, f"http://{rest}")
    yield Lookalike(Kind.HOST, f"{scheme}://{host}.stranger.example{slash}{path}")
    yield Lookalike(Kind.HOST, f"{scheme}://{host}@stranger.example{slash}{path}")
    yield Lookalike(Kind.HOST, f"https://stranger.example/{identity}")
    yield Lookalike(Kind.HOST, f"{scheme}://stranger-{host}{slash}{path}")
    workflow = _WORKFLOW.fullmatch(identity)
    if workflow is None:
        return
    root, owner, ref = workflow["root"], workflow["owner"], workflow["ref"] or ""
    yield Lookalike(Kind.OWNER, f"{root}/{owner}-stranger/{workflow['path']}{ref}")
    yield Lookalike(Kind.OWNER, f"{root}/stranger/{workflow['path']}{ref}")
    yield Lookalike(Kind.ADDRESS, f"{owner}@stranger.example")
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
        yield Lookalike(Kind.BRANCH, f"{before}{ref}-stranger")
        yield Lookalike(Kind.COMMIT, f"{before}@{_COMMIT}")


def admitted(pattern: str, *, anchored: bool, meant: Sequence[str] = ()) -> tuple[Lookalike, ...]:
    """The look-alikes that an expression lets in, one of each kind: those of the identities `meant`, and of texts that
    its own structure says it matches.

    `anchored` says whether the consumer matches the whole text, as dhallmark does, or any part of it, as Flux, cosign
    and Kyverno do. Raises ValueError where RE2 cannot compile the expression.
    """
    compiled = _compile(pattern)
    matches = compiled.fullmatch if anchored else compiled.search
    # What somebody means is spelt by him; what a sample was completed with is not.
    goods = [Sample(text, "1" * len(text)) for text in meant if matches(text)]
    found_in = samples(pattern)
    if not anchored:  # whatever follows is let in as well
        found_in += tuple(sample + Sample(end, "0" * len(end)) for sample in found_in[:1] for end in _ENDS)
    goods += [sample for sample in found_in if matches(sample.text)]
    found: dict[Kind, Lookalike] = {}
    for good in goods or [Sample("", "")]:
        for one in lookalikes(good.text):
            if one.text in meant or one.text == good.text or one.kind in found:
                continue
            if _is_told(one, good) and matches(one.text):
                found[one.kind] = one
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
    (Kind.OWNER, frozenset({Kind.REPOSITORY, Kind.ANY_REPOSITORY, Kind.WORKFLOW, Kind.REF, Kind.BRANCH, Kind.COMMIT})),
    (Kind.ANY_REPOSITORY, frozenset({Kind.REPOSITORY, Kind.WORKFLOW, Kind.REF, Kind.BRANCH, Kind.COMMIT})),
    (Kind.REF, frozenset({Kind.BRANCH, Kind.COMMIT})),
)


_ENDS = ("/.github/workflows/release.yaml@refs/heads/main", "/release.yaml@refs/heads/main", "@refs/heads/main")


def _is_told(one: Lookalike, good: Sample) -> bool:
    """Whether a look-alike says something of the expression: a dot that was chosen to complete a sample does not."""
    if one.kind is not Kind.DOT:
        return True
    place = next(index for index, (a, b) in enumerate(zip(one.text, good.text, strict=True)) if a != b)
    return good.literal[place] == "1"
