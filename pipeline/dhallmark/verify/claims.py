"""What is claimed about an artifact, by whom, and what it must be about: the input of the policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from dhallmark.digest import Digest
from dhallmark.identity import Signatory
from dhallmark.statement import Statement
from dhallmark.verdict import Check, Verdict
from dhallmark.verify.bundle import BundleResult


class ArtifactFacts(NamedTuple):
    """What the statements must be about."""

    name: str | None
    """The name that the artifact must have in its statements: its repository, which binds it to its environment. None
    for a file, unless the user named it: where it lies says nothing of where it belongs, and its digest binds alone."""
    digest: Digest
    """Of its manifest, or of the file."""
    archive: Digest | None
    """Of its one layer; None where it has no layer or several."""


class Signed(NamedTuple):
    """A statement whose bundle was verified."""

    bundle: Verdict
    """The verdict on the bundle: accepted."""
    statement: Statement
    identity: Signatory
    times: tuple[datetime, ...] = ()
    """When it was signed, by verified times; none where a key alone vouches for it."""

    def verdict(self, checks: Sequence[Check]) -> Verdict:
        return Verdict.of(self.bundle.subject, checks=checks, parts=[self.bundle])


class SignedMessage(NamedTuple):
    """A bare signature over a file's bytes, whose bundle was verified."""

    bundle: Verdict
    """The verdict on the bundle: accepted."""
    digest: Digest
    """Of the bytes that are signed."""
    identity: Signatory
    times: tuple[datetime, ...] = ()
    """When it was signed, by verified times; none where a key alone vouches for it."""

    def verdict(self, checks: Sequence[Check]) -> Verdict:
        return Verdict.of(self.bundle.subject, checks=checks, parts=[self.bundle])


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsigned:
    """A statement that is about to be signed by the one who asks."""

    source: str
    """Where it came from, for the report."""
    statement: Statement

    def verdict(self, checks: Sequence[Check]) -> Verdict:
        return Verdict.of(self.source, checks=checks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A bundle that was not accepted. It meets no rule; it can explain why a rule is not met."""

    verdict: Verdict
    predicate_type: str | None
    """What it claims to hold, if that can be told. Nobody vouches for it."""


Claim = Signed | Unsigned
"""A statement."""


def claim_of(result: BundleResult) -> Signed | SignedMessage | None:
    """What an accepted bundle claims; None for one that was not accepted."""
    if result.identity is None:
        return None
    if result.statement is not None:
        return Signed(bundle=result.verdict, statement=result.statement, identity=result.identity, times=result.times)
    if result.message is not None:
        return SignedMessage(bundle=result.verdict, digest=result.message, identity=result.identity, times=result.times)
    return None
