"""What an artifact's files are called in the record of an inspection."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from dhallmark.digest import Digest
from dhallmark.verify.layouts.inspections import Product, inspect, needs_layer
from dhallmark.verify.layouts.layer import folder_digest, read_layer
from dhallmark.verify.layouts.model import Inspection, Layout

if TYPE_CHECKING:
    from tests.unit.verify.layouts.conftest import World

ITEM = Inspection(name="layer", run=("dhallmark", "inspect", "layer"), materials=(), products=())


def product_of(layer: bytes) -> Product:
    return Product(
        name="r.test/acme/prod/web", digest=Digest.of(b"m"), archive=Digest.of(layer), layer=read_layer(layer)
    )


def test_a_layer_that_is_no_chart_is_a_tree(world: World) -> None:
    record = inspect(ITEM, product_of(world.layer_of({"platform/a.yaml": "a", "services/b.yaml": "b"})))
    assert sorted(record.products) == ["dir:tree/prod", "tree/prod/platform/a.yaml", "tree/prod/services/b.yaml"]
    assert sorted(record.materials) == ["oci/layer", "oci/manifest"]


def test_a_chart_is_known_by_its_one_folder_with_a_chart_yaml(world: World) -> None:
    record = inspect(ITEM, product_of(world.layer_of({"web/Chart.yaml": "a", "web/templates/b.yaml": "b"})))
    assert sorted(record.products) == [
        "chart/prod/web/Chart.yaml",
        "chart/prod/web/templates/b.yaml",
        "dir:chart/prod/web",
    ]
    assert record.products["dir:chart/prod/web"]["sha256"] == folder_digest(
        {"Chart.yaml": Digest.of(b"a").hex, "templates/b.yaml": Digest.of(b"b").hex}
    )


def test_only_a_layout_that_inspects_the_layer_needs_it(world: World) -> None:

    assert needs_layer(Layout.parse(json.dumps(world.layout).encode()))
    assert not needs_layer(Layout.parse(json.dumps({**world.layout, "inspect": []}).encode()))
