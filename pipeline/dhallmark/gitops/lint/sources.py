"""Rules about sources: what is fetched, from where, and what is checked before it counts."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import urlsplit

from dhallmark.gitops.lint import model
from dhallmark.gitops.lint.fields import Flux, served_versions, unknown_keys
from dhallmark.gitops.lint.matchers import check_matcher
from dhallmark.gitops.lint.model import Finding, Fix, Resource
from dhallmark.gitops.lint.publishers import publisher_of
from dhallmark.gitops.lint.yamlfile import PLACEHOLDER, Mapping, Scalar, is_true

_CHECKED = ("OCIRepository", "HelmRepository", "HelmChart", "GitRepository", "Bucket")


def check_source(resource: Resource, *, flux: Flux) -> Iterator[Finding]:
    """Every rule about one source, as it is applied."""
    if not resource.is_a(model.FLUX_SOURCE, *_CHECKED):
        return
    yield from check_keys(resource, flux=flux)
    match resource.kind:
        case "OCIRepository":
            yield from _oci(resource)
        case "GitRepository":
            yield from _git(resource)
        case "Bucket":
            yield finding("source.bucket", resource, "spec", message="a bucket has no verification")
        case "HelmRepository":
            yield from _plain_http(resource)
        case "HelmChart":
            yield from check_verify(resource, "spec", "verify")


def check_keys(resource: Resource, *, flux: Flux) -> Iterator[Finding]:
    """Keys that are dropped, and versions that are not served, for a kind of which the fields are known."""
    served = served_versions(resource, flux)
    if served and resource.version not in served:
        yield finding(
            "api.not-served",
            resource,
            "apiVersion",
            message=f"{resource.group}/{resource.version} is not served by Flux {flux.value}",
            proposal=f"apiVersion: {resource.group}/{served[-1]}",
        )
    for unknown in unknown_keys(resource, flux):
        near = f"; it is read at {unknown.nearest}" if "." in unknown.nearest else ""
        near = near or (f"; near it stands {unknown.nearest!r}" if unknown.nearest else "")
        yield Finding(
            rule="key.unknown",
            file=resource.file,
            line=unknown.line,
            subject=resource.subject,
            message=f"{unknown.path} is no key of a {resource.kind}, and is dropped{near}",
        )


def _oci(resource: Resource) -> Iterator[Finding]:
    url = resource.node.text("spec", "url")
    if not url:
        return  # a patch, or an object that the API server refuses
    yield from _plain_http(resource)
    yield from _reference(resource)
    if resource.node.mapping("spec", "verify") is not None:
        yield from check_verify(resource, "spec", "verify")
        return
    yield unverified(resource, url, "spec")


def unverified(resource: Resource, url: str, *path: str) -> Finding:
    """The finding that what `url` serves is not verified; with a proposal where its publisher is known to sign."""
    publisher = publisher_of(repository_of(url))
    if publisher is None:
        return finding("source.unverified", resource, *path, message=f"{url} is applied without verification")
    return finding(
        "source.third-party",
        resource,
        *path,
        message=f"{url} is signed by its publisher, and applied without verification",
        proposal="verify:\n  provider: cosign\n  matchOIDCIdentity:\n"
        f"    - issuer: '{publisher.issuer}'\n      subject: '{publisher.subject}'",
    )


def repository_of(url: str) -> str:
    """Registry and repository of an `oci://` URL, in one spelling, without tag and digest."""
    rest = url.partition("://")[2] or url
    host, slash, path = rest.partition("@")[0].rstrip("/").partition("/")
    last = path.rpartition("/")[2]
    if ":" in last:
        path = path[: len(path) - len(last)] + last.partition(":")[0]
    return f"{host.lower()}{slash}{path}"


def _reference(resource: Resource) -> Iterator[Finding]:
    if resource.node.text("spec", "ref", "digest"):
        return
    tag, semver = resource.node.text("spec", "ref", "tag"), resource.node.text("spec", "ref", "semver")
    if "@sha256:" in tag:
        return
    if semver or tag in ("", "latest", "main", "master", "stable", "edge"):
        said = f"the range {semver!r}" if semver else f"the tag {tag or 'latest'!r}"
        yield finding("source.floating", resource, "spec", "ref", message=f"follows {said}")
    else:
        yield finding("source.tag", resource, "spec", "ref", message=f"the tag {tag!r} without a digest")


def _git(resource: Resource) -> Iterator[Finding]:
    url = resource.node.text("spec", "url")
    if not url:
        return
    yield from _plain_http(resource)
    if resource.node.mapping("spec", "verify") is None:
        yield finding("source.git-unverified", resource, "spec", message=f"{url} is followed without verification")


def _plain_http(resource: Resource) -> Iterator[Finding]:
    url = resource.node.text("spec", "url")
    insecure = is_true(resource.node.get("spec", "insecure"))
    parts = urlsplit(url) if "[" not in url else urlsplit("")
    if (insecure or parts.scheme == "http") and not _local(parts.hostname or ""):
        said = "`insecure: true`" if insecure else "an http:// URL"
        key = "insecure" if insecure else "url"
        yield finding("source.plain-http", resource, "spec", key, message=f"{said}: {url}")


def _local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def check_release(resource: Resource, *, repositories: Callable[[str, str], str]) -> Iterator[Finding]:
    """Rules about a HelmRelease whose chart comes from a repository. `repositories` gives the URL of a HelmRepository
    by namespace and name, empty where it is not in this repository."""
    chart = resource.node.mapping("spec", "chart", "spec")
    if chart is None:
        return
    where = ("spec", "chart", "spec")
    if chart.mapping("verify") is not None:
        yield from check_verify(resource, *where, "verify")
        return
    if chart.text("sourceRef", "kind") != "HelmRepository":
        return
    namespace = chart.text("sourceRef", "namespace") or resource.namespace
    url = repositories(namespace, chart.text("sourceRef", "name"))
    if url.startswith("oci://"):
        yield unverified(resource, f"{url.rstrip('/')}/{chart.text('chart')}", *where)


def check_verify(resource: Resource, *path: str) -> Iterator[Finding]:
    """Rules about a `verify` block of Flux's."""
    verify = resource.node.mapping(*path)
    if verify is None:
        return
    provider = verify.get("provider")
    if resource.kind == "GitRepository":
        return
    if not isinstance(provider, Scalar) or provider.value not in ("cosign", PLACEHOLDER):
        said = repr(provider.value) if isinstance(provider, Scalar) else "missing"
        level = model.Severity.NOTE if said == "'notation'" else None
        fix = None
        if isinstance(provider, Scalar) and not provider.value.strip() and provider.plain is False:
            fix = Fix(line=provider.line, column=provider.column, old=provider.value, new="cosign")
        yield finding(
            "verify.provider", resource, *path, "provider", message=f"the provider is {said}", severity=level, fix=fix
        )
        if said == "'notation'":
            return
    matchers = verify.items_of("matchOIDCIdentity")
    keyed = verify.mapping("secretRef") is not None
    if keyed and matchers:
        yield finding("verify.key-wins", resource, *path, "secretRef", message="`secretRef` and `matchOIDCIdentity`")
        return
    if keyed:
        return
    if not matchers:
        yield finding("verify.no-matcher", resource, *path, message="no `matchOIDCIdentity`, and no key")
    if len(matchers) > 1:
        yield finding(
            "verify.two-matchers",
            resource,
            *path,
            "matchOIDCIdentity",
            message=f"{len(matchers)} entries in `matchOIDCIdentity`",
        )
    for matcher in matchers:
        if isinstance(matcher, Mapping):
            yield from check_matcher(resource, matcher, issuer="issuer", subject="subject")


