"""Applying manifests strictly, and reading back what the API server stored.

An API server takes a key that it does not know without a word unless it is asked to be strict, and stores the object
without it. So each object is created with strict field validation; what is stored is then compared with the manifest,
field for field: a key that a schema prunes, or that something changed on the way, is found whatever took it.

Kubernetes' own kinds are decoded strictly too; their values are not compared, since the server writes some of them in
another form (`1000m` as `1`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from dhallmark.errors import UnavailableError
from dhallmark.kubernetes.api import Api, ApiError, Type
from dhallmark.reasons import Reason
from dhallmark.verdict import Check

Json = dict[str, Any]
_ESTABLISHED_SECONDS: Final = 30.0
_POLL: Final = 0.05
_CONFLICT: Final = 409
_REFUSED: Final = range(400, 500)
_UNKNOWN: Final = re.compile(r'(unknown|duplicate) field "([^"]+)"')
_INVALID: Final = re.compile(r"(?:^|[:,\[ ])((?:spec|metadata|data|rules|subjects)[A-Za-z0-9_.\[\]]*): ")
_NATIVE: Final = re.compile(r"[a-z0-9-]+(\.k8s\.io)?")
"""Groups of Kubernetes' own: `apps`, `networking.k8s.io`, and the empty one."""
_DEFINITION: Final = "CustomResourceDefinition"
_FIRST: Final = {"Namespace": 0, _DEFINITION: 1, "Secret": 2, "ConfigMap": 2}
_LAST: Final = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What became of one object."""

    checks: tuple[Check, ...]
    """Each that did not pass has the field in its evidence, where the server named one."""
    stored: Mapping[str, Any] | None = field(default=None, repr=False)
    """As read back; None where it was not taken."""


def define(api: Api, definitions: Sequence[Mapping[str, Any]]) -> None:
    """Install CustomResourceDefinitions, and wait until all are served. Raises UnavailableError."""
    kind = api.type_of("apiextensions.k8s.io/v1", _DEFINITION)
    if kind is None:
        raise UnavailableError("the API server knows no CustomResourceDefinition")
    for one in definitions:
        try:
            api.create(kind, one)
        except ApiError as error:
            raise UnavailableError(f"the definition {one['metadata']['name']} is not taken: {error.message}") from error
    for one in definitions:
        _await_established(api, kind, one)


def apply_all(api: Api, objects: Sequence[Mapping[str, Any]]) -> list[Applied]:
    """Create every object, in an order in which each finds what it needs; the results in the order of `objects`.

    Namespaces that are named and not among the objects are made first. Raises UnavailableError where the server does
    not answer.
    """
    _make_namespaces(api, objects)
    order = sorted(range(len(objects)), key=lambda index: _FIRST.get(str(objects[index].get("kind")), _LAST))
    done: dict[int, Applied] = {}
    for index in order:
        done[index] = _apply(api, objects[index])
    return [done[index] for index in range(len(objects))]


def create(api: Api, body: Mapping[str, Any]) -> str:
    """Create one object, strictly; its path. Raises ApiError, and UnavailableError for a kind that is not served."""
    kind = api.type_of(str(body["apiVersion"]), str(body["kind"]))
    if kind is None:
        raise UnavailableError(f"the API server has no {body['kind']} of {body['apiVersion']}")
    api.create(kind, body)
    return kind.path(str(body["metadata"].get("namespace", "")), str(body["metadata"]["name"]))


def make_namespace(api: Api, name: str, *, secrets: Mapping[str, Mapping[str, str]]) -> None:
    """Create a namespace with `secrets` in it: texts by name and key. Raises as `create`."""
    create(api, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for secret, texts in secrets.items():
        metadata = {"name": secret, "namespace": name}
        create(api, {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": texts})


def is_native(api_version: str) -> bool:
    """Whether a kind is Kubernetes' own, and not a CustomResourceDefinition's."""
    group = api_version.rpartition("/")[0]
    return not group or _NATIVE.fullmatch(group) is not None


def _make_namespaces(api: Api, objects: Sequence[Mapping[str, Any]]) -> None:
    kind = Type("v1", "Namespace", "namespaces", namespaced=False)
    wanted = {str(one["metadata"].get("namespace") or "") for one in objects} - {""}
    given = {str(one["metadata"]["name"]) for one in objects if one.get("kind") == "Namespace"}
    for name in sorted(wanted - given):
        try:
            api.create(kind, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        except ApiError as error:
            # One that is there already is as good; one that may not exist is refused with its objects.
            if error.status not in _REFUSED:
                raise


def _apply(api: Api, body: Mapping[str, Any]) -> Applied:
    api_version, name = str(body["apiVersion"]), str(body["metadata"]["name"])
    kind = api.type_of(api_version, str(body["kind"]))
    if kind is None:
        detail = f"no cluster with these definitions knows {body['kind']} of {api_version}"
        return Applied(checks=(Check(name="apply", reason=Reason.MANIFEST_REFUSED, detail=detail),))
    namespace = str(body["metadata"].get("namespace") or "") if kind.namespaced else ""
    if kind.namespaced and not namespace:
        namespace = "default"
        body = {**body, "metadata": {**body["metadata"], "namespace": namespace}}
    try:
        api.create(kind, body)
    except ApiError as error:
        if error.status == _CONFLICT and body["kind"] == "Namespace":
            pass
        elif error.status in _REFUSED:
            return Applied(checks=tuple(_refused(error.message)))
        else:
            raise
    if body["kind"] == _DEFINITION:
        _await_established(api, kind, body)
    stored = api.get(kind.path(namespace, name))
    changed = [] if is_native(api_version) else list(differences(body, stored))
    checks = [Check(name="apply"), *(_changed(path, what) for path, what in changed)]
    return Applied(checks=(*checks, *([] if changed else [Check(name="read-back")])), stored=stored)


def _await_established(api: Api, kind: Type, definition: Mapping[str, Any]) -> None:
    name = str(definition["metadata"]["name"])
    end = time.monotonic() + _ESTABLISHED_SECONDS
    versions = [f"{definition['spec']['group']}/{one['name']}" for one in definition["spec"]["versions"]]
    while time.monotonic() < end:
        conditions = (api.get(kind.path("", name)).get("status") or {}).get("conditions") or ()
        if any(one.get("type") == "Established" and one.get("status") == "True" for one in conditions):
            for version in versions:
                api.forget_types(version)
            served = definition["spec"]["names"]["kind"]
            if any(api.type_of(version, served) for version in versions):
                return
        time.sleep(_POLL)
    raise UnavailableError(f"the definition {name} is not served after {_ESTABLISHED_SECONDS:.0f} s")


def _refused(message: str) -> Iterator[Check]:
    """The server's refusal; for keys that it does not know, one check each."""
    unknown = list(dict.fromkeys(_UNKNOWN.findall(message)))
    for what, path in unknown:
        yield Check(
            name="apply",
            reason=Reason.MANIFEST_UNKNOWN_FIELD,
            detail=f"{what} field {path}: without strictness the API server drops it and says nothing",
            evidence={"field": path},
        )
    if not unknown:
        found = _INVALID.search(message)
        told = message.partition(": ")[2] or message
        yield Check(
            name="apply",
            reason=Reason.MANIFEST_REFUSED,
            detail=told[:2000],
            evidence={"field": found[1]} if found else {},
        )


