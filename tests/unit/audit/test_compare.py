"""What was published and what was rebuilt: equal, equivalent in named ways, or different."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dhallmark import strictjson
from dhallmark.audit.compare import FOREIGN, PACKING, Comparison, Side, compare_artifacts, compare_files
from dhallmark.audit.model import Sameness
from dhallmark.oci.descriptor import OCI_MANIFEST, Descriptor, Manifest, build_manifest
from dhallmark.package.archive import write_archive
from dhallmark.package.model import FLUX_CONTENT, HELM_CONFIG, HELM_CONTENT

CONFIG = b'{"name":"web","version":"1.0.0"}'
POD = b"apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  replicas: 1\n"
CHART = {"web/Chart.yaml": b"name: web\nversion: 1.0.0\n", "web/templates/001-pod-web.yaml": POD}


def layer(files: Mapping[str, bytes], folder: Path) -> bytes:
    place = folder / "layer.tgz"
    write_archive(place, dict(files), mtime=1)
    return place.read_bytes()


def side(
    content: bytes, *, config: bytes = CONFIG, annotations: Mapping[str, str] | None = None, kind: str = HELM_CONTENT
) -> Side:
    manifest = build_manifest(
        config=Descriptor.of(config, HELM_CONFIG),
        layers=[Descriptor.of(content, kind)],
        annotations=annotations or {"org.opencontainers.image.title": "web"},
    )
    return Side(manifest, config, content)


def names(comparison: Comparison) -> list[str]:
    return [way.name for way in comparison.ways]


def test_the_same_digest_is_equal(tmp_path: Path) -> None:
    one = side(layer(CHART, tmp_path))
    assert compare_artifacts(one, one) == Comparison(Sameness.EQUAL)


@pytest.mark.parametrize("foreign", [False, True])
def test_a_manifest_that_is_written_otherwise_is_equivalent(tmp_path: Path, *, foreign: bool) -> None:
    one = side(layer(CHART, tmp_path))
    spaced = Manifest.of(strictjson.dump(one.manifest.body()), OCI_MANIFEST)
    found = compare_artifacts(one, Side(spaced, one.config, one.layer), foreign=foreign)
    assert found.sameness is Sameness.EQUIVALENT
    assert names(found) == ["manifest.encoding"]


def test_a_config_that_says_something_else_is_different_unless_another_tool_made_it(tmp_path: Path) -> None:
    content = layer(CHART, tmp_path)
    other = side(content, config=b'{"name":"web","version":"2.0.0"}')
    found = compare_artifacts(side(content), other)
    assert found.sameness is Sameness.DIFFERENT
    assert [(one.kind, one.field, one.rebuilt, one.published) for one in found.differences] == [
        ("manifest", "config.version", "1.0.0", "2.0.0")
    ]
    found = compare_artifacts(side(content), other, foreign=True)
    assert (found.sameness, names(found)) == (Sameness.EQUIVALENT, ["config.content"])
    written = compare_artifacts(side(content), side(content, config=b'{ "version": "1.0.0", "name": "web" }'))
    assert (written.sameness, names(written)) == (Sameness.EQUIVALENT, ["config.encoding"])


def test_a_size_that_is_not_the_contents_is_different(tmp_path: Path) -> None:
    one = side(layer(CHART, tmp_path))
    body = one.manifest.body()
    body["layers"][0]["size"] += 1
    lying = Manifest.of(strictjson.dump_compact(body), OCI_MANIFEST)
    found = compare_artifacts(one, Side(lying, one.config, one.layer))
    assert found.sameness is Sameness.DIFFERENT
    assert found.differences[0].field == "size"


def test_an_archive_that_cannot_be_read_is_different(tmp_path: Path) -> None:
    found = compare_artifacts(side(layer(CHART, tmp_path)), side(b"no archive"))
    assert found.sameness is Sameness.DIFFERENT
    assert found.differences[0].kind == "archive"


def test_objects_are_told_before_files_and_those_before_the_manifest() -> None:
    published = {**CHART, "web/Chart.yaml": b"name: web\nversion: 2.0.0\n",
                 "web/templates/001-pod-web.yaml": POD.replace(b"replicas: 1", b"replicas: 2")}  # fmt: skip
    found = compare_files(CHART, published)
    assert [(one.kind, one.field) for one in found.differences] == [("object", "spec.replicas"), ("file", "version")]


FILES: list[tuple[str, bytes, bytes, Sameness, Sameness]] = [
    # file, rebuilt, published, for dhallmark's own, for another tool's
    ("a.yaml", POD, POD.replace(b"name: web", b'name: "web"'), Sameness.DIFFERENT, Sameness.EQUIVALENT),
    ("a.yaml", POD, b"# said\n" + POD, Sameness.DIFFERENT, Sameness.EQUIVALENT),
    ("a.yaml", POD, POD.replace(b"1\n", b"2\n"), Sameness.DIFFERENT, Sameness.DIFFERENT),
    ("a.yaml", POD, b"{{ if x }}\n" + POD + b"{{ end }}\n", Sameness.DIFFERENT, Sameness.DIFFERENT),
    ("NOTES.txt", b"hello\n", b"hallo\n", Sameness.DIFFERENT, Sameness.DIFFERENT),
    ("logo.png", b"\xff\x00", b"\xff\x01", Sameness.DIFFERENT, Sameness.DIFFERENT),
    ("logo.png", b"\xff\x00", b"\xff", Sameness.DIFFERENT, Sameness.DIFFERENT),
]


@pytest.mark.parametrize(("name", "rebuilt", "published", "own", "foreign"), FILES)
def test_a_text_of_the_same_value_is_the_same_for_another_tools_artifact_alone(
    name: str, rebuilt: bytes, published: bytes, own: Sameness, foreign: Sameness
) -> None:
    assert compare_files({name: rebuilt}, {name: published}).sameness is own
    assert compare_files({name: rebuilt}, {name: published}, foreign=True).sameness is foreign


def test_objects_in_other_files_are_the_same_for_another_tools_artifact_alone() -> None:
    other = POD.replace(b"name: web", b"name: net")
    one = {"platform/a.yaml": POD, "platform/b.yaml": other}
    whole = {"manifests.yaml": other + b"---\n" + POD}
    assert compare_files(one, whole).sameness is Sameness.DIFFERENT
    found = compare_files(one, whole, foreign=True)
    assert (found.sameness, names(found)) == (Sameness.EQUIVALENT, ["files.layout"])
    changed = compare_files(
        one, {"manifests.yaml": other + b"---\n" + POD.replace(b"replicas: 1", b"replicas: 2")}, foreign=True
    )
    assert [(one.object, one.field) for one in changed.differences] == [("Pod web", "spec.replicas")]
    gone = compare_files(one, {"manifests.yaml": other}, foreign=True)
    assert [(one.object, one.detail) for one in gone.differences] == [("Pod web", "only rebuilt")]


def test_files_that_a_packer_adds_are_set_aside_for_another_tools_artifact_alone() -> None:
    published = {**CHART, "web/Chart.lock": b"x\n"}
    assert compare_files(CHART, published).sameness is Sameness.DIFFERENT
    found = compare_files(CHART, published, foreign=True)
    assert (found.sameness, names(found)) == (Sameness.EQUIVALENT, ["chart.extras"])


def test_many_differences_are_counted_and_not_all_told() -> None:
    body = "\n".join(f"k{number}: 1" for number in range(2000)).encode()
    found = compare_files({"a.yaml": body}, {"a.yaml": body.replace(b": 1", b": 2")})
    assert len(found.differences) == 500


def test_no_way_has_two_meanings() -> None:
    assert not set(PACKING) & set(FOREIGN)


def flux_push(files: Mapping[str, bytes]) -> bytes:
    """As Go's archive/tar and compress/gzip pack for `flux push artifact`."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, body in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.uid = len(body), 0o644, 1000
            archive.addfile(info, io.BytesIO(body))
    return gzip.compress(out.getvalue(), 6)


def test_what_flux_pushed_is_compared_by_its_objects(tmp_path: Path) -> None:
    ours = side(layer({"base/web/001-pod-web.yaml": POD}, tmp_path), kind=FLUX_CONTENT)
    theirs = side(
        flux_push({"web.yaml": b"kind: Pod\napiVersion: v1\n" + POD.split(b"\n", 2)[2]}),
        kind=FLUX_CONTENT,
        annotations={"org.opencontainers.image.revision": "main@sha1:abc"},
    )
    found = compare_artifacts(ours, theirs, foreign=True)
    assert found.sameness is Sameness.EQUIVALENT
    assert {"files.layout", "manifest.annotations", "gzip.compression"} <= set(names(found))


def test_difference_of_a_value_that_is_no_json(tmp_path: Path) -> None:
    nan: Any = b"a: .nan\n"
    found = compare_files({"a.yaml": nan}, {"a.yaml": b"a: 1\n"})
    assert found.differences[0].rebuilt == "nan"
