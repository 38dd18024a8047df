"""A control: a case with the verdict and the reason that it must give."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from dhallmark.controls.faults import Fault
from dhallmark.digest import Digest
from dhallmark.reasons import Reason
from dhallmark.verdict import Outcome


class Group(StrEnum):
    """The groups of the catalogue; each has a file of its own below `controls/catalogue/`."""

    SIGNATURE = "signature"
    CERTIFICATE = "certificate"
    LOG = "log"
    STATEMENT = "statement"
    REGISTRY = "registry"
    GITOPS = "gitops"
    CHART = "chart"


class Signer(StrEnum):
    """As whom a mutation may sign. None of them is the user: all tokens are a lab's."""

    RELEASE = "release"
    """The identity that signed the good release, by the lab's issuer of that name."""
    STRANGER = "stranger"
    """Another repository, by the same issuer."""
    FOREIGN = "foreign"
    """The same subject, by another issuer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What one consumer must say to a control."""

    outcome: Outcome
    reason: Reason | None = None
    """None only where the outcome is accepted."""
    out_of_scope: str = ""
    """Why this consumer cannot see the flaw by design. Not a pass: the report lists it as an open hole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """One case. `mutate` makes the mutant in a repository of the control's own, and says which digest it has."""

    id: str
    """The id in the catalogue, such as `C1`, with a suffix where a control has several cases."""
    group: Group
    title: str
    """What was changed, in a few words."""
    flaw: str
    """The flaw in the field that it stands for: a CVE, a GHSA, or a sentence."""
    mutate: Callable[[Bench], Awaitable[Digest]]
    needs_signer: bool = False
    """True where the mutation signs: it then needs a lab."""
    faults: tuple[Fault, ...] = ()
    """What the registry does wrong while it is asked for the mutant; never for the good artifact."""
    by_tag: bool = False
    """True where consumers are asked about a tag that names the artifact, instead of about its digest."""
    expect: Mapping[str, Expectation] = field(default_factory=dict)
    """By the consumer's name. A consumer that is not named here is not asked."""


class Forge(Protocol):
    """What a mutation may do. All of it happens in the control's own repository, never in the user's."""

    async def copy(self) -> Digest:
        """Put the good artifact there, bare: without anything that refers to it."""
        ...

    async def rebuild(self, change: Callable[[bytes], bytes]) -> Digest:
        """Put the good artifact there with its first layer changed and a manifest that fits: another digest, bare."""
        ...

    async def corrupt(self, digest: Digest) -> None:
        """Flip a bit in the stored bytes of the first layer of `digest`: served under its old digest."""
        ...

    async def attach(self, digest: Digest, bundle: bytes) -> None:
        """Attach a bundle to the artifact `digest`."""
        ...

    async def list_in_index(self, digest: Digest) -> None:
        """List what is attached to `digest` now in its fallback index, for a registry without the referrers API."""
        ...

    async def sign(self, payload: bytes, signer: Signer) -> bytes:
        """A bundle over the statement `payload`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a mutation works on and with."""

    good: Digest
    """The good artifact's manifest."""
    name: str
    """Its name in its statements."""
    bundles: Sequence[bytes]
    """The good artifact's Sigstore bundles, all of them verified."""
    forge: Forge
