"""What an audit found, as a record: `dhallmark.dev/audit/v1`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from dhallmark.config.base import Model
from dhallmark.package.model import DigestText
from dhallmark.record import Record
from dhallmark.report.records import VerdictRecord
from dhallmark.verdict import Outcome, Verdict

SCHEMA = "dhallmark.dev/audit/v1"


class Sameness(StrEnum):
    """How what was published compares with the rebuild."""

    EQUAL = "equal"
    """The same digest."""
    EQUIVALENT = "equivalent"
    """The same content, packed differently in ways that are listed; another digest."""
    DIFFERENT = "different"
    """Other content."""
    UNKNOWN = "unknown"
    """There was nothing to compare."""


class Origin(StrEnum):
    """Where a difference came in."""

    SOURCE = "source"
    """The sources do not yield the normal form that the record has: by its semantic hash it is another one."""
    RENDERER = "renderer"
    """The normal form is the recorded one: what made the files of it, or changed them afterwards, differs."""
    PACKAGER = "packager"
    """The files are the same: what packed them differs."""
    UNTOLD = "untold"
    """No normal form is recorded."""


class Way(Model):
    """A way in which two artifacts of the same content may differ, and that was set aside."""

    name: str
    """Such as `gzip.header`; docs/audit.md lists them all."""
    meaning: str


class Difference(Model):
    """One thing in which the published artifact differs from the rebuild."""

    kind: Literal["object", "file", "manifest", "archive"]
    file: str = ""
    """Its name in the archive, or in the deploy tree."""
    object: str = ""
    """The Kubernetes object, such as `Deployment.apps web`."""
    field: str = ""
    """The path of the field, such as `spec.template.spec.containers[name=web].image`."""
    rebuilt: str | None = None
    """What the rebuild has; not there where it has nothing."""
    published: str | None = None
    """What was published; not there where it has nothing."""
    detail: str = ""


class RecordSummary(Model):
    """What the provenance says of the build; empty where it says nothing."""

    build_type: str = ""
    builder: str = ""
    repository: str = ""
    revision: str = ""
    tree: str = ""
    folder: str = ""
    config: str = ""
    project: str = ""
    version: str = ""
    environment: str = ""
    artifact: str = ""
    application: str = ""
    source_date_epoch: int | None = None
    """Seconds since 1970."""
    tools: dict[str, str] = Field(default_factory=dict)
    image: str = ""
    """The image that the build ran in, by digest."""
    materials: str = ""
    """Digest of the materials bundle."""


class RebuildSummary(Model):
    """What was rebuilt, with what and where."""

    digest: str = ""
    """Of the artifact's manifest, where there is one."""
    materials: str = ""
    """Digest of the materials bundle that the rebuild makes of what it read."""
    source: str = ""
    """Where the sources were taken from: the materials bundle, or a commit that the auditor named."""
    tools: dict[str, str] = Field(default_factory=dict)
    image: str = ""
    """The image that it was made in; empty for the auditor's own installation."""
    sealed: bool = False
    """Whether it had no network."""
    conditions: dict[str, str] = Field(default_factory=dict)
    """Its surroundings: host name, user, folder and so on."""


class Look(Model):
    """What another program said of both sides."""

    program: str
    version: str = ""
    agrees: bool | None = None
    """Whether it sees what was found here; not there where it gave no answer."""
    said: str = ""

    @property
    def name(self) -> str:
        """The program with its version, where it told one."""
        return f"{self.program} {self.version}".strip()


class Audit(Record):
    """The audit of one artifact."""

    subject: str
    """The reference by digest, or the chart's folder in the deploy tree."""
    name: str = ""
    """The artifact's name in its statements."""
    digest: DigestText | None = None
    """Of its manifest, where that is known."""
    sameness: Sameness
    origin: Origin | None = None
    """Of a difference."""
    lacks: tuple[str, ...] = ()
    """What a rebuild from the record alone would need and the record does not say."""
    record: RecordSummary | None = None
    provenance: DigestText | None = None
    """Of the manifest that attaches the provenance, or of the bundle's file in a deploy tree."""
    rebuild: RebuildSummary | None = None
    ways: tuple[Way, ...] = ()
    """The ways of packing that were set aside."""
    differences: tuple[Difference, ...] = ()
    """The first is the one that explains the verdict."""
    looks: tuple[Look, ...] = ()
    verdict: VerdictRecord

    @property
    def whole(self) -> Verdict:
        """The verdict as a tree that can be asked for its outcome and reasons."""
        return Verdict.from_json(self.verdict.model_dump(mode="json", by_alias=True, exclude_none=True))


class AuditsRecord(Record):
    """What `dhallmark audit` prints."""

    schema_: Annotated[Literal["dhallmark.dev/audit/v1"], Field(alias="schema")] = "dhallmark.dev/audit/v1"
    outcome: Outcome
    """A rejection outweighs an indeterminate answer, which outweighs all acceptances."""
    counts: dict[Sameness, int]
    audits: tuple[Audit, ...]
