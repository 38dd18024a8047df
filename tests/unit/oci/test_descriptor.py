from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.digest import Digest
from dhallmark.errors import FormatError, UsageError
from dhallmark.oci.client import bundle_layer
from dhallmark.oci.descriptor import (
    BUNDLE_V0_3,
    EMPTY_CONFIG,
    EMPTY_CONFIG_TYPE,
    OCI_INDEX,
    OCI_MANIFEST,
    Attachment,
    Descriptor,
    Manifest,
    bundle_annotations,
    fallback_tag,
    referrer_manifest,
    split_repository,
)

SUBJECT = Descriptor(media_type=OCI_MANIFEST, digest=Digest.of(b"artifact"), size=8, annotations={"a": "b"})


def test_a_bundles_manifest_is_what_cosign_and_flux_look_for() -> None:
    attachment = Attachment(
        artifact_type=BUNDLE_V0_3,
        layer=b"{}",
        annotations=bundle_annotations(predicate_type="https://example.com/p", created=1_700_000_000),
    )
    assert json.loads(attachment.manifest(SUBJECT).content) == {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": BUNDLE_V0_3,
        "config": {"mediaType": EMPTY_CONFIG_TYPE, "digest": str(Digest.of(EMPTY_CONFIG)), "size": 2},
        "layers": [{"mediaType": BUNDLE_V0_3, "digest": str(Digest.of(b"{}")), "size": 2}],
        "subject": {"mediaType": OCI_MANIFEST, "digest": str(SUBJECT.digest), "size": 8},
        "annotations": {
            "org.opencontainers.image.created": "2023-11-14T22:13:20Z",
            "dev.sigstore.bundle.content": "dsse-envelope",
            "dev.sigstore.bundle.predicateType": "https://example.com/p",
        },
    }


def test_the_descriptor_of_a_referrer_repeats_its_type_and_annotations() -> None:
    layer = Descriptor.of(b"{}", BUNDLE_V0_3)
    manifest = referrer_manifest(subject=SUBJECT, artifact_type=BUNDLE_V0_3, layer=layer, annotations={"k": "v"})
    assert manifest.descriptor == Descriptor(
        media_type=OCI_MANIFEST,
        digest=manifest.digest,
        size=len(manifest.content),
        artifact_type=BUNDLE_V0_3,
        annotations={"k": "v"},
    )


def test_without_an_artifact_type_the_configurations_type_stands_for_it() -> None:
    body = {"schemaVersion": 2, "config": Descriptor.of(b"{}", "application/x").to_json(), "layers": []}
    assert Manifest.of(json.dumps(body).encode(), OCI_MANIFEST).descriptor.artifact_type == "application/x"


@pytest.mark.parametrize(
    ("change", "media_type"),
    [
        ({"layers": None}, OCI_MANIFEST),
        ({"layers": [1]}, OCI_MANIFEST),
        ({"config": None}, OCI_MANIFEST),
        ({"config": {"mediaType": "x", "digest": "sha256:ABC", "size": 1}}, OCI_MANIFEST),
        ({"mediaType": OCI_INDEX}, OCI_MANIFEST),
    ],
)
def test_manifests_that_break_their_format_are_refused(change: dict[str, Any], media_type: str) -> None:
    body = {"schemaVersion": 2, "config": SUBJECT.to_json(), "layers": [], **change}
    with pytest.raises(FormatError):
        Manifest.of(json.dumps(body).encode(), media_type).blobs()


def test_an_index_has_children_and_no_blobs() -> None:
    body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [SUBJECT.to_json()]}
    manifest = Manifest.of(json.dumps(body).encode(), OCI_INDEX)
    assert manifest.blobs() == []
    assert manifest.children() == [SUBJECT]
    with pytest.raises(FormatError):
        Manifest.of(b'{"schemaVersion":2}', OCI_INDEX).children()


def _referrer(**change: object) -> Manifest:
    body: dict[str, object] = {
        "schemaVersion": 2,
        "config": Descriptor.of(b"{}", EMPTY_CONFIG_TYPE).to_json(),
        "layers": [Descriptor.of(b"b", BUNDLE_V0_3).to_json()],
        "subject": SUBJECT.to_json(),
        **change,
    }
    return Manifest.of(json.dumps({key: value for key, value in body.items() if value}).encode(), OCI_MANIFEST)


def test_a_bundle_is_a_referrer_with_one_layer_of_a_bundles_type() -> None:
    layer = bundle_layer(_referrer(), SUBJECT.digest)
    assert layer
    assert layer.digest == Digest.of(b"b")
    old = _referrer(layers=[Descriptor.of(b"b", "application/vnd.dev.sigstore.bundle+json;version=0.2").to_json()])
    assert bundle_layer(old, SUBJECT.digest)


@pytest.mark.parametrize(
    "manifest",
    [
        _referrer(subject=None),
        _referrer(subject=Descriptor.of(b"other", OCI_MANIFEST).to_json()),
        _referrer(layers=[Descriptor.of(b"b", "application/vnd.dhallmark.materials.v1.tar+gzip").to_json()]),
        _referrer(layers=[Descriptor.of(b"b", BUNDLE_V0_3).to_json()] * 2),
        Manifest.of(b'{"schemaVersion":2,"manifests":[]}', OCI_INDEX),
    ],
)
def test_anything_else_is_no_bundle(manifest: Manifest) -> None:
    assert bundle_layer(manifest, SUBJECT.digest) is None


@given(st.binary(max_size=300))
def test_any_bytes_are_a_manifest_or_a_format_error(content: bytes) -> None:
    manifest = Manifest.of(content, OCI_MANIFEST)
    for read in (manifest.blobs, manifest.subject, manifest.body):
        try:
            read()
        except FormatError:
            continue


def test_the_fallback_tag_is_the_digest_with_a_dash() -> None:
    assert fallback_tag(Digest("sha256:" + "a" * 64)) == "sha256-" + "a" * 64


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("registry.example/acme/web", ("registry.example", "acme/web")),
        ("localhost/web", ("localhost", "web")),
        ("127.0.0.1:5000/a/b/c", ("127.0.0.1:5000", "a/b/c")),
    ],
)
def test_a_repository_is_split_from_its_registry(name: str, parts: tuple[str, str]) -> None:
    assert split_repository(name) == parts


@pytest.mark.parametrize("name", ["web", "acme/web", "/web", "registry.example/", ""])
def test_a_repository_without_a_registry_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        split_repository(name)
