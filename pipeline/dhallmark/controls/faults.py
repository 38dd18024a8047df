"""Faults of a registry, declared: which requests are hit, and what they are answered with.

A control lists them; `dhallmark.controls.proxy` stands before a real registry and makes them. They hit requests for
the mutant alone: the good artifact is served by the same registry through the same proxy, without any.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from dhallmark.config.model import Model


class Place(StrEnum):
    """Kinds of requests, by their path (OCI distribution-spec 1.1)."""

    ANY = "any"
    """Every request about the repository; `/v2/` alone is about none."""
    MANIFEST = "manifest"
    """A manifest by its digest."""
    TAG = "tag"
    """A manifest by a tag that is none of the next two."""
    FALLBACK = "fallback"
    """The fallback index of referrers: the tag `sha256-<hex>`."""
    LEGACY = "legacy"
    """cosign's tags: `sha256-<hex>.sig`, `.att`, `.sbom`."""
    REFERRERS = "referrers"
    TAGS = "tags"
    BLOB = "blob"


class Effect(StrEnum):
    """What a request that is hit is answered with. "The answer" is what the real registry says."""

    STATUS = "status"
    """`status` with an error of the specification's shape; `headers` beside it, such as a challenge or an address."""
    GARBAGE = "garbage"
    """200, the answer's content type, and bytes that mean nothing."""
    EMPTY = "empty"
    """200 and no body."""
    CONTENT_TYPE = "content-type"
    """The answer, as text/html."""
    DIGEST_HEADER = "digest-header"
    """The answer, with a Docker-Content-Digest of something else."""
    SLOW = "slow"
    """The answer, one byte a second."""
    NEVER = "never"
    """The request is taken, and nothing comes."""
    RESET = "reset"
    """The connection is closed instead of an answer."""
    CUT_OFF = "cut-off"
    """The answer's head, and the first half of its body."""
    ENDLESS = "endless"
    """The answer, and after it spaces without end, in chunks."""
    PAGE_LOST = "page-lost"
    """The first half of a listing, and a link to a second page, which answers 500."""
    PAGES_LOOP = "pages-loop"
    """A listing whose next page is itself."""
    PAGES_ENDLESS = "pages-endless"
    """A listing of which each page has another one after it."""
    CROWDED = "crowded"
    """A listing with `count` more entries, of which none is there."""
    INSTEAD = "instead"
    """The answer to the same request about what the tag `instead` of the repository names."""


class Fault(Model):
    """One fault: requests of the kind `place` have the effect `effect`."""

    place: Place
    effect: Effect
    status: Annotated[int, Field(ge=100, le=599)] = 500
    headers: Annotated[dict[str, str], Field(default_factory=dict)]
    """Beside the status. `{origin}` in a value stands for the registry's own scheme, host and port, `{target}` for the
    request's own path."""
    skip: Annotated[int, Field(ge=0)] = 0
    """So many requests of the kind are let through first."""
    times: Annotated[int, Field(ge=1)] | None = None
    """So many are hit after that, and the rest is let through again; all of them where it is not given."""
    count: Annotated[int, Field(ge=0, le=100_000)] = 0
    instead: str = ""
