"""Rules about verifiers of images: Kyverno's policies, Talos's, and Argo CD's applications."""

from __future__ import annotations

from collections.abc import Iterator

from dhallmark.gitops.lint import model
from dhallmark.gitops.lint.matchers import check_matcher
from dhallmark.gitops.lint.model import Finding, Resource
from dhallmark.gitops.lint.sources import finding
from dhallmark.gitops.lint.yamlfile import Mapping, Node, Scalar, is_true, walk

_MAX_NODES = 20_000
_IMAGES = ("ImageValidatingPolicy", "NamespacedImageValidatingPolicy")
_CLUSTER = ("ClusterPolicy", "Policy")


def check_admission(resource: Resource) -> Iterator[Finding]:
    """Every rule about a policy that verifies images."""
    if resource.is_a(model.KYVERNO_POLICIES, *_IMAGES):
        actions = [
            item.value for item in resource.node.items_of("spec", "validationActions") if isinstance(item, Scalar)
        ]
        if actions and "Deny" not in actions:
            yield _lax(resource, "spec", "validationActions", said=f"the action is {', '.join(actions)}")
        yield from _keyless(resource)
    elif resource.is_a(model.KYVERNO, *_CLUSTER):
        verifying = list(_with_key(resource.node, "verifyImages"))
        if not verifying:
            return
        yield from _cluster_policy(resource)
        yield from _keyless(resource)
    elif resource.kind == "ImageVerificationConfig":
        yield from _talos(resource)


def check_application(resource: Resource) -> Iterator[Finding]:
    """Rules about an Argo CD Application."""
    if not resource.is_a(model.ARGO, "Application"):
        return
    sources = [source for source in (resource.node.mapping("spec", "source"),) if source is not None]
    sources += [item for item in resource.node.items_of("spec", "sources") if isinstance(item, Mapping)]
    for source in sources:
        if source.mapping("plugin") is None:
            url = source.text("repoURL")
            yield Finding(
                rule="argo.unverified",
                file=resource.file,
                line=source.line_of("repoURL"),
                subject=resource.subject,
                message=f"{url or 'the source'} is rendered without a check of attestations",
            )


def _cluster_policy(resource: Resource) -> Iterator[Finding]:
    action = resource.node.text("spec", "validationFailureAction")
    if action.lower() == "audit":
        yield _lax(resource, "spec", "validationFailureAction", said="the action is Audit")
    for rule in _with_key(resource.node, "verifyImages"):
        for item in rule.items_of("verifyImages"):
            if not isinstance(item, Mapping):
                continue
            if item.text("failureAction").lower() == "audit":
                yield _lax_at(resource, item.line_of("failureAction"), "the action is Audit")
            for key in ("required", "verifyDigest"):
                if item.text(key).lower() == "false":
                    yield _lax_at(resource, item.line_of(key), f"`{key}: false`")


def _keyless(resource: Resource) -> Iterator[Finding]:
    """The identities of keyless attestors, wherever they stand in the policy, and what is left out beside them."""
    for node in _mappings(resource.node):
        keyless = node.mapping("keyless")
        if keyless is not None:
            identities = [item for item in keyless.items_of("identities") if isinstance(item, Mapping)] or [keyless]
            for identity in identities:
                yield from check_matcher(resource, identity, issuer="issuerRegExp", subject="subjectRegExp")
                yield from _wildcards(resource, identity)
        for parent, key in (("rekor", "ignoreTlog"), ("ctlog", "ignoreSCT")):
            inner = node.mapping(parent)
            if inner is not None and is_true(inner.get(key)):
                yield _lax_at(resource, inner.line_of(key), f"`{parent}.{key}: true`")
        for key in ("insecureIgnoreTlog", "insecureIgnoreSCT"):
            if is_true(node.get(key)):
                yield _lax_at(resource, node.line_of(key), f"`{key}: true`")


def _wildcards(resource: Resource, identity: Mapping) -> Iterator[Finding]:
    """Kyverno's `issuer` and `subject` are no expressions: `*` stands for any text."""
    for key in ("issuer", "subject"):
        value = identity.text(key)
        if value and set(value) <= {"*", "?", "/", ":", "."}:
            yield Finding(
                rule="verify.regex-loose",
                file=resource.file,
                line=identity.line_of(key),
                subject=resource.subject,
                message=f"the {key} {value!r} admits anybody",
            )


def _talos(resource: Resource) -> Iterator[Finding]:
    for rule in resource.node.items_of("rules"):
        if not isinstance(rule, Mapping):
            continue
        keyless = rule.mapping("keyless")
        if keyless is not None:
            yield from check_matcher(resource, keyless, issuer="issuerRegex", subject="subjectRegex")
        if is_true(rule.get("skip")):
            yield _lax_at(
                resource, rule.line_of("skip"), f"images of {rule.text('image') or 'a rule'} are not verified"
            )


def _lax(resource: Resource, *path: str, said: str) -> Finding:
    return finding("admission.lax", resource, *path, message=said)


def _lax_at(resource: Resource, line: int, said: str) -> Finding:
    return Finding(rule="admission.lax", file=resource.file, line=line, subject=resource.subject, message=said)


def _mappings(node: Node) -> Iterator[Mapping]:
    """Every mapping in `node`, itself first."""
    return (here for here in walk(node, limit=_MAX_NODES) if isinstance(here, Mapping))


def _with_key(node: Node, key: str) -> Iterator[Mapping]:
    return (found for found in _mappings(node) if found.get(key) is not None)
