"""flux-operator and KSail: the source that one makes of an instance, and what the other gives it to begin with.

A FluxInstance has no `verify`: its `sync` makes an OCIRepository of the namespace's name, by tag, and its patches
change that. Sources: flux-operator v0.59, internal/builder/templates.go, and its guides of sync and customisation;
KSail v7, spec.workload.flux.verify.
"""

from __future__ import annotations

from typing import Any, Final

from dhallmark.config.gitops import Follower
from dhallmark.errors import InputError
from dhallmark.gitops.lint.model import FLUX_OPERATOR, KSAIL, Resource
from dhallmark.gitops.lint.sources import repository_of
from dhallmark.gitops.write.flux import secrets, verification_of
from dhallmark.gitops.write.model import Checks
from dhallmark.gitops.write.wanted import Item, ObjectFile, Wanted
from dhallmark.gitops.write.yamltext import dump

_INSTANCE: Final = "fluxcd.controlplane.io/v1"
_CLUSTER: Final = "ksail.io/v1alpha1"


def flux_instance(checks: Checks, *, folder: str) -> tuple[ObjectFile, ...]:
    """The instance whose source is this environment's artifact, with the patch that verifies it and pins its digest."""
    url = checks.manifests.url
    patch = dump(
        [
            {"op": "add", "path": "/spec/ref", "value": {"digest": checks.manifests.digest}},
            {"op": "add", "path": "/spec/verify", "value": dict(verification_of(checks).verify)},
        ]
    )
    # No namespace in the target: flux-operator patches its own.
    item = {"target": {"kind": "OCIRepository", "name": checks.settings.namespace}, "patch": patch}
    body = {
        "apiVersion": _INSTANCE,
        "kind": "FluxInstance",
        "metadata": {"name": "flux", "namespace": checks.settings.namespace},
        "spec": {
            "distribution": {"version": "2.9.x", "registry": "ghcr.io/fluxcd"},
            "sync": {"kind": "OCIRepository", "url": url, "ref": checks.manifests.tag, "path": "."},
            "kustomize": {"patches": [item]},
        },
    }

    def elsewhere(resource: Resource) -> bool:
        return resource.is_a(FLUX_OPERATOR, "FluxInstance") and _synced(resource) == repository_of(url)

    wanted = Wanted(
        body=body,
        owned=(("spec", "sync", "ref"),),
        items=(Item(path=("spec", "kustomize", "patches"), value=item, mine=_is_ours),),
        elsewhere=elsewhere,
    )
    return (
        ObjectFile(
            path=f"{folder}/instance.yaml",
            header="The patch is what verifies: `spec.sync` alone has no `verify`. It and the tag in `spec.sync.ref`"
            "\nare set by `dhallmark gitops write`; all else is yours.",
            objects=(wanted, *secrets(checks)),
        ),
    )


def _synced(resource: Resource) -> str:
    url = resource.node.text("spec", "sync", "url")
    return repository_of(url) if url else ""


def _is_ours(item: Any) -> bool:  # noqa: ANN401 - what YAML holds
    """Whether a patch is the one that verifies."""
    if not isinstance(item, dict) or not isinstance(item.get("patch"), str):
        return False
    target = item.get("target")
    kind = target.get("kind") if isinstance(target, dict) else None
    return kind == "OCIRepository" and "/spec/verify" in item["patch"] and "remove" not in item["patch"]


def ksail(checks: Checks, *, folder: str) -> tuple[ObjectFile, ...]:
    """The part of KSail's configuration. Raises InputError for a private instance, which it cannot name."""
    verify = dict(verification_of(checks).verify)
    if "trustedRootSecretRef" in verify:
        raise InputError(
            "KSail's configuration cannot name the trust root of a private Sigstore: Flux would refuse every release",
            hint=f"leave {Follower.KSAIL.value} out of gitops.consumers; {Follower.FLUX_INSTANCE.value} can name it",
        )
    name = f"ksail.{checks.environment}.yaml"
    body = {
        "apiVersion": _CLUSTER,
        "kind": "Cluster",
        "spec": {"cluster": {"gitOpsEngine": "Flux"}, "workload": {"flux": {"verify": verify}}},
    }
    wanted = Wanted(
        body=body,
        owned=(("spec", "workload", "flux", "verify"),),
        elsewhere=lambda resource: (
            resource.group == KSAIL and resource.kind == "Cluster" and resource.file.rpartition("/")[2] == name
        ),
    )
    return (
        ObjectFile(
            path=f"{folder}/{name}",
            header="What KSail gives Flux when it makes a cluster, and never again: the FluxInstance owns it then."
            "\nAnywhere but at spec.workload.flux.verify it is dropped without a word.",
            objects=(wanted, *secrets(checks)),
        ),
    )
