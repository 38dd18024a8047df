"""The consumer itself: a source-controller that works on the stored objects, beside an API server and a registry.

Of each object there is a copy for each artifact that it is shown, in a repository of its own: the good one, and those
that must be refused. Afterwards the good copy is pointed at a bad artifact, and must go on to serve the good one.
What a copy has otherwise than the object in the cluster is where the artifact comes from: `url`, `ref`, `insecure`,
and the credentials of the real registry.
"""

from __future__ import annotations

import copy
import time
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from dhallmark.controls.consumers.trust_deployment import deployed
from dhallmark.controls.layout import Layout
from dhallmark.controls.registry import TAG, false_blobs, fill, link_blobs, start_registry
from dhallmark.digest import Digest
from dhallmark.errors import ToolError
from dhallmark.kubernetes.api import Api
from dhallmark.kubernetes.apply import create, make_namespace
from dhallmark.kubernetes.source_controller import await_end, running_source_controller

Json = dict[str, Any]
FROM_ELSEWHERE: Final = ("secretRef", "certSecretRef", "proxySecretRef", "serviceAccountName", "provider", "suspend")
"""Fields of a copy that are left out: they are about the real registry."""
_REGISTRY_PORT: Final = 5000
_SECONDS: Final = 90.0
_AFTER_PUSH_SECONDS: Final = 45.0
_TRUSTED_ROOT: Final = "trusted_root.json"
_GOOD: Final = "good"


def reconcile_all(api: Api, request: Mapping[str, Any], *, folder: Path, kubeconfig: Path) -> Json:
    """Let the controller work on every source of `request`; the status of each copy, as the API server has it.

    `request` has `program`; `trusted_root`, a path, for sources that name none; and `sources`, each with its `object`,
    `secrets` (texts by name and key) and `shown`: for `good` and each bad artifact its `layout` and `digest`, and for
    one of the bad ones `pushed`, as that which is pushed over the good one.
    """
    sources = request["sources"]
    layouts = {
        _repository(index, name): Path(shown["layout"])
        for index, source in enumerate(sources)
        for name, shown in source["shown"].items()
    }
    blobs = folder / "blobs"
    link_blobs(blobs, layouts)
    registry = start_registry(_REGISTRY_PORT, blobs, user=None)
    try:
        for index, source in enumerate(sources):
            for name, shown in source["shown"].items():
                layout = Layout.read(Path(shown["layout"]))
                if false_blobs(layout):
                    raise ToolError(f"no registry would keep the artifact of {name}")
                fill(_REGISTRY_PORT, _repository(index, name), layout, tagged=Digest(shown["digest"]))
        with ExitStack() as stack:
            home = folder / "controller"
            home.mkdir()
            variables = stack.enter_context(deployed(Path(request["trusted_root"]).read_bytes(), home))
            still = stack.enter_context(
                running_source_controller(request["program"], home, kubeconfig=kubeconfig, variables=variables)
            )

            def status_of(path: str, *, until: str = "") -> Json:
                seconds = _AFTER_PUSH_SECONDS if until else _SECONDS
                return await_end(api, path, still=still, folder=home, seconds=seconds, until=until)

            copies = [_make(api, source, index) for index, source in enumerate(sources)]
            answer = [{name: status_of(path) for name, path in of_source.items()} for of_source in copies]
            for index, source in enumerate(sources):
                answer[index]["pushed"] = _push(api, source, copies[index][_GOOD], index, status_of)
        return {"sources": answer}
    finally:
        registry.kill()
        registry.wait()


def _repository(index: int, name: str) -> str:
    return f"proof/{index}/{name.lower()}"


def _make(api: Api, source: Mapping[str, Any], index: int) -> dict[str, str]:
    """Create the copies of a source and the Secrets that it names, in a namespace of its own; the path of each."""
    namespace = f"proof-{index}"
    make_namespace(api, namespace, secrets=source["secrets"])
    found = {}
    for name, shown in source["shown"].items():
        body = copy.deepcopy(source["object"])
        label = name.lower()
        body["metadata"] = {"name": label, "namespace": namespace}
        body.pop("status", None)
        for field in FROM_ELSEWHERE:
            body["spec"].pop(field, None)
        body["spec"] |= {
            "url": f"oci://127.0.0.1:{_REGISTRY_PORT}/{_repository(index, name)}",
            "ref": _reference(source, shown["digest"]),
            "insecure": True,
        }
        found[name] = create(api, body)
    return found


def _reference(source: Mapping[str, Any], digest: str) -> dict[str, str]:
    """By digest where the object names one, by tag otherwise."""
    return {"digest": digest} if (source["object"]["spec"].get("ref") or {}).get("digest") else {"tag": TAG}


def _push(api: Api, source: Mapping[str, Any], good: str, index: int, status_of: Callable[..., Json]) -> Json:
    """Put the bad artifact where the good one is looked for; the status after that, and whether the good one is served.

    Where the object names a digest, somebody commits another one; where it names a tag, somebody moves it.
    """
    bad = source["shown"][source["pushed"]]
    repository = _repository(index, _GOOD)
    fill(_REGISTRY_PORT, repository, Layout.read(Path(bad["layout"])), tagged=Digest(bad["digest"]))
    before = api.get(good)["status"].get("artifact") or {}
    if _reference(source, bad["digest"]).get("digest"):
        api.merge(good, {"spec": {"ref": {"digest": bad["digest"]}}})
    else:
        asked = {"reconcile.fluxcd.io/requestedAt": str(time.time_ns())}
        api.merge(good, {"metadata": {"annotations": asked}})
    # The generation is the same where a tag moved, so its end cannot be told: it is over when it is refused.
    after = status_of(good, until="False")
    return {**after, "before": before, "served": _fetch(str(before.get("url", "")))}


def _fetch(url: str) -> str:
    """The digest of what is served at a URL of the controller's; empty where nothing is."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - the controller's own, on loopback
            return str(Digest.of(answer.read()))
    except (OSError, ValueError):
        return ""
