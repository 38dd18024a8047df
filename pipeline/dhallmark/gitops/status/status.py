"""From Git's manifests and a cluster's objects to a verdict: is the verification that Git says in force?

For each OCIRepository of Git's:

1. it is in the cluster, and its `verify`, `url`, `ref` and whatever else Git says of it are the same there;
2. it is not suspended, and the controller has seen its current generation;
3. `SourceVerified` is true for that generation and for the revision that is served: configured is not in effect;
4. the revision that is served has the digest that Git names;
5. no other source of the cluster reads the same repository without the same verification;
6. the source-controller that runs knows every key that the source uses.

Nothing in the cluster is changed, and no Secret is read but the trust root's, where one is given to compare it with.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from dhallmark import strictjson
from dhallmark.controls.consumers.flux_messages import reason_of
from dhallmark.errors import FormatError
from dhallmark.gitops.lint import model
from dhallmark.gitops.lint.sources import repository_of
from dhallmark.kubernetes.api import Api, ApiError, Type
from dhallmark.kubernetes.apply import differences, is_native
from dhallmark.prove.conditions import READY, VERIFIED, condition, digest_of
from dhallmark.prove.manifests import Manifest, Manifests
from dhallmark.prove.sources import TRUSTED_ROOT, Source, find_sources
from dhallmark.reasons import Reason
from dhallmark.verdict import Check, Verdict

Json = Mapping[str, Any]
_SOURCE: Final = "source.toolkit.fluxcd.io/v1"
_CONTROLLER: Final = "source-controller"
_COMPONENT: Final = "app.kubernetes.io/component"
_NOT_FOUND: Final = 404
_VERSION: Final = re.compile(r"v?(\d+)\.(\d+)\.(\d+)\S*")
_OLDEST: Final = {"trustedRootSecretRef": (1, 9, 0)}
"""The source-controller that a field of `verify` came with."""
_OLDEST_BUNDLES: Final = (1, 8, 0)
"""The first that reads signatures as bundles."""
_VERIFIED_REVISION: Final = re.compile(r"verified signature of revision (\S+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What came of looking."""

    verdict: Verdict
    controllers: tuple[str, ...]
    """Each source-controller that runs, with its version."""
    sources: int
    """How many sources of Git's were looked at."""


