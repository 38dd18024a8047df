"""Rules about what makes a source itself: FluxInstance, its Helm chart's values, and KSail's configuration."""

from __future__ import annotations

from collections.abc import Iterator

from dhallmark.gitops.lint import model
from dhallmark.gitops.lint.fields import Flux
from dhallmark.gitops.lint.model import Finding, Resource
from dhallmark.gitops.lint.patches import Patch, PatchError, apply, patches_of
from dhallmark.gitops.lint.sources import check_keys, check_verify, finding, unverified
from dhallmark.gitops.lint.yamlfile import Mapping, Scalar

_DEFAULT_NAME = "flux-system"
"""Name of the source that flux-operator makes where `sync.name` does not say otherwise: that of the namespace."""
_CHART_VALUES = ("spec", "values", "instance")
"""Where the values of flux-operator's `flux-instance` chart hold the spec of the instance."""
_KSAIL_PATH = ("spec", "workload", "flux", "verify")


def check_instance(resource: Resource, *, flux: Flux) -> Iterator[Finding]:
    """Rules about a FluxInstance: the source that it makes is unverified unless its patches say otherwise."""
    if resource.is_a(model.FLUX_OPERATOR, "FluxInstance"):
        yield from check_keys(resource, flux=flux)
    elif resource.is_a(model.FLUX_HELM, "HelmRelease") and resource.node.mapping(*_CHART_VALUES, "sync") is not None:
        resource = _of_chart(resource)
    else:
        return
    url = resource.node.text("spec", "sync", "url")
    if resource.node.text("spec", "sync", "kind") != "OCIRepository" or not url:
        return
    made = _source(resource, url)
    findings: list[Finding] = []
    for patch in patches_of(resource.node.items_of("spec", "kustomize", "patches"), file=resource.file, files={}):
        if isinstance(patch, PatchError):
            findings.append(_at("patch.unreadable", resource, patch.line, patch.message))
        else:
            made = _patched(made, patch, resource, findings)
    yield from findings
    if made.node.mapping("spec", "verify") is None:
        yield unverified(resource, url, "spec", "sync", "url")
    else:
        for one in (*check_keys(made, flux=flux), *check_verify(made, "spec", "verify")):
            yield _moved(one, resource)


def _patched(made: Resource, patch: Patch, resource: Resource, findings: list[Finding]) -> Resource:
    """The source after one patch of the instance's; what is wrong with the patch is added to `findings`."""
    if not patch.selector.selects(made):
        if patch.about_verification or patch.selector.kind == made.kind:
            line = patch.target_line or patch.line
            said = f"the source is {made.subject}, not {patch.selector}"
            findings.append(_at("patch.misses", resource, line, said))
        return made
    try:
        changed = apply(patch, made)
    except PatchError as error:
        findings.append(_at("patch.unreadable", resource, patch.line, error.message))
        return made
    verified = made.node.get("spec", "verify") is not None
    if changed is None or (verified and changed.node.get("spec", "verify") is None):
        findings.append(_at("patch.undone", resource, patch.line, "this patch removes `spec.verify`"))
    return changed or made


def _of_chart(release: Resource) -> Resource:
    """The FluxInstance that the chart of that name makes of its values."""
    spec = release.node.mapping(*_CHART_VALUES) or Mapping(release.node.line)
    node = Mapping(release.node.line, {"spec": spec}, {"spec": release.node.line_of(*_CHART_VALUES)})
    return Resource(model.FLUX_OPERATOR, "v1", "FluxInstance", release.name, release.namespace, release.file, node)


def _source(resource: Resource, url: str) -> Resource:
    """The OCIRepository that flux-operator makes of the instance's `sync`."""
    line = resource.node.line_of("spec", "sync", "url")
    name = resource.node.text("spec", "sync", "name") or resource.namespace or _DEFAULT_NAME
    spec = Mapping(line, {"url": Scalar(url, line, 1, plain=True)}, {"url": line})
    node = Mapping(line, {"spec": spec}, {"spec": line})
    return Resource(
        model.FLUX_SOURCE, "v1", "OCIRepository", name, resource.namespace or _DEFAULT_NAME, resource.file, node
    )


def _moved(one: Finding, resource: Resource) -> Finding:
    """A finding about the source that is made, as one about the instance that makes it."""
    return Finding(
        rule=one.rule,
        file=one.file,
        line=one.line,
        subject=resource.subject,
        message=f"in the source that it makes: {one.message}",
        proposal=one.proposal,
        severity=one.severity,
    )


def _at(rule: str, resource: Resource, line: int, message: str) -> Finding:
    return Finding(rule=rule, file=resource.file, line=line, subject=resource.subject, message=message)


def check_ksail(resource: Resource) -> Iterator[Finding]:
    """Rules about KSail's configuration: verification is read at one place, and dropped at every other."""
    if resource.group != model.KSAIL:
        return
    for path, line in _verifies(resource.node, ()):
        if path != _KSAIL_PATH:
            yield _at(
                "key.unknown",
                resource,
                line,
                f"{'.'.join(path)} is dropped; KSail reads {'.'.join(_KSAIL_PATH)}",
            )
    if resource.node.mapping(*_KSAIL_PATH) is not None:
        yield from check_verify(resource, *_KSAIL_PATH)
    elif resource.node.text("spec", "cluster", "gitOpsEngine") == "Flux":
        yield finding(
            "source.unverified", resource, "spec", message=f"no {'.'.join(_KSAIL_PATH)}: the source is not verified"
        )


def _verifies(node: Mapping, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int]]:
    for key, value in node.items.items():
        if key == "verify":
            yield (*path, key), node.lines.get(key, node.line)
        elif isinstance(value, Mapping) and len(path) < 10:  # noqa: PLR2004  (deeper than any configuration)
            yield from _verifies(value, (*path, key))
