"""An OCI image layout, read as a registry is: what counts as an artifact of it, and what layouts can hide."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.digest import Digest
from dhallmark.errors import FormatError
from dhallmark.oci.descriptor import (
    BUNDLE_V0_3,
    EMPTY_CONFIG,
    EMPTY_CONFIG_TYPE,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    Manifest,
    build_manifest,
    referrer_manifest,
)
from dhallmark.oci.layout import blob_path
from dhallmark.oci.store import LayoutStore, StoreDigestError, StoreError

_REF_NAME = "org.opencontainers.image.ref.name"
CONFIG = Descriptor.of(EMPTY_CONFIG, EMPTY_CONFIG_TYPE)


def image(text: str) -> Manifest:
    return build_manifest(config=CONFIG, layers=[Descriptor.of(text.encode(), "text/plain")])


def index_of(*manifests: Manifest) -> Manifest:
    body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [one.descriptor.to_json() for one in manifests]}
    return Manifest.of(json.dumps(body).encode(), OCI_INDEX)


def signature(of: Manifest) -> Manifest:
    return referrer_manifest(
        subject=of.descriptor, artifact_type=BUNDLE_V0_3, layer=Descriptor.of(b"bundle", BUNDLE_V0_3)
    )


def with_subject(manifest: Manifest, of: Manifest) -> Manifest:
    body = {**json.loads(manifest.content), "subject": of.descriptor.to_json()}
    return Manifest.of(json.dumps(body).encode(), manifest.media_type)


WEB, NET = image("web"), image("net")
BOTH = index_of(WEB, NET)
SIGNED = signature(WEB)


def write(folder: Path, entries: Sequence[tuple[str, Manifest]], *, beside: Sequence[Manifest] = ()) -> Path:
    """A layout that lists `entries` by name, with the bytes of those and of what stands `beside` them."""
    for manifest in (*(manifest for _, manifest in entries), *beside):
        path = blob_path(folder, manifest.digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(manifest.content)
    listed: list[dict[str, Any]] = [
        {**manifest.descriptor.to_json(), **({"annotations": {_REF_NAME: name}} if name else {})}
        for name, manifest in entries
    ]
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": listed}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return folder


def fallback(manifest: Manifest) -> str:
    return f"sha256-{manifest.digest.hex}"


@pytest.mark.parametrize(
    ("entries", "names"),
    [
        ([("1.0", WEB)], ["1.0"]),
        ([("1.0", WEB), ("", WEB)], ["1.0"]),
        ([("1.0", WEB), ("stable", WEB)], ["1.0", "stable"]),
        ([("1.0", WEB), ("", SIGNED)], ["1.0"]),
        ([("1.0", WEB), (fallback(WEB), index_of(SIGNED))], ["1.0"]),
        ([("1.0", BOTH), ("", WEB), ("", NET)], ["1.0"]),
        # An artifact that is called like a list of signatures, and one that only such a list holds.
        ([("1.0", WEB), (fallback(WEB), NET)], ["1.0", fallback(WEB)]),
        ([("1.0", WEB), (fallback(WEB), index_of(SIGNED, NET)), ("", NET)], ["1.0", ""]),
        # An artifact that claims a subject: with a name it is pulled like any other, and of something that is not here
        # it would be looked at with nothing.
        ([("1.0", WEB), ("1.1", with_subject(NET, WEB))], ["1.0", "1.1"]),
        ([("1.0", WEB), ("", with_subject(WEB, NET))], ["1.0", ""]),
    ],
)
def test_artifacts_are_what_the_index_lists_but_for_what_signs_others(
    tmp_path: Path, entries: Sequence[tuple[str, Manifest]], names: Sequence[str]
) -> None:
    store = LayoutStore.open(write(tmp_path, entries, beside=[WEB, NET, SIGNED]))
    assert [artifact.name for artifact in store.artifacts] == names


@pytest.mark.parametrize("entries", [[("1", WEB), ("", SIGNED)], [("1", WEB), (fallback(WEB), index_of(SIGNED))]])
def test_signatures_are_found_however_the_layout_lists_them(
    tmp_path: Path, entries: Sequence[tuple[str, Manifest]]
) -> None:
    store = LayoutStore.open(write(tmp_path, entries, beside=[SIGNED]))
    found = anyio.run(store.referrers, "", WEB.digest)
    assert (found.complete, found.source) == (True, "layout")
    assert [descriptor.digest for descriptor in found.descriptors] == [SIGNED.digest]
    assert anyio.run(store.get_manifest, "", SIGNED.digest) == SIGNED
    assert anyio.run(store.referrers, "", NET.digest).descriptors == ()


def test_what_is_missing_or_has_other_bytes_is_no_empty_answer(tmp_path: Path) -> None:
    store = LayoutStore.open(write(tmp_path, [("1", WEB)]))
    with pytest.raises(StoreError, match="lists no manifest"):
        anyio.run(store.get_manifest, "", NET.digest)
    layer = WEB.blobs()[1].digest
    with pytest.raises(StoreError, match="No such file"):
        anyio.run(store.get_blob, "", layer)
    blob_path(tmp_path, layer).write_bytes(b"other")
    with pytest.raises(StoreDigestError) as raised:
        anyio.run(store.get_blob, "", layer)
    assert (raised.value.expected, raised.value.found) == (layer, Digest.of(b"other"))


def _nested(folder: Path) -> None:
    inner = WEB
    manifests = []
    for _ in range(8):
        inner = index_of(inner)
        manifests.append(inner)
    write(folder, [("1", inner)], beside=[WEB, *manifests])


def _no_object(folder: Path) -> None:
    content = b"[]"
    blob_path(folder, Digest.of(content)).write_bytes(content)
    entry = {"mediaType": OCI_MANIFEST, "digest": Digest.of(content), "size": len(content)}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))


def _many(folder: Path) -> None:
    write(folder, [("1", WEB)])
    index = json.loads((folder / "index.json").read_text())
    index["manifests"] *= 11_000
    (folder / "index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda folder: (folder / "web.tgz").write_bytes(b"x"), "no part of an OCI image layout"),
        (lambda folder: (folder / "oci-layout").unlink(), "No such file"),
        (lambda folder: (folder / "oci-layout").write_text('{"imageLayoutVersion": "2.0.0"}'), "version"),
        (lambda folder: (folder / "index.json").write_text("[]"), "must be"),
        (lambda folder: blob_path(folder, WEB.digest).unlink(), "No such file"),
        (lambda folder: blob_path(folder, WEB.digest).write_bytes(b"{}"), "has the bytes of"),
        (
            lambda folder: write(folder, [("1", Manifest.of(b"{}", "text/plain"))]),
            "which is no manifest",
        ),
        (_no_object, "must be an object"),
        (shutil.rmtree, "the folder cannot be listed"),
        (_nested, "4 levels"),
        (_many, "entries"),
    ],
)
def test_what_is_no_layout_is_a_typed_error(tmp_path: Path, break_it: Callable[[Path], object], message: str) -> None:
    write(tmp_path, [("1", WEB)])
    break_it(tmp_path)
    with pytest.raises((FormatError, StoreError), match=message):
        LayoutStore.open(tmp_path)


@given(index=st.binary(max_size=200) | st.from_regex(rb'\{"schemaVersion":2,"manifests":\[.{0,80}\]\}', fullmatch=True))
def test_any_index_is_read_or_a_typed_error(tmp_path_factory: pytest.TempPathFactory, index: bytes) -> None:
    folder = write(tmp_path_factory.mktemp("layout"), [("1", WEB)])
    (folder / "index.json").write_bytes(index)
    try:
        store = LayoutStore.open(folder)
    except (FormatError, StoreError):
        return
    assert set(store.listed) <= {WEB.digest}


def test_legacy_tags_are_found_by_the_digest_that_they_name(tmp_path: Path) -> None:
    one, two, attestation, stray = image("one"), image("two"), image("attestation"), image("stray")
    store = LayoutStore.open(
        write(
            tmp_path,
            [
                ("1.0", WEB),
                (f"{fallback(WEB)}.sig", one),
                (f"{fallback(WEB)}.sig", two),
                (f"{fallback(WEB)}.att", attestation),
                (f"{fallback(NET)}.sig", stray),
            ],
        )
    )
    found = anyio.run(store.legacy, "", WEB.digest)
    assert [manifest.digest for manifest in found] == [one.digest, two.digest, attestation.digest]
    assert anyio.run(store.legacy, "", BOTH.digest) == ()
    assert [artifact.name for artifact in store.artifacts] == ["1.0"]