def check_urls(resources: Sequence[Resource]) -> Iterator[Finding]:
    """Rules about sources of one URL, seen together."""
    by_url: dict[str, list[Resource]] = {}
    for resource in resources:
        url = resource.node.text("spec", "url")
        if resource.is_a(model.FLUX_SOURCE, "OCIRepository") and url:
            by_url.setdefault(repository_of(url), []).append(resource)
    for url, found in by_url.items():
        places = {resource.place for resource in found}
        if len(places) < 2:  # noqa: PLR2004  (one object, in several builds)
            continue
        verified = [resource for resource in found if resource.node.mapping("spec", "verify") is not None]
        if verified and len(verified) < len(found):
            for resource in found:
                if resource.node.mapping("spec", "verify") is None:
                    yield finding(
                        "source.mixed",
                        resource,
                        "spec",
                        "url",
                        message=f"{url} is verified by {verified[0].subject} in {verified[0].file}, and not here",
                    )
        elif len({_checked(resource) for resource in verified}) > 1:
            for resource in verified[1:]:
                if _checked(resource) != _checked(verified[0]):
                    yield finding(
                        "source.second",
                        resource,
                        "spec",
                        "verify",
                        message=f"{url} is verified otherwise by {verified[0].subject} in {verified[0].file}",
                    )


def _checked(resource: Resource) -> tuple[object, ...]:
    """What a `verify` asks for, to compare."""
    verify = resource.node.mapping("spec", "verify")
    if verify is None:
        return ()
    pairs = [
        (matcher.text("issuer"), matcher.text("subject"))
        for matcher in verify.items_of("matchOIDCIdentity")
        if isinstance(matcher, Mapping)
    ]
    return (verify.text("provider"), verify.text("secretRef", "name"), *pairs)


def finding(
    rule: str,
    resource: Resource,
    *path: str,
    message: str,
    proposal: str = "",
    severity: model.Severity | None = None,
    fix: Fix | None = None,
) -> Finding:
    """A finding about `resource`, at the deepest key of `path` that is there."""
    return Finding(
        rule=rule,
        file=resource.file,
        line=resource.node.line_of(*path),
        subject=resource.subject,
        message=message,
        proposal=proposal,
        severity=severity,
        fix=fix,
    )
