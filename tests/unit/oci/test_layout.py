from __future__ import annotations

import json
from pathlib import Path

import pytest

from dhallmark.digest import Digest
from dhallmark.errors import FormatError
from dhallmark.oci.descriptor import EMPTY_CONFIG, EMPTY_CONFIG_TYPE, Descriptor, Manifest, build_manifest
from dhallmark.oci.layout import LayoutWriter, blob_path, read_manifest


@pytest.fixture
def manifest() -> Manifest:
    return build_manifest(config=Descriptor.of(EMPTY_CONFIG, EMPTY_CONFIG_TYPE), layers=[])


def write(directory: Path, manifest: Manifest) -> None:
    writer = LayoutWriter(directory)
    writer.add_blob(EMPTY_CONFIG)
    writer.add_manifest(manifest, name="prod/web:1.2.3")
    writer.add_manifest(manifest)
    writer.finish()


def test_a_manifest_is_read_back(tmp_path: Path, manifest: Manifest) -> None:
    write(tmp_path, manifest)
    assert read_manifest(tmp_path, manifest.digest) == manifest


def test_a_manifest_stands_in_the_index_once_by_its_name(tmp_path: Path, manifest: Manifest) -> None:
    write(tmp_path, manifest)
    [entry] = json.loads((tmp_path / "index.json").read_text())["manifests"]
    assert entry["annotations"] == {"org.opencontainers.image.ref.name": "prod/web:1.2.3"}


def test_a_missing_manifest_is_an_error_that_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="dhallmark package"):
        read_manifest(tmp_path, Digest.of(b"x"))


def test_a_manifest_with_other_bytes_is_an_error(tmp_path: Path, manifest: Manifest) -> None:
    write(tmp_path, manifest)
    blob_path(tmp_path, manifest.digest).write_bytes(manifest.content + b" ")
    with pytest.raises(FormatError, match="has the bytes of"):
        read_manifest(tmp_path, manifest.digest)
