"""Images that an auditor gives: found by digest among files of any kind, and checked to the last byte."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from dhallmark import strictjson
from dhallmark.audit.image import Images
from dhallmark.digest import Digest
from dhallmark.errors import InputError
from dhallmark.oci.descriptor import OCI_INDEX, Descriptor, Manifest, build_manifest
from dhallmark.oci.layout import LayoutWriter, blob_path
from dhallmark.reasons import Reason
from dhallmark.verify.refusal import Refusal


def write(folder: Path, *layers: bytes, levels: int = 0) -> Digest:
    """A layout with an image for each layer, below as many indexes; the digest of the last manifest or index."""
    writer = LayoutWriter(folder)
    config = b"{}"
    writer.add_blob(config)
    made: list[Manifest] = []
    for layer in layers:
        writer.add_blob(layer)
        made.append(
            build_manifest(
                config=Descriptor.of(config, "application/vnd.oci.image.config.v1+json"),
                layers=[Descriptor.of(layer, "application/vnd.oci.image.layer.v1.tar")],
            )
        )
    for _ in range(levels):
        entries = [{"mediaType": one.media_type, "digest": str(one.digest), "size": len(one.content)} for one in made]
        for one in made:
            writer.add_blob(one.content)
        index = strictjson.dump_compact({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})
        made = [Manifest.of(index, OCI_INDEX)]
    for one in made:
        writer.add_manifest(one)
    writer.finish()
    return made[-1].digest


def name(digest: Digest) -> str:
    return f"registry.example/ci@{digest}"


def refusal(images: Images, digest: Digest) -> Refusal:
    with pytest.raises(Refusal) as refused:
        images.find(name(digest))
    assert refused.value.reason is Reason.IMAGE_MISMATCH
    return refused.value


def test_the_recorded_one_of_several_is_found_by_its_digest_and_not_by_its_place(tmp_path: Path) -> None:
    digest = write(tmp_path / "images" / "both", b"one", b"two")
    (tmp_path / "images" / "notes.txt").write_text("not an image")
    write(tmp_path / "images" / "another", b"three")
    found = Images([tmp_path / "images"]).find(name(digest))
    assert found.root.digest == digest
    assert set(found.blobs) == {digest, Digest.of(b"{}"), Digest.of(b"two")}


def test_an_index_is_given_with_all_that_it_lists(tmp_path: Path) -> None:
    digest = write(tmp_path / "image", b"amd64", b"arm64", levels=1)
    found = Images([tmp_path / "image"]).find(name(digest))
    assert len(found.blobs) == 6
    blob_path(tmp_path / "image", Digest.of(b"arm64")).unlink()
    said = refusal(Images([tmp_path / "image"]), digest)
    assert said.evidence["found"] == f"image: it lacks {Digest.of(b'arm64')}"


def test_what_is_written_has_the_image_alone_and_is_found_again(tmp_path: Path) -> None:
    write(tmp_path / "image", b"one")
    digest = write(tmp_path / "image", b"two")
    Images([tmp_path / "image"]).find(name(digest)).write(tmp_path / "out" / "image.tar")
    with tarfile.open(tmp_path / "out" / "image.tar") as archive:
        names = {member.name for member in archive if member.isreg()}
    assert names == {"index.json", "oci-layout", *(f"blobs/sha256/{one.hex}" for one in (
        digest, Digest.of(b"{}"), Digest.of(b"two")))}  # fmt: skip
    assert Images([tmp_path / "out" / "image.tar"]).find(name(digest)).root.digest == digest


def test_every_digest_that_was_given_is_told(tmp_path: Path) -> None:
    others = [write(tmp_path / text, text.encode()) for text in ("one", "two")]
    said = refusal(Images([tmp_path / "one", tmp_path / "two"]), Digest.of(b"recorded"))
    assert said.evidence["expected"] == Digest.of(b"recorded")
    assert said.evidence["found"] == f"one: {others[0]}; two: {others[1]}"


def test_a_file_that_is_named_and_is_no_image_is_told(tmp_path: Path) -> None:
    (tmp_path / "image.tar").write_text("not an archive")
    said = refusal(Images([tmp_path / "image.tar"]), Digest.of(b"recorded"))
    assert said.evidence["found"].startswith("image.tar: not an OCI image archive")


def test_an_index_of_indexes_is_followed_only_so_far(tmp_path: Path) -> None:
    three = write(tmp_path / "three", b"one", levels=3)
    assert Images([tmp_path]).find(name(three)).root.digest == three
    said = refusal(Images([tmp_path / "four"]), write(tmp_path / "four", b"one", levels=4))
    assert "more than 3 levels" in said.evidence["found"]


def test_a_place_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        Images([tmp_path / "gone"]).find(name(Digest.of(b"recorded")))