@dataclass(slots=True)
class _Looking:
    api: Api
    manifests: Manifests
    trusted_root: bytes | None
    live: dict[str, list[Json]] = field(default_factory=dict)
    """All sources of the cluster, by kind."""

    def run(self) -> Status:
        sources = find_sources(self.manifests)
        subject = f"the cluster at {self.api.url}"
        try:
            for kind in ("OCIRepository", "HelmRepository", "HelmChart"):
                self.live[kind] = list(self._all(_SOURCE, kind))
            controllers = [one for one in self._all("apps/v1", "Deployment") if _is_controller(one)]
        except ApiError as error:
            return Status(verdict=Verdict.of(subject, checks=[_unavailable(error)]), controllers=(), sources=0)
        parts = [self._source(source) for source in sources]
        parts += [self._other(one) for one in self.manifests.objects if _is_beside(one)]
        parts.append(_controllers(controllers, sources))
        checks = [] if sources else [_nothing()]
        return Status(
            verdict=Verdict.of(subject, checks=checks, parts=parts),
            controllers=tuple(f"{_name(one)} {_version(one) or 'of unknown version'}" for one in controllers),
            sources=len(sources),
        )

    def _all(self, api_version: str, kind: str) -> Iterable[Json]:
        found = self.api.type_of(api_version, kind)
        return self.api.list_all(found) if found is not None else ()

    # One source

    def _source(self, source: Source) -> Verdict:
        manifest = source.manifest
        namespace = manifest.namespace or "default"
        live = next((one for one in self.live["OCIRepository"] if _key(one) == (namespace, manifest.name)), None)
        if live is None:
            return Verdict.of(manifest.subject, checks=[_missing(manifest)])
        checks = [*_compared(source, live), *_in_force(source, live), *self._second(source, live)]
        if self.trusted_root is not None and source.secret_named("trustedRootSecretRef"):
            checks.append(self._trusted_root(source, namespace, self.trusted_root))
        return Verdict.of(manifest.subject, checks=[manifest.located(check) for check in checks])

    def _second(self, source: Source, live: Json) -> Iterator[Check]:
        """Whatever else reads the same repository, and verifies it otherwise or not at all."""
        wanted = repository_of(source.repository)
        bad = []
        for other in self.live["OCIRepository"]:
            spec = other.get("spec") or {}
            if _key(other) != _key(live) and repository_of(str(spec.get("url", ""))) == wanted:
                bad += [other] if _verify(spec) != _verify(live["spec"]) else []
        bad += self._charts(wanted)
        names = ", ".join(f"{one.get('kind', 'OCIRepository')} {'/'.join(_key(one))}" for one in bad)
        yield Check(
            name="no second source",
            reason=Reason.LIVE_SECOND_SOURCE if bad else None,
            detail=f"{names}: reads {wanted}, too, and does not verify it as Git says" if bad else "",
        )

    def _charts(self, wanted: str) -> Iterator[Json]:
        """HelmCharts of a HelmRepository that lead to the same repository: they cannot verify as an OCIRepository."""
        repositories = {
            _key(one): str(one["spec"].get("url", ""))
            for one in self.live["HelmRepository"]
            if (one.get("spec") or {}).get("type") == "oci"
        }
        for chart in self.live["HelmChart"]:
            spec = chart.get("spec") or {}
            reference = spec.get("sourceRef") or {}
            base = repositories.get((_key(chart)[0], str(reference.get("name", ""))))
            of_oci = reference.get("kind") == "HelmRepository" and base is not None
            if of_oci and repository_of(f"{str(base).rstrip('/')}/{spec.get('chart', '')}") == wanted:
                yield {**chart, "kind": "HelmChart"}

    def _trusted_root(self, source: Source, namespace: str, wanted: bytes) -> Check:
        """Whether the Secret with the trust root holds the one that was given."""
        name = source.secret_named("trustedRootSecretRef")
        try:
            secret = self.api.find(Type("v1", "Secret", "secrets", namespaced=True).path(namespace, name))
        except ApiError as error:
            return _unavailable(error)
        encoded = ((secret or {}).get("data") or {}).get(TRUSTED_ROOT)
        if not isinstance(encoded, str):
            detail = f"the Secret {namespace}/{name} is not there, or has no key {TRUSTED_ROOT}"
            return Check(name="trust root", reason=Reason.LIVE_DIFFERS, detail=detail)
        try:
            same = strictjson.parse(base64.b64decode(encoded)) == strictjson.parse(wanted)
        except (FormatError, ValueError):
            same = False
        return Check(
            name="trust root",
            reason=None if same else Reason.LIVE_DIFFERS,
            detail="" if same else f"the Secret {namespace}/{name} holds another trust root",
        )

    # What else Git says

    def _other(self, manifest: Manifest) -> Verdict:
        """An object of a definition that is no source, such as a Kustomization: there, as Git says, not suspended."""
        try:
            kind = self.api.type_of(manifest.api_version, manifest.kind)
            namespace = manifest.namespace or "default"
            live = None if kind is None else self.api.find(kind.path(namespace, manifest.name))
        except ApiError as error:
            return Verdict.of(manifest.subject, checks=[_unavailable(error)])
        if live is None:
            return Verdict.of(manifest.subject, checks=[_missing(manifest)])
        checks = [_differing(list(differences(manifest.body.get("spec"), live.get("spec"), "spec"))), _suspended(live)]
        return Verdict.of(manifest.subject, checks=[manifest.located(check) for check in checks])