def _changed(path: str, what: str) -> Check:
    return Check(
        name="read-back",
        reason=Reason.MANIFEST_CHANGED,
        detail=f"{path} {what} when it is read back",
        evidence={"field": path},
    )


def differences(wanted: object, stored: object, path: str = "") -> Iterator[tuple[str, str]]:
    """The fields of `wanted` that `stored` has not, or has otherwise, each with what became of it.

    What is only in `stored` is the server's: defaults, and what it writes about an object. A null is as good as no key.
    """
    if isinstance(wanted, Mapping):
        if not isinstance(stored, Mapping):
            yield path, "is another kind of value"
            return
        for key, value in wanted.items():
            inner = f"{path}.{key}" if path else str(key)
            if inner == "status" or value is None:
                continue
            if key not in stored:
                # An empty object or list may be left out; it means the same.
                if value not in ({}, []):
                    yield inner, "is gone"
                continue
            yield from differences(value, stored[key], inner)
    elif isinstance(wanted, list):
        if not isinstance(stored, list) or len(stored) != len(wanted):
            yield path, "has another number of items"
            return
        for index, value in enumerate(wanted):
            yield from differences(value, stored[index], f"{path}[{index}]")
    elif wanted != stored or isinstance(wanted, bool) is not isinstance(stored, bool):
        yield path, "has another value"
