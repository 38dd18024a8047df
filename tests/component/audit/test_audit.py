"""Audits of a builder that is honest and of one that lies, by real rebuilds: each verdict, and its reason."""

from __future__ import annotations

import gzip
import io
import json
import os
import socket
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.component.audit.conftest import Command, Said
from tests.component.audit.releases import Lie, Maker

from dhallmark.errors import ExitCode
from dhallmark.package.archive import write_archive
from dhallmark.package.reader import read_archive

pytestmark = pytest.mark.component

Audit = Callable[..., Said]
DEPLOYMENT = "greeter/templates/002-deployment-greeter.yaml"


def repacked(change: Callable[[dict[str, bytes]], dict[str, bytes]]) -> Callable[[bytes], bytes]:
    """An archive that dhallmark packs of other files."""

    def pack(layer: bytes) -> bytes:
        files = change(dict(read_archive(layer, what="layer")))
        place = Path(os.environ.get("TMPDIR", "/tmp")) / f"repacked-{os.getpid()}.tgz"
        write_archive(place, dict(files), mtime=1767323045)
        content = place.read_bytes()
        place.unlink()
        return content

    return pack


def edited(name: str, old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    """An archive with one file edited."""

    def edit(files: dict[str, bytes]) -> dict[str, bytes]:
        assert files[name].count(old) == 1, files[name].decode()
        return {**files, name: files[name].replace(old, new)}

    return repacked(edit)


def by_tar(*, reverse: bool = False, mtime: int = 0, compress: int = 9) -> Callable[[bytes], bytes]:
    """The same files, packed by Python's tarfile."""

    def pack(layer: bytes) -> bytes:
        files = read_archive(layer, what="layer")
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for name in sorted(files, reverse=reverse):
                info = tarfile.TarInfo(name)
                info.size, info.mode, info.mtime = len(files[name]), 0o644, mtime or 1767323045
                archive.addfile(info, io.BytesIO(files[name]))
        return gzip.compress(out.getvalue(), compress, mtime=0)

    return pack


def test_what_an_honest_builder_published_is_equal(audit: Audit) -> None:
    said = audit()
    assert said.status == ExitCode.OK
    assert said.verdict == ("equal", "accepted", None)
    assert said.audit["digest"] == said.audit["rebuild"]["digest"]
    assert said.audit["rebuild"]["materials"] == said.audit["record"]["materials"]
    assert "lacks" not in said.audit or said.audit["lacks"] == []


@pytest.mark.parametrize(
    ("layer", "ways"),
    [
        (lambda layer: layer[:9] + b"\x03" + layer[10:], ["gzip.header"]),
        (lambda layer: layer[:4] + b"\x01\x02\x03\x04" + layer[8:], ["gzip.header"]),
        (by_tar(compress=9), ["gzip.header", "gzip.compression"]),
        (by_tar(reverse=True), ["gzip.header", "gzip.compression", "tar.order"]),
        (by_tar(mtime=5), ["gzip.header", "gzip.compression", "tar.mtime"]),
    ],
    ids=["gzip-system", "gzip-time", "compression", "order", "mtime"],
)
def test_what_is_packed_otherwise_is_equivalent_and_never_equal(
    audit: Audit, layer: Callable[[bytes], bytes], ways: list[str]
) -> None:
    said = audit(lie=Lie(layer=layer))
    assert said.verdict == ("equivalent", "accepted", None)
    assert [way["name"] for way in said.audit["ways"]] == ways


def test_equal_digests_can_be_demanded(audit: Audit) -> None:
    said = audit("--require", "equal", lie=Lie(layer=lambda layer: layer[:9] + b"\x03" + layer[10:]))
    assert said.verdict == ("equivalent", "rejected", "rebuild.not-equal")
    assert said.status == ExitCode.REJECTED


def test_a_field_that_was_changed_is_named_with_both_values(audit: Audit) -> None:
    said = audit(lie=Lie(layer=edited(DEPLOYMENT, b"replicas: 3", b"replicas: 4")))
    assert said.status == ExitCode.REJECTED
    assert said.verdict == ("different", "rejected", "rebuild.object-different")
    (difference,) = said.audit["differences"]
    assert difference == {
        "kind": "object", "file": DEPLOYMENT, "object": "Deployment.apps greeter", "field": "spec.replicas",
        "rebuilt": "3", "published": "4", "detail": "",
    }  # fmt: skip
    # The builder's own record has the normal form that the sources yield: it was changed after that.
    assert said.audit["origin"] == "renderer"


@pytest.mark.parametrize(
    ("layer", "kind", "reason"),
    [
        (lambda layer: layer[:600] + bytes([layer[600] ^ 1]) + layer[601:], "archive", "rebuild.file-different"),
        (edited("greeter/.helmignore", b"attestation", b"attestatioN"), "file", "rebuild.file-different"),
        (edited(DEPLOYMENT, b"replicas: 3", b"replicas:  3"), "file", "rebuild.file-different"),
        (edited(DEPLOYMENT, b"replicas: 3", b'replicas: "3"'), "object", "rebuild.object-different"),
        (repacked(lambda files: {**files, "greeter/templates/999-evil.yaml": b"kind: Pod\n"}), "file",
         "rebuild.file-different"),
        (repacked(lambda files: {name: body for name, body in files.items() if name != DEPLOYMENT}), "object",
         "rebuild.object-different"),
    ],
    ids=["byte-in-archive", "byte-in-file", "space", "type", "file-added", "object-gone"],
)  # fmt: skip
def test_a_byte_that_was_changed_is_different(
    audit: Audit, layer: Callable[[bytes], bytes], kind: str, reason: str
) -> None:
    said = audit(lie=Lie(layer=layer))
    assert said.verdict == ("different", "rejected", reason)
    assert said.audit["differences"][0]["kind"] == kind


def test_an_annotation_of_the_manifest_counts_unless_it_is_the_time(audit: Audit) -> None:
    def annotate(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
        return lambda body: {**body, "annotations": {**body["annotations"], name: "1999-01-01T00:00:00Z"}}

    said = audit(lie=Lie(manifest=annotate("org.opencontainers.image.created")))
    assert said.verdict == ("equivalent", "accepted", None)
    assert [way["name"] for way in said.audit["ways"]] == ["manifest.created"]
    said = audit(lie=Lie(manifest=annotate("org.opencontainers.image.version")))
    assert said.verdict == ("different", "rejected", "rebuild.file-different")


# What is missing, and records that contradict themselves


def without(*path: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A provenance that does not say something."""

    def take(predicate: dict[str, Any]) -> dict[str, Any]:
        place = predicate
        for key in path[:-1]:
            place = place[key]
        del place[path[-1]]
        return predicate

    return take


def test_a_materials_bundle_that_is_gone_is_named(audit: Audit, maker: Maker) -> None:
    lie = Lie(materials=lambda _: None)
    said = audit(lie=lie)
    assert said.verdict == ("unknown", "indeterminate", "material.missing")
    assert said.status == ExitCode.INDETERMINATE
    checks = {check["name"]: check for check in said.audit["verdict"]["checks"]}
    assert maker.artifacts.materials.digest in checks["materials"]["detail"]
    # Whoever kept it can give it: it is known by its digest.
    assert audit("--materials", maker.build / "package", lie=lie).verdict == ("equal", "accepted", None)


@pytest.mark.parametrize(
    ("path", "named"),
    [
        (("buildDefinition", "internalParameters", "sourceDateEpoch"), "internalParameters.sourceDateEpoch"),
        (("buildDefinition", "externalParameters", "environment"), "externalParameters.environment"),
        (("buildDefinition", "externalParameters", "config"), "externalParameters.config"),
    ],
)
def test_what_the_record_does_not_say_is_named_and_not_guessed(audit: Audit, path: tuple[str, ...], named: str) -> None:
    said = audit(lie=Lie(predicate=without(*path)))
    assert said.verdict == ("unknown", "indeterminate", "material.missing")
    assert named in said.audit["lacks"]
    assert any(named in check.get("detail", "") for check in said.audit["verdict"]["checks"])


def test_an_image_that_is_not_recorded_is_a_gap_and_no_obstacle(audit: Audit) -> None:
    said = audit(lie=Lie(predicate=without("runDetails", "builder", "builderDependencies")))
    assert said.verdict == ("equal", "accepted", None)
    assert said.audit["lacks"] == ["image that the build ran in, by digest"]


def sneak(old: bytes, new: bytes, *, name: str = "source/apps/greeter.dhall") -> Callable[[bytes], bytes]:
    """A materials bundle with one source edited."""

    def edit(files: dict[str, bytes]) -> dict[str, bytes]:
        assert old in files[name], files[name].decode()
        return {**files, name: files[name].replace(old, new, 1)}

    return repacked(edit)


def recorded(
    bundle: Callable[[bytes], bytes], maker: Maker, name: str = "apps/greeter.dhall"
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A provenance that names the edited source by its true digest: the builder signs what it put into the bundle."""
    import hashlib

    content = bundle((maker.build / "package" / "materials.tar.gz").read_bytes())
    digest = hashlib.sha256(read_archive(content, what="bundle")[f"source/{name}"]).hexdigest()

    def change(predicate: dict[str, Any]) -> dict[str, Any]:
        for item in predicate["buildDefinition"]["resolvedDependencies"]:
            if item.get("name") == name:
                item["digest"]["sha256"] = digest
        return predicate

    return change


def test_a_source_that_is_not_the_recorded_one_contradicts_the_record(audit: Audit) -> None:
    said = audit(lie=Lie(materials=sneak(b"replicas", b"replicas")))
    assert said.verdict[0] == "equal"
    said = audit(lie=Lie(materials=sneak(b"\n", b" \n")))
    assert said.verdict == ("unknown", "rejected", "material.mismatch")


def test_an_unfrozen_import_that_was_sneaked_in_is_refused_by_name(audit: Audit, maker: Maker) -> None:
    bundle = sneak(b"let ", b"let sneaked = https://evil.example/x.dhall\nlet ")
    said = audit(lie=Lie(materials=bundle, predicate=recorded(bundle, maker)))
    assert said.verdict == ("unknown", "rejected", "import.unfrozen")
    details = [check.get("detail", "") for check in said.audit["verdict"]["checks"]]
    assert any("https://evil.example/x.dhall" in detail for detail in details)


def test_a_frozen_import_whose_entry_is_not_there_is_a_missing_material(audit: Audit, maker: Maker) -> None:
    pinned = b"https://evil.example/x.dhall sha256:" + b"0" * 64
    bundle = sneak(b"let ", b"let sneaked = " + pinned + b"\nlet ")
    said = audit(lie=Lie(materials=bundle, predicate=recorded(bundle, maker)))
    assert said.verdict == ("unknown", "indeterminate", "material.missing")


def test_another_source_than_the_artifact_was_made_of_is_told_by_its_semantic_hash(audit: Audit, maker: Maker) -> None:
    bundle = sneak(b"greeter", b"greeteR")
    said = audit(lie=Lie(materials=bundle, predicate=recorded(bundle, maker)))
    assert said.verdict[:2] == ("different", "rejected")
    assert said.audit["origin"] == "source"


def tools(**versions: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def change(predicate: dict[str, Any]) -> dict[str, Any]:
        predicate["buildDefinition"]["internalParameters"]["tools"] |= versions
        return predicate

    return change


def test_a_tool_of_another_version_is_told_and_decides_only_where_something_differs(audit: Audit) -> None:
    said = audit(lie=Lie(predicate=tools(dhall="1.41.9")))
    assert said.verdict == ("equal", "accepted", None)
    assert any("instead of 1.41.9" in check.get("detail", "") for check in said.audit["verdict"]["checks"])
    changed = edited(DEPLOYMENT, b"replicas: 3", b"replicas: 4")
    said = audit(lie=Lie(predicate=tools(dhall="1.41.9"), layer=changed))
    assert said.verdict == ("different", "indeterminate", "tool.version")
    assert said.audit["differences"][0]["field"] == "spec.replicas"


def test_a_registry_that_is_gone_is_no_verdict(command: Command, maker: Maker) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        reference = f"127.0.0.1:{port}/acme/prod/greeter@sha256:{'0' * 64}"
        said = command("audit", reference, "--policy", maker.policy, "--plain-http")
    assert said.verdict == ("unknown", "indeterminate", "registry.unavailable")
    assert said.status == ExitCode.INDETERMINATE


def test_an_image_that_is_gone_is_no_verdict(audit: Audit, maker: Maker, command: Command, tmp_path: Path) -> None:
    maker.publish(tmp_path / "layout", maker.artifact())
    words = ("audit", tmp_path / "layout", "--policy", maker.policy)
    prepared = command(*words, "--prepare-only", "--into", tmp_path / "into")
    (rebuild,) = prepared.body["rebuilds"]
    assert rebuild["image"].startswith("dhallmark-ci@sha256:")
    said = command(*words, "--prepared", tmp_path / "into")
    assert said.verdict == ("unknown", "indeterminate", "image.unavailable")
    assert any(rebuild["image"] in check.get("detail", "") for check in said.audit["verdict"]["checks"])


def test_an_unsigned_artifact_is_rejected_and_its_record_is_nobodys_word(
    maker: Maker, command: Command, tmp_path: Path
) -> None:
    maker.publish(tmp_path / "layout", maker.artifact())
    stranger = Maker.new(tmp_path / "stranger")
    said = command("audit", tmp_path / "layout", "--policy", stranger.policy)
    assert said.verdict == ("unknown", "rejected", "signature.invalid")
    checks = {check["name"]: check for check in said.audit["verdict"]["checks"]}
    assert checks["record"]["reason"] == "material.missing"


# The commit that an auditor names


def test_a_commit_is_compared_with_the_record_and_its_materials(
    maker: Maker, command: Command, work: Path, tmp_path: Path
) -> None:
    maker.publish(tmp_path / "layout", maker.artifact())
    words = ("audit", tmp_path / "layout", "--policy", maker.policy, "--work", work, "--source", maker.root)
    assert command(*words).verdict == ("equal", "accepted", None)
    maker.commit("another")
    try:
        said, before = command(*words), command(*words, "--commit", "HEAD~1")
    finally:
        maker.git("reset", "--quiet", "--hard", "HEAD~1")
    assert said.verdict == ("unknown", "rejected", "material.mismatch")
    assert before.verdict == ("equal", "accepted", None)


def test_a_commit_alone_will_do_where_no_policy_is_given(maker: Maker, command: Command, tmp_path: Path) -> None:
    maker.publish(tmp_path / "layout", maker.artifact(), lie=Lie(materials=lambda _: None))
    said = command("audit", tmp_path / "layout", "--source", maker.root)
    assert said.verdict == ("equal", "accepted", None)
    assert said.audit["rebuild"]["source"].startswith("commit ")


# The seal


def wrapper(folder: Path, name: str, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program before the real one on PATH."""
    import shutil

    real = shutil.which(name)
    assert real is not None
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\nREAL={real}\n{script}\n")
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_a_tool_that_tries_the_network_reaches_nothing_and_is_told(
    maker: Maker, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        stop = threading.Event()

        def listen() -> None:
            while not stop.is_set():
                try:
                    reached.append(server.accept())
                except OSError:
                    continue

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            port = server.getsockname()[1]
            program = (
                f"python3 -c \"import socket; socket.create_connection(('127.0.0.1', {port}), 1)\" 2>/dev/null || true"
            )
            maker.publish(tmp_path / "layout", maker.artifact())
            wrapper(tmp_path / "bin", "dhall", f'{program}\nexec "$REAL" "$@"', monkeypatch)
            said = command("audit", tmp_path / "layout", "--policy", maker.policy)
        finally:
            stop.set()
            thread.join()
    assert said.verdict == ("unknown", "rejected", "rebuild.network")
    assert reached == []


def test_a_rebuild_has_surroundings_of_its_own(
    maker: Maker, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # `dhall` is run with a clean environment; whoever runs it has what the rebuild was given.
    given = 'tr "\\0" "\\n" </proc/$PPID/environ | sed -n "s/^{}=//p"'
    look = "; ".join(
        [
            "uname -n; id -u; umask; nproc",
            given.format("LC_ALL"),
            given.format("TZ"),
            'readlink /proc/$PPID/cwd | tr " " _',
            f'[ ! -e "{maker.root}" ] || echo leaked',
            f'[ ! -e "/proc/1/root{maker.root}" ] || echo up',
        ]
    )
    tell = f'if [ "$1" = version ]; then {{ {look}; }} >/output/seen; fi'
    maker.publish(tmp_path / "layout", maker.artifact())
    wrapper(tmp_path / "bin", "dhall", f'{tell}\nexec "$REAL" "$@"', monkeypatch)
    work = tmp_path / "work"
    said = command("audit", tmp_path / "layout", "--policy", maker.policy, "--work", work)
    assert said.verdict == ("equal", "accepted", None)
    (seen,) = work.rglob("seen")
    hostname, user, umask, cpus, locale, timezone, folder, *leaked = seen.read_text().split()
    assert (hostname, umask, cpus) == ("rebuild.invalid", "0077", "1")
    assert (locale, timezone) == ("C", "REBUILD-13:45")
    assert folder == "/tmp/a_place_of_its_own/rebuild"
    assert int(user) != os.getuid()
    assert leaked == []
    assert said.audit["rebuild"]["conditions"]["hostname"] == hostname
    assert said.audit["rebuild"]["sealed"] is True


def test_a_tool_that_is_missing_is_no_verdict(
    maker: Maker, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker.publish(tmp_path / "layout", maker.artifact())
    monkeypatch.setenv("PATH", os.defpath)
    said = command("audit", tmp_path / "layout", "--policy", maker.policy)
    assert said.verdict == ("unknown", "indeterminate", "tool.unavailable")


# What is written


def test_a_statement_and_a_summary_say_what_was_found(audit: Audit, maker: Maker, tmp_path: Path) -> None:
    files = ("--statement", tmp_path / "rebuild.json", "--vsa", tmp_path / "vsa.json")
    audit(*files)
    statement = json.loads((tmp_path / "rebuild.json").read_text())
    summary = json.loads((tmp_path / "vsa.json").read_text())
    assert statement["predicateType"] == "https://dhallmark.dev/rebuild/v1"
    assert statement["predicate"]["result"] == "equal"
    assert statement["subject"] == summary["subject"]
    assert summary["predicate"]["verificationResult"] == "PASSED"
    assert summary["predicate"]["verifiedLevels"] == ["SLSA_BUILD_LEVEL_1"]
    audit(*files, lie=Lie(layer=edited(DEPLOYMENT, b"replicas: 3", b"replicas: 4")))
    assert json.loads((tmp_path / "rebuild.json").read_text())["predicate"]["result"] == "different"
    assert json.loads((tmp_path / "vsa.json").read_text())["predicate"]["verificationResult"] == "FAILED"
    # There is no word for what could not be told, and an older one must not stand for it.
    audit(*files, lie=Lie(materials=lambda _: None))
    assert not (tmp_path / "rebuild.json").exists()
    assert not (tmp_path / "vsa.json").exists()


def test_reports_show_the_object_and_both_values(audit: Audit, tmp_path: Path) -> None:
    formats = ("html", "json", "junit", "sarif", "markdown", "text")
    words = [word for name in formats for word in ("--report", f"{name}={tmp_path / name}")]
    audit(*words, lie=Lie(layer=edited(DEPLOYMENT, b"replicas: 3", b"replicas: 4")))
    for name in formats:
        text = (tmp_path / name).read_text()
        assert "rebuild.object-different" in text, name
        assert "spec.replicas" in text, name
    page = (tmp_path / "html").read_text()
    assert "Deployment.apps greeter" in page
