"""The part of `dhallmark.yaml` that says who follows the release in a cluster, and where."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from dhallmark.config.base import Model, Name, RelativePath


class Follower(StrEnum):
    """A consumer that `dhallmark gitops write` can set up."""

    FLUX = "flux"
    """Flux, from one artifact with all objects of the environment: a source, and a Kustomization for each layer."""
    FLUX_HELM = "flux-helm"
    """Flux, from the charts: a source and a HelmRelease for each application."""
    FLUX_INSTANCE = "flux-instance"
    """flux-operator: the patch of a FluxInstance, whose source has no `verify` of its own."""
    KSAIL = "ksail"
    """KSail: the part of its configuration that it gives to Flux when it makes a cluster."""
    KYVERNO = "kyverno"
    """Kyverno: what Flux's sources of this release must fulfil to get into the cluster at all."""
    ARGO_CD = "argo-cd"
    """Argo CD: a plug-in that verifies the deploy tree before it renders it, and the Application."""
    TALOS = "talos"
    """Talos: what a node may pull from the release's repositories as an image."""
    MERGE_CHECK = "merge-check"
    """For sources in Git: a check of each change of the deploy repository, on GitHub and GitLab."""


class GitOps(Model):
    """Who follows the release in the clusters, and what they need to know to check it."""

    consumers: tuple[Follower, ...] = (Follower.FLUX,)
    """Those that `dhallmark gitops write` sets up. `flux`, `flux-helm`, `flux-instance` and `argo-cd` each deploy the
    release: a cluster follows one of them."""
    namespace: Name = "flux-system"
    """Namespace of Flux's objects."""
    argo_namespace: Name = "argocd"
    """Namespace of Argo CD."""
    repository: str | None = None
    """URL of the deploy repository, as Argo CD reads it."""
    image: Annotated[str, Field(pattern=r"^[^\s@]+@sha256:[0-9a-f]{64}$")] | None = None
    """dhallmark's image, by digest: Argo CD's plug-in and the merge check run in it."""
    trusted_root: RelativePath | None = None
    """A trusted_root.json that consumers are to believe. That of `signing.trustConfig`, or of the release, where this
    is not given; consumers are told none where that is the public instance's."""

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(set(self.consumers)) != len(self.consumers):
            raise ValueError("consumers: one stands twice")
        return self
