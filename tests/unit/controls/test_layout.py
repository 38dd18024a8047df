"""Layouts, the registry that serves them, and what the forge does to them."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from dhallmark.controls.catalogue.signature import flip_last_bit
from dhallmark.controls.forge import Forge, Original, attach_bundle
from dhallmark.controls.forging.authorities import Authorities, Forgers
from dhallmark.controls.forging.bundle import Forger
from dhallmark.controls.layout import Layout, Written
from dhallmark.controls.prepare import merge_trust
from dhallmark.controls.registry import false_blobs
from dhallmark.digest import Digest
from dhallmark.errors import FormatError
from dhallmark.lab import pki, trust
from dhallmark.oci.descriptor import Descriptor, Manifest, build_manifest

CONFIG, CHART = b"{}", b"a chart"


def good() -> tuple[Layout, Manifest]:
    layout = Layout()
    for blob in (CONFIG, CHART):
        layout.add_blob(blob)
    manifest = build_manifest(
        config=Descriptor.of(CONFIG, "application/x"), layers=[Descriptor.of(CHART, "application/y")]
    )
    layout.add_manifest(manifest)
    attach_bundle(layout, manifest, b'{"a": "bundle"}')
    return layout, manifest


def original_of(layout: Layout, manifest: Manifest) -> Original:
    return Original(
        layout=layout,
        digest=manifest.digest,
        name="r.test/web",
        signed=(),
        policy=b"",
        beside={},
        trusted_root=b"{}",
        forger=Forger(Forgers.make()),
    )


def test_a_layout_is_read_as_it_was_written(tmp_path: Path) -> None:
    layout, manifest = good()
    layout.blobs[Digest.of(CHART)] = b"other bytes"
    layout.add_fallback_index(manifest.digest)
    layout.tags["1.0.0"] = manifest.digest
    layout.write(tmp_path)
    read = Layout.read(tmp_path)
    assert (read.manifests, read.blobs, read.tags) == (layout.manifests, layout.blobs, layout.tags)
    assert set(read.tags) == {"1.0.0", f"sha256-{manifest.digest.hex}"}
    assert [found.subject() for found in read.referrers(manifest.digest)] == [
        Descriptor(media_type=manifest.media_type, digest=manifest.digest, size=len(manifest.content))
    ]


def test_the_same_bytes_are_written_once_and_others_by_the_same_digest_apart(tmp_path: Path) -> None:
    layout, _ = good()
    chart = Digest.of(CHART)
    written: Written = {}
    for name in ("one", "two"):
        layout.write(tmp_path / name, written=written)
    layout.blobs[chart] = b"other bytes"
    layout.write(tmp_path / "false", written=written)
    one, two, false = (tmp_path / name / "blobs" / "sha256" / chart.hex for name in ("one", "two", "false"))
    assert one.samefile(two)
    assert not false.samefile(one)
    assert (one.read_bytes(), false.read_bytes()) == (CHART, b"other bytes")
    false.unlink()
    layout.write(tmp_path / "again", written=written)
    assert (tmp_path / "again" / "blobs" / "sha256" / chart.hex).read_bytes() == b"other bytes"


@pytest.mark.parametrize("index", [None, "", "{}", '{"manifests": [{}]}', '{"manifests": 1}', "[]"])
def test_what_is_no_layout_is_an_error(tmp_path: Path, index: str | None) -> None:
    if index is not None:
        (tmp_path / "index.json").write_text(index)
    with pytest.raises(FormatError):
        Layout.read(tmp_path)


def test_a_corrupt_blob_is_kept_under_its_old_digest_and_is_false() -> None:
    layout, manifest = good()

    async def main() -> None:
        forge = Forge(original_of(layout, manifest))
        digest = await forge.copy()
        assert false_blobs(forge.layout) == {}
        await forge.corrupt(digest)
        changed = forge.layout.blobs[Digest.of(CHART)]
        assert changed != CHART
        assert false_blobs(forge.layout) == {Digest.of(CHART): changed}

    anyio.run(main)


def test_a_rebuilt_artifact_is_whole_bare_and_another() -> None:
    layout, manifest = good()

    async def main() -> None:
        forge = Forge(original_of(layout, manifest))
        digest = await forge.rebuild(flip_last_bit)
        assert digest != manifest.digest
        assert forge.layout.referrers(digest) == []
        _, layer = forge.layout.manifests[digest].blobs()
        assert forge.layout.blobs[layer.digest] == flip_last_bit(CHART)
        assert Digest.of(flip_last_bit(CHART)) == layer.digest
        assert layout.blobs[Digest.of(CHART)] == CHART

    anyio.run(main)


def test_trust_roots_are_merged_without_doubling() -> None:
    root = (
        b'{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",'
        b' "tlogs": [], "certificateAuthorities": [], "ctlogs": []}'
    )
    assert merge_trust(root, root)
    with pytest.raises(FormatError):
        merge_trust(root, b"{")


def _root(url: str, key: ec.EllipticCurvePrivateKey, *, log_id: bytes | None = None) -> bytes:
    """A trust root of an instance whose CT log has that key, at that URL."""
    body = json.loads(json.dumps(Authorities.fresh("x", now=datetime.now(UTC)).trusted_root()))
    der = pki.public_der(key)
    for entry in body["ctlogs"]:
        entry["baseUrl"] = url
        entry["publicKey"]["rawBytes"] = base64.b64encode(der).decode()
        entry["logId"]["keyId"] = base64.b64encode(log_id or trust.log_id(der)).decode()
    return json.dumps(body).encode()


def test_a_log_is_one_whatever_its_url_and_no_other_may_have_its_id() -> None:
    """A lab that signs the release and the mutants is known by two URLs."""
    key = pki.signing_key()
    merged = json.loads(merge_trust(_root("https://one.test", key), _root("https://two.test", key)))
    assert [log["baseUrl"] for log in merged["ctlogs"]] == ["https://one.test"]
    claimed = trust.log_id(pki.public_der(key))
    with pytest.raises(FormatError, match="two logs have the id"):
        merge_trust(_root("https://one.test", key), _root("https://two.test", pki.signing_key(), log_id=claimed))