def look(api: Api, manifests: Manifests, *, trusted_root: bytes | None = None) -> Status:
    """Compare what Git says with what the cluster has. Raises InputError for a source whose artifact cannot be told."""
    return _Looking(api, manifests, trusted_root).run()


def _compared(source: Source, live: Json) -> Iterator[Check]:
    """Whether Git and the cluster say the same of a source."""
    if not source.verify:
        yield Check(
            name="verify",
            reason=Reason.MANIFEST_UNVERIFIED,
            detail="Git says nothing of how it is verified",
            evidence={"field": "spec"},
        )
        return
    spec = live.get("spec") or {}
    found = [
        one
        for one in differences(source.manifest.body["spec"], spec, "spec")
        if not one[0].startswith("spec.verify") and one[0] != "spec.suspend"
    ]
    # Of `verify` a key that is only in the cluster counts, too: a second matcher, another key.
    if _verify(spec) != _verify(source.manifest.body["spec"]):
        found.append(("spec.verify", "has another value" if spec.get("verify") else "is gone"))
    yield _differing(found)


def _in_force(source: Source, live: Json) -> Iterator[Check]:
    """Whether the controller says of the current generation that it verified what it serves."""
    status, generation = live.get("status") or {}, live["metadata"].get("generation")
    verified, ready = condition(status, VERIFIED), condition(status, READY)
    yield _suspended(live)
    if verified.get("status") == "False":
        message = str(verified.get("message", ""))[:2000]
        cause = reason_of(message)
        evidence = {"reason": str(verified.get("reason", "")), "cause": cause.value if cause else ""}
        yield Check(name="SourceVerified", reason=Reason.LIVE_REFUSED, detail=message, evidence=evidence)
    else:
        yield _verified(verified, ready, status, generation)
    served = digest_of(status.get("artifact"))
    wanted = str(source.digest or "")
    evidence = {"expected": wanted or f"whatever {source.tag} names", "found": served}
    if wanted and served != wanted:
        detail = "nothing is served" if not served else "another revision is served than Git names"
        yield Check(name="artifact", reason=Reason.LIVE_ARTIFACT, detail=detail, evidence=evidence)
    else:
        yield Check(name="artifact", evidence=evidence)


def _verified(verified: Json, ready: Json, status: Json, generation: object) -> Check:
    """A check on `SourceVerified` where it is not false: it may be absent, stale, or about another revision."""
    seen = {"generation": str(generation), "observed": str(verified.get("observedGeneration", "never"))}
    revision = str((status.get("artifact") or {}).get("revision", ""))
    said = _VERIFIED_REVISION.match(str(verified.get("message", "")))
    detail = ""
    if verified.get("status") != "True":
        detail = "the controller does not say that it verified anything"
    elif verified.get("observedGeneration") != generation:
        detail = "what the controller says is about an earlier generation of the source"
    elif ready.get("status") != "True" or ready.get("observedGeneration") != generation:
        detail = f"the source is not ready: {str(ready.get('message', 'no condition'))[:500]}"
    elif said is not None and said[1] != revision:
        detail = f"verified was {said[1]}, and served is {revision or 'nothing'}"
    return Check(
        name="SourceVerified", reason=Reason.LIVE_NOT_IN_FORCE if detail else None, detail=detail, evidence=seen
    )


def _suspended(live: Json) -> Check:
    suspended = (live.get("spec") or {}).get("suspend") is True
    return Check(
        name="reconciled",
        reason=Reason.LIVE_NOT_IN_FORCE if suspended else None,
        detail="it is suspended: what Git says is not looked at" if suspended else "",
        evidence={"field": "spec.suspend"} if suspended else {},
    )


def _differing(found: Sequence[tuple[str, str]]) -> Check:
    if not found:
        return Check(name="as Git says")
    told = "; ".join(f"{path} {what}" for path, what in found[:10])
    return Check(
        name="as Git says",
        reason=Reason.LIVE_DIFFERS,
        detail=f"in the cluster {told}",
        evidence={"field": found[0][0]},
    )


