"""The model of `dhallmark.yaml`. Unknown keys are errors; paths are relative to the file, with `/`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dhallmark.config.base import Model, Name, RelativePath, Repository, Version
from dhallmark.config.gitops import GitOps

__all__ = ["Application", "Config", "GitOps", "Model", "Name", "Publish", "RelativePath", "Repository", "Version"]


class Source(Model):
    """Where the Dhall comes from; recorded in the provenance."""

    repository: str
    """URI of the Git repository, as a verifier will see it in the certificate, such as
    https://github.com/acme/platform."""


class Environment(Model):
    """One environment: the values that every application is applied to."""

    values: RelativePath | None = None
    """Dhall file whose value each application's function is applied to. Without it, entries are used as they are."""
    namespace: Name | None = None
    """Namespace that the charts are meant for; recorded, not written into objects."""


class Chart(Model):
    """What goes into an application's `Chart.yaml` beside its name and version."""

    description: str = ""
    """One sentence for `helm search` and the like."""
    app_version: str | None = None
    """Version of the software that the chart deploys."""
    values: RelativePath | None = None
    """A Helm values file that becomes the chart's `values.yaml`."""
    templated: bool = False
    """True where strings of the objects are meant for Helm's template engine (`{{ .Values.… }}`). Otherwise they are
    escaped, so that Helm prints them as they are."""


class Application(Model):
    """One Dhall entry point that yields Kubernetes objects, and becomes one Helm chart per environment."""

    entry: RelativePath
    """Dhall file: a function from the environment's values to a list of objects, or the list itself."""
    layer: Name
    """The layer that it stands in; layers are applied in the order in which `layers` lists them."""
    environments: tuple[Name, ...] | None = None
    """The environments that it goes to. All of them where this is not given."""
    chart: Chart = Chart()
    """What goes into its `Chart.yaml`."""


class Publish(Model):
    """Where artifacts go."""

    registry: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+(:[0-9]{1,5})?$|^\[[0-9a-fA-F:]+\](:[0-9]{1,5})?$")]
    """Host and port of the registry."""
    repository: Repository
    """Prefix of the repositories that consumers read."""
    staging: Repository
    """Prefix of the staging repositories; nothing that deploys may read them."""
    plain_http: bool = False
    """True for a registry without TLS; meant for the lab."""
    layout: RelativePath | None = None
    """A signed in-toto layout that is attached to every artifact. Needed where the policy's `layout` names no file."""

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if self.repository == self.staging or self.staging.startswith(self.repository + "/"):
            raise ValueError("staging must stand outside repository: what lies below repository, consumers can read")
        return self


class Signing(Model):
    """How statements are signed."""

    mode: Literal["keyless"] = "keyless"
    """`keyless`: an OIDC token gives a short-lived certificate (Fulcio)."""
    trust_config: RelativePath | None = None
    """A Sigstore ClientTrustConfig of a private instance. The public instance where this is not given."""


class Config(Model):
    """The whole of `dhallmark.yaml`."""

    schema_version: Literal[1]
    """Version of this file's format."""
    project: Name
    """Name of the platform; becomes the name of each environment's umbrella chart."""
    version: Version
    """Version of the release; becomes the version of every chart and the tag of every artifact."""
    source: Source
    """Where the Dhall comes from; recorded in the provenance."""
    layers: Annotated[tuple[Name, ...], Field(min_length=1)]
    """The layers, first applied first."""
    environments: Annotated[dict[Name, Environment], Field(min_length=1)]
    """The environments, by name."""
    applications: Annotated[dict[Name, Application], Field(min_length=1)]
    """The applications, by name; each becomes one Helm chart per environment."""
    publish: Publish
    """Where artifacts go."""
    signing: Signing = Signing()
    """How statements are signed."""
    gitops: GitOps = GitOps()
    """Who follows the release in the clusters."""
    policy: RelativePath
    """The policy file: who may sign what, and what a consumer must check."""

    @model_validator(mode="after")
    def _refers_to_what_exists(self) -> Self:
        if len(set(self.layers)) != len(self.layers):
            raise ValueError("layers: a layer stands twice")
        for name, application in self.applications.items():
            if name == self.project:
                raise ValueError(f"applications.{name}: the umbrella chart has this name (project)")
            if application.layer not in self.layers:
                raise ValueError(
                    f"applications.{name}.layer: no layer {application.layer!r}; layers: {', '.join(self.layers)}"
                )
            for environment in application.environments or ():
                if environment not in self.environments:
                    raise ValueError(
                        f"applications.{name}.environments: no environment {environment!r}; "
                        f"environments: {', '.join(self.environments)}"
                    )
        return self
