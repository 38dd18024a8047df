"""The predicate of a rebuild statement, type `https://dhallmark.dev/rebuild/v1`, as a model and a schema."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from dhallmark.audit.model import Difference, Origin, RebuildSummary, Sameness, Way
from dhallmark.config.base import Model
from dhallmark.package.model import DigestText
from dhallmark.record import Record

REBUILD_V1: Final = "https://dhallmark.dev/rebuild/v1"


class Verifier(Model):
    """Who audited."""

    id: str
    """URI of the auditor."""
    version: dict[str, str] = Field(default_factory=dict)


class Described(Model):
    """Something by URI and digest."""

    uri: str = ""
    digest: dict[str, str] = Field(default_factory=dict)


class RebuildPredicate(Record):
    """What a rebuild statement says."""

    verifier: Verifier
    time_rebuilt: str
    """When it was compared, in UTC, as RFC 3339 writes it."""
    resource_uri: str
    """The artifact, such as `oci://registry.example/prod/web@sha256:…`."""
    result: Literal[Sameness.EQUAL, Sameness.EQUIVALENT, Sameness.DIFFERENT]
    """`equal`: the same digest. `equivalent`: the same content, packed differently in the ways that are listed.
    `different`: other content."""
    rebuilt: Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64})?$")]
    """Digest of the artifact that the rebuild made."""
    provenance: DigestText | None = None
    """Digest of the manifest, or the file, of the bundle that holds the provenance it was rebuilt by."""
    source: Described = Described()
    """The commit, by the record."""
    materials: Described = Described()
    """The materials bundle, by the record."""
    policy: Described = Described()
    """What the statements on the artifact were verified by."""
    environment: RebuildSummary
    """With what, and where."""
    ways: tuple[Way, ...] = ()
    """The ways of packing that were set aside."""
    origin: Origin | None = None
    differences: tuple[Difference, ...] = ()
    """The first twenty."""
