"""The materials bundle: unpacked strictly, and compared with the record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from dhallmark.audit.materials import Materials, complete_cache, find_given, read_bundle, require_recorded
from dhallmark.audit.model import RecordSummary
from dhallmark.audit.record import BuildRecord, Material
from dhallmark.digest import Digest
from dhallmark.errors import FormatError, InputError
from dhallmark.package.archive import write_archive
from dhallmark.package.package import package
from dhallmark.package.reader import read_archive
from dhallmark.reasons import Reason
from dhallmark.verify.refusal import Refusal

Make = Callable[..., Any]


@pytest.fixture
def bundle(make_small_release: Make, tmp_path: Path) -> bytes:
    """The bundle of a release."""
    small = make_small_release(tmp_path)
    package(small.plan, root=small.root, build=small.build, source_date_epoch=1)
    build: Path = small.build
    return (build / "package" / "materials.tar.gz").read_bytes()


def changed(bundle: bytes, tmp_path: Path, change: Callable[[dict[str, bytes]], Mapping[str, bytes]]) -> bytes:
    place = tmp_path / "changed.tgz"
    write_archive(place, dict(change(dict(read_archive(bundle, what="bundle")))), mtime=1)
    return place.read_bytes()


def record_of(materials: Materials) -> BuildRecord:
    """A record that names everything in `materials`."""
    assert materials.closure is not None
    items = {
        item.id: Material(item.id, item.sha256, str(item.semantic_hash), remote=item.url is not None)
        for item in materials.closure.imports
    }
    return BuildRecord(summary=RecordSummary(), lacks=(), needs=(), materials=items)


def test_a_bundle_has_sources_cache_and_closure(bundle: bytes) -> None:
    materials = read_bundle(bundle, origin="here")
    assert {"dhallmark.yaml", "apps/web.dhall", "policy.yaml"} <= set(materials.source)
    assert len(materials.cache) == 1
    assert materials.closure is not None
    require_recorded(materials, record_of(materials))


@pytest.mark.parametrize(
    "change",
    [
        lambda files: {**files, "extra": b"x"},
        lambda files: {**files, f"cache/1220{'0' * 64}": b"x"},
        lambda files: {name: body for name, body in files.items() if name != "closure.json"},
        lambda files: {**files, "closure.json": b"{}"},
    ],
    ids=["stranger", "false-entry", "no-closure", "bad-closure"],
)
def test_what_is_no_bundle_is_refused(bundle: bytes, tmp_path: Path, change: Callable[[Any], Any]) -> None:
    with pytest.raises(FormatError):
        read_bundle(changed(bundle, tmp_path, change), origin="here")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda files: {**files, "source/apps/web.dhall": b"[]"}, Reason.MATERIAL_MISMATCH),
        (
            lambda files: {name: body for name, body in files.items() if name != "source/apps/web.dhall"},
            Reason.MATERIAL_MISSING,
        ),
        (
            lambda files: {name: body for name, body in files.items() if not name.startswith("cache/")},
            Reason.MATERIAL_MISSING,
        ),
        # More than the record of one artifact names may be there: the bundle is the whole release's.
        (lambda files: {**files, "source/more.dhall": b"[]"}, None),
    ],
    ids=["changed", "source-gone", "entry-gone", "more"],
)
def test_a_bundle_that_is_not_the_records_is_refused(
    bundle: bytes, tmp_path: Path, change: Callable[[Any], Any], reason: Reason | None
) -> None:
    record = record_of(read_bundle(bundle, origin="here"))
    materials = read_bundle(changed(bundle, tmp_path, change), origin="there")
    if reason is None:
        require_recorded(materials, record)
        return
    with pytest.raises(Refusal) as refused:
        require_recorded(materials, record)
    assert refused.value.reason is reason


def test_another_semantic_hash_than_the_records_is_refused(bundle: bytes) -> None:
    materials = read_bundle(bundle, origin="here")
    record = record_of(materials)
    name = "apps/web.dhall"
    other = Material(name, record.materials[name].sha256, f"sha256:{'0' * 64}")
    lying = BuildRecord(summary=RecordSummary(), lacks=(), needs=(), materials={**record.materials, name: other})
    with pytest.raises(Refusal) as refused:
        require_recorded(materials, lying)
    assert refused.value.reason is Reason.MATERIAL_MISMATCH


def test_a_bundle_is_known_by_its_digest_wherever_it_lies(bundle: bytes, tmp_path: Path) -> None:
    kept = tmp_path / "kept" / "deep"
    kept.mkdir(parents=True)
    (kept / "anything").write_bytes(bundle)
    (kept / "other").write_bytes(b"x")
    digest = Digest.of(bundle)
    assert find_given((tmp_path / "kept",), digest) == bundle
    assert find_given((kept / "other",), digest) is None
    assert find_given((), digest) is None
    with pytest.raises(InputError):
        find_given((tmp_path / "nowhere",), digest)


def project(folder: Path, source: str) -> None:
    (folder / "source" / "apps").mkdir(parents=True)
    (folder / "cache").mkdir()
    (folder / "source" / "apps" / "web.dhall").write_text(source)
    (folder / "source" / "dhallmark.yaml").write_text(
        "schemaVersion: 1\nproject: acme\nversion: 1.0.0\nsource: {repository: https://x.example/acme}\n"
        "layers: [base]\nenvironments: {prod: {}}\napplications: {web: {entry: apps/web.dhall, layer: base}}\n"
        "publish: {registry: r.example, repository: a/live, staging: a/staging}\npolicy: policy.yaml\n"
    )


def test_an_entry_is_taken_from_a_seed_by_its_hash_alone(tmp_path: Path) -> None:
    entry = b"\x83\x01\x02"
    digest = Digest.of(entry)
    project(tmp_path / "work", f"https://x.example/p.dhall {digest}")
    seed = tmp_path / "seed"
    seed.mkdir()
    with pytest.raises(Refusal) as refused:
        complete_cache(tmp_path / "work", "dhallmark.yaml", [seed])
    assert refused.value.reason is Reason.MATERIAL_MISSING
    assert "https://x.example/p.dhall (imported at apps/web.dhall:1)" in refused.value.detail
    (seed / f"1220{digest.hex}").write_bytes(b"something else")
    with pytest.raises(Refusal):
        complete_cache(tmp_path / "work", "dhallmark.yaml", [seed])
    (seed / f"1220{digest.hex}").write_bytes(entry)
    complete_cache(tmp_path / "work", "dhallmark.yaml", [tmp_path / "nowhere", seed])
    assert (tmp_path / "work" / "cache" / f"1220{digest.hex}").read_bytes() == entry
