"""The record of a packaged release, `package/artifacts.json` (schema `dhallmark.dev/artifacts/v1`).

It holds nothing of the machine, the user or the clock: two releases of one commit write the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dhallmark import strictjson
from dhallmark.config.base import Model, Name, Repository, Version
from dhallmark.digest import Digest
from dhallmark.record import Record, parse_record

SCHEMA = "dhallmark.dev/artifacts/v1"
"""Name and version of the format."""
FILE = "package/artifacts.json"
"""Where the record stands in a build directory."""

HELM_CONFIG = "application/vnd.cncf.helm.config.v1+json"
HELM_CONTENT = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
FLUX_CONFIG = "application/vnd.cncf.flux.config.v1+json"
FLUX_CONTENT = "application/vnd.cncf.flux.content.v1.tar+gzip"
MATERIALS_ARTIFACT = "application/vnd.dhallmark.materials.v1"
MATERIALS_CONTENT = "application/vnd.dhallmark.materials.v1.tar+gzip"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 digest in the bare hex form of in-toto's DigestSet."""
DigestText = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
"""A digest in OCI form; see `dhallmark.digest`."""
Kind = Literal["chart", "umbrella", "flux"]
"""`chart`: one application. `umbrella`: the chart of all applications of an environment. `flux`: the objects of an
environment as a Flux OCI artifact."""


class File(Model):
    """One file that an artifact is made of."""

    name: str
    """Its path in the deploy tree, such as `environments/prod/charts/web/Chart.yaml`."""
    sha256: Sha256


class Blob(Model):
    """A file of the build directory that a registry gets as a layer."""

    path: str
    """Relative to the build directory, with `/`."""
    sha256: Sha256
    size: Annotated[int, Field(ge=0)]
    """Bytes."""
    media_type: str

    @property
    def digest(self) -> Digest:
        return Digest.from_hex(self.sha256)


class Artifact(Model):
    """One thing that is signed, published and deployed."""

    kind: Kind
    environment: Name
    application: Name | None = None
    """Set for `chart` alone."""
    name: str
    """The application, the project (umbrella), or `flux-<project>`."""
    version: Version
    """Version of the chart and tag of the artifact."""
    repository: Repository
    """`<environment>/<name>`: the end of the repository's path, below `publish.repository` or `publish.staging`."""
    digest: DigestText
    """Digest of the OCI manifest."""
    archive: Blob
    files: tuple[File, ...]
    """The files in the archive that stand in the deploy tree, by name; sorted. Empty for `flux`."""

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        if (self.application is None) == (self.kind == "chart"):
            raise ValueError("application must be given for a chart, and for nothing else")
        if self.repository != f"{self.environment}/{self.name}":
            raise ValueError(f"repository must be {self.environment}/{self.name}")
        return self

    @property
    def manifest_digest(self) -> Digest:
        return Digest(self.digest)

    @property
    def slug(self) -> str:
        """`<environment>/<name>`: its folder in the outputs of the later steps."""
        return f"{self.environment}/{self.name}"

    @property
    def archive_name(self) -> str:
        """The archive's file name, such as `web-1.2.3.tgz`: what provenance names it."""
        return self.archive.path.rpartition("/")[2]


class Artifacts(Record):
    """All artifacts of a release."""

    schema_: Annotated[Literal["dhallmark.dev/artifacts/v1"], Field(alias="schema")] = "dhallmark.dev/artifacts/v1"
    project: Name
    version: Version
    source_date_epoch: Annotated[int, Field(ge=0)]
    """The one time in all artifacts: seconds since 1970-01-01T00:00:00Z."""
    artifacts: Annotated[tuple[Artifact, ...], Field(min_length=1)]
    """Sorted by environment, then name; no two of the same repository."""
    materials: Blob
    """What a rebuild needs; attached to every artifact."""

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        names = [(artifact.environment, artifact.name) for artifact in self.artifacts]
        if names != sorted(set(names)):
            raise ValueError("artifacts must be sorted by environment and name, each once")
        return self

    @property
    def environments(self) -> tuple[str, ...]:
        """The environments that have an artifact, sorted."""
        return tuple(sorted({artifact.environment for artifact in self.artifacts}))

    def in_environment(self, environment: str) -> Sequence[Artifact]:
        return [artifact for artifact in self.artifacts if artifact.environment == environment]

    def to_bytes(self) -> bytes:
        """The record as it is written."""
        return strictjson.dump(self.to_json())

    @classmethod
    def parse(cls, content: bytes, *, file: str = FILE) -> Self:
        """Read a record. Raises FormatError with the field that is wrong."""
        return parse_record(cls, content, file=file, hint="run `dhallmark package` again")
