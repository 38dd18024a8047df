"""What a bundle is verified by: all that is the same for the bundles of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from dhallmark.verify.demands import Demands
from dhallmark.verify.keys import ManagedKey
from dhallmark.verify.trust import TrustRoot


@dataclass(frozen=True, slots=True)
class Terms:
    """Whom to believe, and what to demand."""

    trust: TrustRoot | None
    """May be None where the demands need none: then no certificate is believed, and log entries and timestamps are not
    looked at."""
    keys: Sequence[ManagedKey] = ()
    """A bundle that names a public key is verified by that one of these, or by the only one; one with a certificate
    never by a key."""
    demands: Demands = Demands()  # noqa: RUF009 - frozen
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    """For a time of signing that is in the future, and for keys of which nothing says when they signed."""
    layout: bool = False
    """The envelope must hold an in-toto layout instead of a statement."""
