"""Image layouts are content-addressed, and the same input makes the same digest."""

import hashlib
import json
from pathlib import Path

from toolchain import oci


def test_manifest_config_and_layers_are_found_by_digest(tmp_path: Path) -> None:
    layer = tmp_path / "layer.tar"
    layer.write_bytes(b"layer")
    config = oci.ImageConfig(env={"B": "2", "A": "1"}, command=("sh",), created="2026-01-02T03:04:05Z")
    digest = oci.write_image(tmp_path / "layout", [layer], config)
    blobs = tmp_path / "layout/blobs/sha256"
    for blob in blobs.iterdir():
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    manifest = json.loads((blobs / digest.removeprefix("sha256:")).read_text())
    assert [entry["size"] for entry in manifest["layers"]] == [5]
    document = json.loads((blobs / manifest["config"]["digest"].removeprefix("sha256:")).read_text())
    assert document["config"]["Env"] == ["A=1", "B=2"]
    assert document["created"] == "2026-01-02T03:04:05Z"
    assert document["rootfs"]["diff_ids"] == [manifest["layers"][0]["digest"]]


def test_digest_depends_on_content_alone(tmp_path: Path) -> None:
    digests = set()
    for name in ("one", "two"):
        layer = tmp_path / f"{name}.tar"
        layer.write_bytes(b"layer")
        digests.add(oci.write_image(tmp_path / name, [layer], oci.ImageConfig()))
    assert len(digests) == 1


def test_index_lists_every_image_once(tmp_path: Path) -> None:
    digests = []
    for text in ("a", "b", "a"):
        layer = tmp_path / f"{text}.tar"
        layer.write_text(text)
        digests.append(oci.write_image(tmp_path / "layout", [layer], oci.ImageConfig()))
    listed = json.loads((tmp_path / "layout/index.json").read_text())["manifests"]
    assert [entry["digest"] for entry in listed] == digests[:2]


def test_layers_take_no_second_place_on_disk(tmp_path: Path) -> None:
    layer = tmp_path / "layer.tar"
    layer.write_bytes(b"layer")
    oci.write_image(tmp_path / "layout", [layer], oci.ImageConfig())
    assert layer.stat().st_nlink == 2
