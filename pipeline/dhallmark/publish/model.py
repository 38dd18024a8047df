"""The records of what was pushed and published. None holds a clock, a host's name of this machine, or a user."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field

from dhallmark import strictjson
from dhallmark.config.base import Model, Name, Version
from dhallmark.package.model import DigestText, Kind
from dhallmark.record import Record, parse_record

PUSH_SCHEMA = "dhallmark.dev/push/v1"
PUBLISH_SCHEMA = "dhallmark.dev/publish/v1"
FILE = "publish.json"
"""Where the record of publishing stands in a build directory."""


class Pushed(Model):
    """An artifact that stands, by digest, in its staging repository: `publish/<environment>/<name>.json`."""

    schema_: Annotated[Literal["dhallmark.dev/push/v1"], Field(alias="schema")] = "dhallmark.dev/push/v1"
    kind: Kind
    environment: Name
    name: str
    version: Version
    repository: str
    """Where it will be published, with the registry: its name in every statement."""
    staging: str
    """Where it is, with the registry."""
    digest: DigestText
    size: Annotated[int, Field(ge=0)]
    """Of the manifest, in bytes."""
    media_type: str
    materials: DigestText
    """Digest of the manifest that attaches the materials bundle."""

    def to_bytes(self) -> bytes:
        return strictjson.dump(self.model_dump(mode="json", by_alias=True))


class Attached(Model):
    """Something that refers to a published artifact."""

    digest: DigestText
    """Of the manifest that attaches it."""
    artifact_type: str
    predicate_type: str = ""
    """Of the statement, for a bundle."""


class Published(Model):
    """One artifact where consumers read it."""

    kind: Kind
    environment: Name
    name: str
    repository: str
    """With the registry."""
    tag: str
    digest: DigestText
    moved_from: DigestText | None = None
    """What the tag named before, where it named something else."""
    attached: Annotated[tuple[Attached, ...], Field(min_length=1)]

    @property
    def pinned(self) -> str:
        """`<registry>/<repository>@<digest>`."""
        return f"{self.repository}@{self.digest}"

    @property
    def reference(self) -> str:
        """`<registry>/<repository>:<tag>`."""
        return f"{self.repository}:{self.tag}"


class Publication(Record):
    """All of a release, published."""

    schema_: Annotated[Literal["dhallmark.dev/publish/v1"], Field(alias="schema")] = "dhallmark.dev/publish/v1"
    project: Name
    version: Version
    artifacts: Annotated[tuple[Published, ...], Field(min_length=1)]

    @classmethod
    def parse(cls, content: bytes, *, file: str = FILE) -> Self:
        """Read a record. Raises FormatError."""
        return parse_record(cls, content, file=file)
