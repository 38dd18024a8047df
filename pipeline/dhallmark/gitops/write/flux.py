"""Flux: sources with `spec.verify`, and what applies them: Kustomizations, or HelmReleases.

Sources: fluxcd/source-controller v1.9.6, api/v1/ocirepository_types.go; kustomize-controller v1.9.6; Flux's guides of
`OCIRepository`, `Kustomization` and `HelmRelease`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from dhallmark.gitops.lint.model import FLUX_SOURCE, Resource
from dhallmark.gitops.lint.sources import repository_of
from dhallmark.gitops.write.flux_verify import SecretNames, Verification, verification
from dhallmark.gitops.write.model import Checks, Followed
from dhallmark.gitops.write.wanted import ObjectFile, Wanted
from dhallmark.package.model import HELM_CONTENT

SOURCE: Final = "source.toolkit.fluxcd.io/v1"
_KUSTOMIZE: Final = "kustomize.toolkit.fluxcd.io/v1"
_HELM: Final = "helm.toolkit.fluxcd.io/v2"
_INTERVAL: Final = "10m"


def secret_names(checks: Checks) -> SecretNames:
    return SecretNames(trust=f"{checks.prefix}-trusted-root", keys=f"{checks.prefix}-keys")


def verification_of(checks: Checks) -> Verification:
    """`spec.verify` of every source of an environment. Raises UsageError, InputError where Flux cannot say it."""
    checks.matcher()
    return verification(checks.policy, trusted_root=checks.trust.private, names=secret_names(checks))


def manifests(checks: Checks, *, folder: str) -> tuple[ObjectFile, ...]:
    """The one source of an environment's objects, and a Kustomization for each layer, in their order."""
    source = _source(checks, checks.manifests, name=checks.prefix)
    return (
        ObjectFile(
            path=f"{folder}/source.yaml",
            header=f"What Flux fetches for {checks.environment}, and who must have signed it. `spec.ref` and"
            "\n`spec.verify` are set by `dhallmark gitops write`; all else is yours.",
            objects=(source, *secrets(checks)),
        ),
        ObjectFile(
            path=f"{folder}/kustomizations.yaml",
            header="One Kustomization for each layer: a layer is applied when the one before it is ready.",
            objects=tuple(_kustomizations(checks)),
        ),
    )


def charts(checks: Checks, *, folder: str) -> tuple[ObjectFile, ...]:
    """A source and a HelmRelease for each application. HelmChart sources know no trust root; these do."""
    sources = [_source(checks, chart, name=_chart_name(checks, chart)) for chart in checks.charts]
    return (
        ObjectFile(
            path=f"{folder}/sources.yaml",
            header=f"The charts of {checks.environment}, and who must have signed them. `spec.ref` and `spec.verify`"
            "\nare set by `dhallmark gitops write`; all else is yours.",
            objects=(*sources, *secrets(checks)),
        ),
        ObjectFile(
            path=f"{folder}/releases.yaml",
            header="One HelmRelease for each application. Values are yours; a layer waits for the one before it.",
            objects=tuple(_release(checks, chart) for chart in checks.charts),
        ),
    )


def _source(checks: Checks, followed: Followed, *, name: str) -> Wanted:
    spec: dict[str, Any] = {"interval": _INTERVAL, "url": followed.url, "ref": {"digest": followed.digest}}
    owned = [("spec", "ref"), ("spec", "verify")]
    if followed.application is not None:
        # The chart as it is: helm-controller takes it from the layer.
        spec["layerSelector"] = {"mediaType": HELM_CONTENT, "operation": "copy"}
        owned.append(("spec", "layerSelector"))
    if checks.plain_http:
        spec["insecure"] = True
    spec["verify"] = dict(verification_of(checks).verify)
    return Wanted(
        body=_object(SOURCE, "OCIRepository", name, checks, spec),
        owned=tuple(owned),
        elsewhere=lambda resource: (
            resource.is_a(FLUX_SOURCE, "OCIRepository") and _url_of(resource) == repository_of(followed.url)
        ),
    )


def _url_of(resource: Resource) -> str:
    url = resource.node.text("spec", "url")
    return repository_of(url) if url else ""


def secrets(checks: Checks) -> Sequence[Wanted]:
    """What `spec.verify` names. Neither a trust root nor a public key is secret; Flux reads them from a Secret."""
    return [
        Wanted(
            body={
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": name, "namespace": checks.settings.namespace},
                "type": "Opaque",
                "stringData": dict(data),
            },
            owned=(("stringData",),),
        )
        for name, data in verification_of(checks).secrets.items()
    ]


def _kustomizations(checks: Checks) -> Sequence[Wanted]:
    found = []
    before: str | None = None
    for layer in checks.layers:
        name = f"{checks.prefix}-{layer}"
        spec: dict[str, Any] = {
            "interval": _INTERVAL,
            "sourceRef": {"kind": "OCIRepository", "name": checks.prefix},
            "path": f"./{layer}",
            "prune": True,
            "wait": True,
            "timeout": "10m",
        }
        if before is not None:
            spec["dependsOn"] = [{"name": before}]
        owned = (("spec", "sourceRef"), ("spec", "path"), *((("spec", "dependsOn"),) if before else ()))
        body = _object(_KUSTOMIZE, "Kustomization", name, checks, spec)
        found.append(Wanted(body=body, owned=owned, source=checks.manifests.url))
        before = name
    return found


def _release(checks: Checks, chart: Followed) -> Wanted:
    name = _chart_name(checks, chart)
    spec: dict[str, Any] = {
        "interval": _INTERVAL,
        "chartRef": {"kind": "OCIRepository", "name": name},
        "releaseName": chart.application,
    }
    if checks.namespace is not None:
        spec |= {"targetNamespace": checks.namespace, "install": {"createNamespace": True}}
    place = checks.layers.index(chart.layer or "")
    before = [other for other in checks.charts if place and other.layer == checks.layers[place - 1]]
    if before:
        spec["dependsOn"] = [{"name": _chart_name(checks, other)} for other in before]
    owned = (("spec", "chartRef"), *((("spec", "dependsOn"),) if before else ()))
    return Wanted(body=_object(_HELM, "HelmRelease", name, checks, spec), owned=owned, source=chart.url)


def _chart_name(checks: Checks, chart: Followed) -> str:
    return f"{checks.prefix}-{chart.application}"


def _object(api_version: str, kind: str, name: str, checks: Checks, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, "namespace": checks.settings.namespace},
        "spec": spec,
    }
