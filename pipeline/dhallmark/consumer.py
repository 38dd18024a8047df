"""A consumer: a verifier that decides in production, behind one narrow interface."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from dhallmark.digest import Digest
from dhallmark.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a consumer is asked about: an artifact in a registry, and what it must be checked against."""

    repository: str
    """Registry host, port and repository, without tag or digest."""
    digest: Digest
    tag: str = ""
    """Where given, the consumer is asked about this tag of the repository, and finds out its digest itself."""
    trusted_root: Path
    """A Sigstore trusted_root.json."""
    policy: Path
    """A dhallmark policy file; a consumer with a language of its own gets what it can express of it."""
    subject_name: str = ""
    """The name that the artifact must have in its statements, which binds it to its environment."""
    plain_http: bool = False
    configuration: Path | None = None
    """The user's own file for this consumer (an OCIRepository for Flux, a policy for Kyverno). Where given, the
    consumer is set up as it says, and not as the policy says."""


class Consumer(Protocol):
    """Asks one real verifier for its verdict."""

    @property
    def name(self) -> str:
        """A short name, such as `cosign`."""
        ...

    @property
    def version(self) -> str:
        """The version that runs, by its own word."""
        ...

    async def verify(self, target: Target) -> Verdict:
        """The consumer's verdict; an answer that cannot be read is `indeterminate(consumer.unreadable)`.

        Raises nothing but cancellation: a consumer that is missing, crashes or hangs is `indeterminate`, too.
        """
        ...


@runtime_checkable
class Resident(Consumer, Protocol):
    """A consumer that is a service: it is started, and then asked more than once."""

    def running(self) -> AbstractAsyncContextManager[Consumer]:
        """The consumer while it runs. Raises ToolError, UnavailableError where it, or what it needs, does not start."""
        ...


def at_work(consumer: Consumer) -> AbstractAsyncContextManager[Consumer]:
    """`consumer`, for several questions. Raises as `Resident.running`."""
    return consumer.running() if isinstance(consumer, Resident) else nullcontext(consumer)
