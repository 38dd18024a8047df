"""Kubernetes objects out of a unit's normal form: what identifies one, and the order in which they stand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dhallmark.errors import Location, RenderError
from dhallmark.plan import Unit
from dhallmark.render import cbor
from dhallmark.render.sources import scan
from dhallmark.render.values import Json, list_items, to_json

KIND_ORDER = (
    "Namespace", "PriorityClass", "NetworkPolicy", "ResourceQuota", "LimitRange", "PodDisruptionBudget",
    "ServiceAccount", "Secret", "ConfigMap", "StorageClass", "PersistentVolume", "PersistentVolumeClaim",
    "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "Service", "DaemonSet",
    "Pod", "ReplicaSet", "Deployment", "HorizontalPodAutoscaler", "StatefulSet", "Job", "CronJob", "IngressClass",
    "Ingress", "APIService", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration",
)  # fmt: skip
"""What other objects refer to comes first, what sends traffic to them last: Helm's own install order. Kinds that are
not listed, custom resources among them, come after, by name."""
_PRIORITY = {kind: index for index, kind in enumerate(KIND_ORDER)}
_MAX_NAME = 253
"""RFC 1123 subdomain, the longest name that Kubernetes takes."""


@dataclass(frozen=True, slots=True, order=True)
class Identity:
    """What makes two objects the same to a cluster. The version of the API group is no part of it."""

    group: str
    """Empty for the core group."""
    kind: str
    namespace: str
    """Empty where the object gives none."""
    name: str

    def __str__(self) -> str:
        kind = f"{self.kind}.{self.group}" if self.group else self.kind
        return f"{kind} {self.namespace}/{self.name}" if self.namespace else f"{kind} {self.name}"


@dataclass(frozen=True, slots=True)
class KubernetesObject:
    """One object, ready to be written."""

    identity: Identity
    body: dict[str, Json]
    index: int
    """Its place, from 0, in the list that the application yields."""

    @property
    def order(self) -> tuple[int, str, str, str, str]:
        """Sorts objects: by the priority of their kind, then by kind, group, namespace and name."""
        identity = self.identity
        priority = _PRIORITY.get(identity.kind, len(_PRIORITY)) if _listed(identity) else len(_PRIORITY)
        return (priority, identity.kind, identity.group, identity.namespace, identity.name)


def _listed(identity: Identity) -> bool:
    """True for Kubernetes' own groups; a custom `Service` of another group has no place in the list."""
    return "." not in identity.group or identity.group.endswith(".k8s.io")


def read_objects(normal_form: bytes, *, unit: Unit, entry: str, root: Path) -> list[KubernetesObject]:
    """The objects of a unit, in the order of their files.

    `normal_form` is the encoded list, `entry` the unit's Dhall file below `root`, for positions.
    Raises RenderError for a value that is not a list, holds no object, or two of the same identity, and for an object
    without apiVersion, kind or metadata.name.
    """
    try:
        return _read(normal_form, unit)
    except RenderError as error:
        # Errors below know the field; where the value stands in the source is looked up only now.
        body = _body_position(root, entry)
        field = error.where.field if error.where else None
        error.where = Location(file=body.file, line=body.line, column=body.column, field=field)
        raise


def _read(normal_form: bytes, unit: Unit) -> list[KubernetesObject]:
    items = list_items(cbor.decode(normal_form, what=unit.path))
    if items is None:
        raise RenderError(
            f"{unit.path}: the value is not a list",
            hint="an application yields a list of objects: put the object into [ ], or the list at the entry's end",
        )
    if not items:
        raise RenderError(
            f"{unit.path}: no object is yielded",
            hint=f"leave {unit.environment} out of the application's environments if it has nothing there",
        )
    found: dict[Identity, KubernetesObject] = {}
    for index, item in enumerate(items):
        thing = _object(to_json(item, path=f"[{index}]"), index, unit)
        other = found.setdefault(thing.identity, thing)
        if other is not thing:
            raise RenderError(
                f"{unit.path}: {thing.identity} is yielded twice, at [{other.index}] and [{index}] of the list",
                where=_at(f"[{index}]"),
                hint="give one of them another name or namespace, or take it out",
            )
    return sorted(found.values(), key=lambda thing: thing.order)


def _object(value: Json, index: int, unit: Unit) -> KubernetesObject:
    def wrong(field: str, message: str) -> RenderError:
        return RenderError(
            f"{unit.path}: {message}",
            where=_at(f"[{index}]{field}"),
            hint="every object has the texts apiVersion, kind and metadata.name",
        )

    if not isinstance(value, dict):
        raise wrong("", "an item of the list is not an object")
    texts: list[str] = []
    for key in ("apiVersion", "kind"):
        text = value.get(key)
        if not isinstance(text, str) or not text:
            raise wrong(f".{key}", f"an object without {key}")
        texts.append(text)
    api_version, kind = texts
    metadata = value.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(metadata, dict) or not isinstance(name, str) or not name or len(name) > _MAX_NAME:
        raise wrong(".metadata.name", f"{kind}: an object without a name that Kubernetes takes")
    namespace = metadata.get("namespace", "")
    if not isinstance(namespace, str):
        raise wrong(".metadata.namespace", f"{kind} {name}: a namespace that is no text")
    group = api_version.rpartition("/")[0]
    return KubernetesObject(Identity(group, kind, namespace, name), value, index)


def _at(field: str) -> Location:
    """A place in the value; `read_objects` puts the file and its position to it."""
    return Location(file="", field=field)


def _body_position(root: Path, entry: str) -> Location:
    """Where the entry's value starts; the file alone where its source is not at hand."""
    try:
        line, column = scan((root / entry).read_text(encoding="utf-8")).body
    except (OSError, UnicodeDecodeError):
        return Location(file=entry)
    return Location(file=entry, line=line, column=column)
