from pathlib import Path
from typing import Any

import cbor2
import pytest

from dhallmark.errors import RenderError
from dhallmark.plan import Unit
from dhallmark.render.objects import KIND_ORDER, Identity, KubernetesObject, read_objects

UNIT = Unit("dev", "web")


def encode(value: object) -> object:
    """A JSON value as a raw normal form."""
    if isinstance(value, dict):
        return [8, {key: encode(item) for key, item in value.items()}]
    if isinstance(value, list):
        return [4, None, *map(encode, value)] if value else [4, "Text"]
    if isinstance(value, str):
        return [18, value]
    return [15, value] if isinstance(value, int) else value


def thing(kind: str, name: str, namespace: str | None = None, api_version: str = "v1") -> dict[str, Any]:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def read(value: object, root: Path = Path("/nonexistent")) -> list[KubernetesObject]:
    return read_objects(cbor2.dumps(encode(value)), unit=UNIT, entry="apps/web.dhall", root=root)


def test_objects_stand_in_the_order_in_which_a_cluster_needs_them() -> None:
    objects = [
        thing("Ingress", "z", "b", "networking.k8s.io/v1"),
        thing("Service", "knative", "a", "serving.knative.dev/v1"),
        thing("Certificate", "c", "a", "cert-manager.io/v1"),
        thing("Deployment", "d", "a", "apps/v1"),
        thing("Service", "s2", "b"),
        thing("Service", "s1", "b"),
        thing("Service", "s9", "a"),
        thing("Namespace", "a"),
    ]
    expected = [
        "Namespace a", "Service a/s9", "Service b/s1", "Service b/s2", "Deployment.apps a/d",
        "Ingress.networking.k8s.io b/z", "Certificate.cert-manager.io a/c", "Service.serving.knative.dev a/knative",
    ]  # fmt: skip
    assert [str(item.identity) for item in read(objects)] == expected
    assert [str(item.identity) for item in read(objects[::-1])] == expected


def test_no_kind_is_listed_twice() -> None:
    assert len(set(KIND_ORDER)) == len(KIND_ORDER)


@pytest.mark.parametrize(
    ("second", "clash"),
    [
        (thing("Deployment", "a", "x", "apps/v1"), True),
        (thing("Deployment", "a", "x", "apps/v1beta2"), True),
        (thing("Deployment", "a", "y", "apps/v1"), False),
        (thing("Deployment", "b", "x", "apps/v1"), False),
        (thing("StatefulSet", "a", "x", "apps/v1"), False),
        (thing("Deployment", "a", "x", "example.test/v1"), False),
    ],
)
def test_an_identity_is_group_kind_namespace_and_name(second: dict[str, Any], *, clash: bool) -> None:
    first = thing("Deployment", "a", "x", "apps/v1")
    if not clash:
        assert len(read([first, second])) == 2
        return
    with pytest.raises(RenderError, match=r"Deployment.apps x/a is yielded twice, at \[0\] and \[1\]"):
        read([first, second])


@pytest.mark.parametrize(
    ("value", "message", "field"),
    [
        (thing("Service", "a"), "not a list", None),
        ([], "no object", None),
        (["text"], "not an object", "[0]"),
        ([thing("Service", "a"), {"kind": "Service", "metadata": {"name": "b"}}], "without apiVersion",
         "[1].apiVersion"),
        ([{"apiVersion": "v1", "metadata": {"name": "b"}}], "without kind", "[0].kind"),
        ([{"apiVersion": "v1", "kind": 7, "metadata": {"name": "b"}}], "without kind", "[0].kind"),
        ([{"apiVersion": "v1", "kind": "Service"}], "without a name", "[0].metadata.name"),
        ([thing("Service", "")], "without a name", "[0].metadata.name"),
        ([thing("Service", "x" * 254)], "without a name", "[0].metadata.name"),
        ([{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "namespace": 3}}], "namespace",
         "[0].metadata.namespace"),
    ],
)  # fmt: skip
def test_what_is_no_set_of_objects_is_refused_with_position(
    tmp_path: Path, value: object, message: str, field: str | None
) -> None:
    entry = tmp_path / "apps" / "web.dhall"
    entry.parent.mkdir()
    entry.write_text("let x = 1\n\nin  [ x ]\n")
    with pytest.raises(RenderError, match=message) as caught:
        read(value, tmp_path)
    where = caught.value.where
    assert where is not None
    assert (where.file, where.line, where.column, where.field) == ("apps/web.dhall", 3, 5, field)
    assert caught.value.hint


def test_without_its_source_an_error_names_the_file() -> None:
    with pytest.raises(RenderError) as caught:
        read([])
    assert str(caught.value.where) == "apps/web.dhall"


def test_an_identity_prints_as_people_write_it() -> None:
    assert str(Identity("", "Service", "shop", "web")) == "Service shop/web"
