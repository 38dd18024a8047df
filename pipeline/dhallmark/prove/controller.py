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
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dhallmark.controls.consumers.trust_deployment import deployed
from dhallmark.controls.layout import Layout
from dhallmark.controls.registry import TAG, false_blobs, fill, link_blobs, start_registry
from dhallmark.digest import Digest
from dhallmark.errors import ToolError
from dhallmark.lab.state import tail
from dhallmark.prove.api import Api
from dhallmark.prove.servers import running

Json = dict[str, Any]
PROGRAM: Final = "source-controller"
FROM_ELSEWHERE: Final = ("secretRef", "certSecretRef", "proxySecretRef", "serviceAccountName", "provider", "suspend")
"""Fields of a copy that are left out: they are about the real registry."""
_REGISTRY_PORT, _STORAGE_PORT = 5000, 9090
_SECONDS: Final = 90.0
_AFTER_PUSH_SECONDS: Final = 45.0
_POLL: Final = 0.1
_TRUSTED_ROOT: Final = "trusted_root.json"
_GOOD: Final = "good"


@dataclass(frozen=True, slots=True)
class _Copy:
    """One object that the controller works on."""

    namespace: str
    name: str
    path: str


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
            home, storage = folder / "controller", folder / "storage"
            home.mkdir()
            storage.mkdir()
            variables = stack.enter_context(deployed(Path(request["trusted_root"]).read_bytes(), home))
            command = [
                request["program"],
                f"--storage-path={storage}",
                f"--storage-addr=127.0.0.1:{_STORAGE_PORT}",
                f"--storage-adv-addr=127.0.0.1:{_STORAGE_PORT}",
                "--enable-leader-election=false",
                "--watch-all-namespaces=true",
                "--metrics-addr=127.0.0.1:8080",
                "--health-addr=127.0.0.1:9440",
            ]
            environment = {**variables, "KUBECONFIG": str(kubeconfig), "RUNTIME_NAMESPACE": "flux-system"}
            still = stack.enter_context(running(PROGRAM, command, folder, env=environment))
            copies = [_make(api, source, index) for index, source in enumerate(sources)]
            answer = [
                {name: _await(api, one, still, folder) for name, one in of_source.items()} for of_source in copies
            ]
            for index, source in enumerate(sources):
                answer[index]["pushed"] = _push(api, source, copies[index][_GOOD], index, still, folder)
        return {"sources": answer}
    finally:
        registry.kill()
        registry.wait()


def _repository(index: int, name: str) -> str:
    return f"proof/{index}/{name.lower()}"


def _make(api: Api, source: Mapping[str, Any], index: int) -> dict[str, _Copy]:
    """Create the copies of a source and the Secrets that it names, in a namespace of its own."""
    namespace = f"proof-{index}"
    _create(api, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    for name, text in source["secrets"].items():
        metadata = {"name": name, "namespace": namespace}
        _create(api, {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": text})
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
        kind = _create(api, body)
        found[name] = _Copy(namespace, label, kind)
    return found


def _reference(source: Mapping[str, Any], digest: str) -> dict[str, str]:
    """By digest where the object names one, by tag otherwise."""
    return {"digest": digest} if (source["object"]["spec"].get("ref") or {}).get("digest") else {"tag": TAG}


def _create(api: Api, body: Mapping[str, Any]) -> str:
    """Create an object; its path. Raises ApiError, ToolError."""
    kind = api.type_of(str(body["apiVersion"]), str(body["kind"]))
    if kind is None:
        raise ToolError(f"the API server has no {body['kind']} of {body['apiVersion']}")
    api.create(kind, body)
    return kind.path(str(body["metadata"].get("namespace", "")), str(body["metadata"]["name"]))


def _push(
    api: Api, source: Mapping[str, Any], good: _Copy, index: int, still: Callable[[], bool], folder: Path
) -> Json:
    """Put the bad artifact where the good one is looked for; the status after that, and whether the good one is served.

    Where the object names a digest, somebody commits another one; where it names a tag, somebody moves it.
    """
    bad = source["shown"][source["pushed"]]
    repository = _repository(index, _GOOD)
    fill(_REGISTRY_PORT, repository, Layout.read(Path(bad["layout"])), tagged=Digest(bad["digest"]))
    before = api.get(good.path)["status"].get("artifact") or {}
    if _reference(source, bad["digest"]).get("digest"):
        api.merge(good.path, {"spec": {"ref": {"digest": bad["digest"]}}})
    else:
        asked = {"reconcile.fluxcd.io/requestedAt": str(time.time_ns())}
        api.merge(good.path, {"metadata": {"annotations": asked}})
    # The generation is the same where a tag moved, so its end cannot be told: it is over when it is refused.
    after = _await(api, good, still, folder, until="False")
    return {**after, "before": before, "served": _fetch(str(before.get("url", "")))}


def _fetch(url: str) -> str:
    """The digest of what is served at a URL of the controller's; empty where nothing is."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - the controller's own, on loopback
            return str(Digest.of(answer.read()))
    except (OSError, ValueError):
        return ""


def _await(api: Api, one: _Copy, still: Callable[[], bool], folder: Path, *, until: str = "") -> Json:
    """The object's status, once the controller has come to an end with its current generation.

    With `until`, an end is that `Ready` says so; if it never does, what it says then. Raises ToolError.
    """
    end = time.monotonic() + (_AFTER_PUSH_SECONDS if until else _SECONDS)
    told: Json | None = None
    while time.monotonic() < end and still():
        found = api.get(one.path)
        status = found.get("status") or {}
        conditions: Sequence[Mapping[str, Any]] = status.get("conditions") or ()
        ready = next((item for item in conditions if item["type"] == "Ready"), None)
        current = ready is not None and ready.get("observedGeneration") == found["metadata"]["generation"]
        if ready is not None and current and ready["status"] != "Unknown":
            told = {"conditions": conditions, "artifact": status.get("artifact")}
            if not until or ready["status"] == until:
                return told
        time.sleep(_POLL)
    if told is not None and still():
        return told
    raise ToolError(
        f"source-controller comes to no end with {one.namespace}/{one.name}",
        command=(PROGRAM,),
        stderr=tail(folder / f"{PROGRAM}.log"),
    )