# Controllers


def _controllers(found: Sequence[Json], sources: Sequence[Source]) -> Verdict:
    """Whether a source-controller runs that knows every key that Git uses."""
    if not found:
        detail = f"no Deployment is called {_CONTROLLER}, or has that as its component"
        return Verdict.of(_CONTROLLER, checks=[Check(name="runs", reason=Reason.LIVE_CONTROLLER, detail=detail)])
    needed = max((_needed(source) for source in sources), default=(0, 0, 0))
    return Verdict.of(_CONTROLLER, parts=[Verdict.of(_name(one), checks=_running(one, needed)) for one in found])


def _needed(source: Source) -> tuple[int, ...]:
    named = [oldest for name, oldest in _OLDEST.items() if source.verify.get(name)]
    return max([*named, _OLDEST_BUNDLES]) if source.verify else (0, 0, 0)


def _running(deployment: Json, needed: tuple[int, ...]) -> list[Check]:
    status = deployment.get("status") or {}
    generation = deployment["metadata"].get("generation")
    alive = int(status.get("readyReplicas") or 0) > 0 and status.get("observedGeneration") == generation
    version = _version(deployment)
    parsed = _VERSION.fullmatch(version)
    oldest = ".".join(map(str, needed))
    checks = [
        Check(
            name="runs",
            reason=None if alive else Reason.LIVE_CONTROLLER,
            detail="" if alive else "no replica of its current generation is ready",
        )
    ]
    if parsed is None:
        return [
            *checks,
            Check(name="version", detail="its image does not tell its version", evidence={"found": version}),
        ]
    new_enough = tuple(int(part) for part in parsed.groups()) >= needed
    detail = "" if new_enough else f"{version} drops what Git says of verification without a word"
    return [
        *checks,
        Check(
            name="version",
            reason=None if new_enough else Reason.LIVE_CONTROLLER,
            detail=detail,
            evidence={"expected": f"at least {oldest}", "found": version},
        ),
    ]


def _is_controller(deployment: Json) -> bool:
    metadata = deployment["metadata"]
    return metadata["name"] == _CONTROLLER or (metadata.get("labels") or {}).get(_COMPONENT) == _CONTROLLER


def _version(deployment: Json) -> str:
    """The tag of the controller's image; empty where it has none."""
    containers = deployment["spec"]["template"]["spec"].get("containers") or []
    images = [str(one.get("image", "")) for one in containers]
    image = next((one for one in images if _CONTROLLER in one), images[0] if images else "")
    return image.partition("@")[0].rpartition("/")[2].partition(":")[2]


# Small things


def _verify(spec: Json) -> object:
    """`verify` as it is compared: with the provider that the API server fills in."""
    verify = spec.get("verify")
    return {"provider": "cosign", **verify} if isinstance(verify, dict) else None


def _key(live: Json) -> tuple[str, str]:
    return str(live["metadata"].get("namespace", "")), str(live["metadata"]["name"])


def _name(live: Json) -> str:
    return f"Deployment {'/'.join(_key(live))}"


def _is_beside(manifest: Manifest) -> bool:
    """Objects of definitions that are compared: not the sources, not Kubernetes' own kinds."""
    return not is_native(manifest.api_version) and not manifest.is_a(model.FLUX_SOURCE, "OCIRepository")


def _missing(manifest: Manifest) -> Check:
    return manifest.located(Check(name="in the cluster", reason=Reason.LIVE_MISSING, detail="it is not there"))


def _nothing() -> Check:
    return Check(name="sources", reason=Reason.NOTHING_CHECKED, detail="Git has no OCIRepository to look for")


def _unavailable(error: ApiError) -> Check:
    return Check(name="API server", reason=Reason.CLUSTER_UNAVAILABLE, detail=error.message)
