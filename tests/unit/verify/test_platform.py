"""Which manifest of an image index is meant (R4)."""

from __future__ import annotations

import json

import pytest

from dhallmark.digest import Digest
from dhallmark.errors import FormatError, UsageError
from dhallmark.oci.descriptor import OCI_INDEX, OCI_MANIFEST, Manifest
from dhallmark.reasons import Reason
from dhallmark.verify.platform import check_platform, select_platform
from dhallmark.verify.refusal import Refusal

AMD, ARM6, ARM7, NONE = (Digest.of(name.encode()) for name in ("amd64", "arm/v6", "arm/v7", "none"))


def index(*entries: tuple[Digest, object]) -> Manifest:
    listed = [
        {"mediaType": OCI_MANIFEST, "digest": digest, "size": 1, "platform": platform} for digest, platform in entries
    ]
    return Manifest.of(
        json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}).encode(), OCI_INDEX
    )


def of(architecture: str, variant: str = "") -> dict[str, str]:
    return {"os": "linux", "architecture": architecture, **({"variant": variant} if variant else {})}


INDEX = index((AMD, of("amd64")), (ARM6, of("arm", "v6")), (ARM7, of("arm", "v7")), (NONE, None), (NONE, "linux/x"))


@pytest.mark.parametrize(("platform", "digest"), [("linux/amd64", AMD), ("linux/arm/v7", ARM7), ("linux/arm/v6", ARM6)])
def test_the_manifest_of_a_platform_is_found(platform: str, digest: Digest) -> None:
    assert select_platform(INDEX, platform) == digest


@pytest.mark.parametrize(
    ("listed", "platform"),
    [
        (INDEX, "linux/s390x"),
        (INDEX, "linux/arm"),
        (INDEX, "windows/amd64"),
        (index((AMD, of("amd64")), (ARM7, of("amd64"))), "linux/amd64"),
        (index(), "linux/amd64"),
    ],
)
def test_none_and_several_are_refused(listed: Manifest, platform: str) -> None:
    with pytest.raises(Refusal) as raised:
        select_platform(listed, platform)
    assert raised.value.reason is Reason.ARTIFACT_PLATFORM


def test_a_manifest_listed_twice_is_one() -> None:
    assert select_platform(index((AMD, of("amd64")), (AMD, of("amd64", "v1"))), "linux/amd64") == AMD


def test_what_is_no_index_is_for_any_platform() -> None:
    manifest = Manifest.of(b'{"schemaVersion":2,"layers":[]}', OCI_MANIFEST)
    assert select_platform(manifest, "linux/amd64") == manifest.digest


@pytest.mark.parametrize("content", [b"{}", b"[]", b'{"manifests":{}}', b'{"manifests":[1]}', b"junk"])
def test_an_index_that_cannot_be_read_is_a_typed_error(content: bytes) -> None:
    with pytest.raises(FormatError):
        select_platform(Manifest.of(content, OCI_INDEX), "linux/amd64")


@pytest.mark.parametrize("platform", ["linux", "", "linux/", "/amd64", "a/b/c/d", "linux/a\x1b"])
def test_a_platform_is_written_as_such(platform: str) -> None:
    assert check_platform("linux/arm/v7") == "linux/arm/v7"
    with pytest.raises(UsageError):
        check_platform(platform)
