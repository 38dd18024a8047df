"""A control: a case with the verdict and the reason that it must give (CONTROLS.md)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

from dhallmark.consumer import Target
from dhallmark.reasons import Reason
from dhallmark.verdict import Outcome


class Group(StrEnum):
    """The groups of the catalogue; each has a file of its own below `controls/`."""

    SIGNATURE = "signature"
    CERTIFICATE = "certificate"
    LOG = "log"
    STATEMENT = "statement"
    REGISTRY = "registry"
    GITOPS = "gitops"
    CHART = "chart"


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
    """One case. `mutate` derives a target from a good release; it works on a private copy in a registry."""

    id: str
    """The id in the catalogue, such as `C1`, with a suffix where a control has several cases."""
    group: Group
    title: str
    """What was changed, in a few words."""
    flaw: str
    """The flaw in the field that it stands for: a CVE, a GHSA, or a sentence."""
    mutate: Callable[[Bench], Awaitable[Target]]
    """Makes the mutant and says where it is. A positive control returns the good target."""
    expect: Mapping[str, Expectation] = field(default_factory=dict)
    """By the consumer's name. A consumer that is not named here is not asked."""


class Forge(Protocol):
    """What a mutation may do with a release: copy it, change it, sign something as whoever it names.

    It signs in the lab, never with the user's own identity, and pushes only to the control's own registry.
    """

    async def copy(self, target: Target, *, referrers: bool = True) -> Target:
        """Copy the artifact, with its referrers or bare, to a repository of its own; the digest stays."""
        ...

    async def referrers(self, target: Target) -> Sequence[bytes]:
        """The Sigstore bundles of the artifact, as they stand in the registry."""
        ...

    async def attach(self, target: Target, bundle: bytes) -> None:
        """Attach a bundle to the artifact."""
        ...

    async def replace(self, target: Target, content: Callable[[bytes], bytes]) -> Target:
        """Push the artifact with its first layer changed by `content`: another digest, no referrers."""
        ...

    async def sign(
        self, payload: bytes, *, issuer: str = "", claims: Mapping[str, str] = MappingProxyType({})
    ) -> bytes:
        """A bundle over `payload` (a statement) by the release's own lab identity, or by another issuer or claims."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a mutation works on and with."""

    good: Target
    forge: Forge
