"""A control: a case with the verdict and the reason that it must give."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from dhallmark.controls.faults import Fault
from dhallmark.digest import Digest
from dhallmark.reasons import Reason
from dhallmark.verdict import Outcome

if TYPE_CHECKING:
    from dhallmark.controls.forge import Bench


class Group(StrEnum):
    """The groups of the catalogue; each has a file of its own below `controls/catalogue/`."""

    SIGNATURE = "signature"
    CERTIFICATE = "certificate"
    LOG = "log"
    STATEMENT = "statement"
    REGISTRY = "registry"
    GITOPS = "gitops"
    CHART = "chart"


class Kind(StrEnum):
    """What a control shows to a consumer."""

    ARTIFACT = "artifact"
    """An artifact in a registry."""
    TREE = "tree"
    """A deploy tree."""
    PROJECT = "project"
    """Dhall sources with their `dhallmark.yaml`."""


class NotApplicableError(Exception):
    """A mutation cannot be made of this artifact under this policy, and why: the control is skipped, and said so."""


Mutation = Callable[["Bench"], Awaitable["Digest | None"]]
"""Makes one side of a control on its bench: what the consumer is shown. Gives the digest of the artifact to ask about,
or None where the control is about files. Raises NotApplicableError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What one consumer must say to a control."""

    outcome: Outcome
    reason: Reason | None = None
    """None only where the outcome is accepted."""
    out_of_scope: str = ""
    """What this consumer does, by design, instead of seeing the flaw: a sentence. Not a pass: an open hole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """One case: a mutant, its positive twin, and what consumers must say to the mutant.

    A positive control has a "mutant" that must be accepted: it guards against consumers that refuse everything.
    """

    id: str
    """The id in the catalogue, such as `C1`, with a suffix where a control has several cases."""
    group: Group
    title: str
    """What was changed, in a few words."""
    flaw: str
    """The flaw in the field that it stands for: a CVE, a GHSA, or a sentence."""
    kind: Kind = Kind.ARTIFACT
    """What it is about. Only dhallmark is asked about anything but artifacts."""
    mutate: Mutation
    good: Mutation | None = None
    """The twin, which must be accepted before and after. The user's own artifact with all that is signed about it,
    where it is not given."""
    release: bool = False
    """True for the few that every release runs before anything is promoted."""
    faults: tuple[Fault, ...] = ()
    """What the registry does wrong while it is asked for the mutant; never for the good artifact."""
    by_tag: bool = False
    """True where consumers are asked about a tag that names the artifact, instead of about its digest."""
    expect: Mapping[str, Expectation] = field(default_factory=dict)
    """By the consumer's name. A consumer that is not named here is not asked."""
