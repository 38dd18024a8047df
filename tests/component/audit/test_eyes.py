"""What programs of others say of an artifact that was changed, by the real ones: they decide nothing, and agree."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.component.audit.conftest import Said
from tests.component.audit.releases import Lie
from tests.component.audit.test_audit import DEPLOYMENT, by_tar, edited, repacked

from dhallmark.audit import eyes

pytestmark = pytest.mark.component

Audit = Callable[..., Said]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files of this process, and of what it starts, would be left."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    return folder


def look(said: Said, program: str = "diffoscope") -> dict[str, Any]:
    (found,) = [one for one in said.audit["looks"] if one["program"] == program]
    assert isinstance(found, dict)
    return found


def flipped(layer: bytes) -> bytes:
    return layer[:600] + bytes([layer[600] ^ 1]) + layer[601:]


def gzip_time(layer: bytes) -> bytes:
    return layer[:4] + b"\x01\x02\x03\x04" + layer[8:]


@pytest.mark.parametrize(
    ("layer", "sameness", "headline", "shown"),
    [
        (flipped, "different", "the bytes differ, and one of the archives cannot be unpacked", "gzip -d -c"),
        (edited("greeter/.helmignore", b"attestation", b"attestatioN"), "different",
         "other contents: greeter/.helmignore", "+attestatioN.json"),
        (edited(DEPLOYMENT, b"replicas: 3", b"replicas: 4"), "different", f"other contents: {DEPLOYMENT}",
         "+  replicas: 4"),
        (repacked(lambda files: {**files, "greeter/templates/999-evil.yaml": b"kind: Pod\n"}), "different",
         "other contents: greeter/templates/999-evil.yaml", "+kind: Pod"),
        (by_tar(reverse=True), "equivalent", "the same contents, packed differently", "file list"),
        (gzip_time, "equivalent", "the same contents, packed differently", "last modified: Sat Feb 19"),
    ],
    ids=["byte-in-archive", "byte-in-file", "field", "file-added", "order", "gzip-header"],
)  # fmt: skip
def test_diffoscope_sees_what_was_found_here(
    audit: Audit, temporary: Path, layer: Callable[[bytes], bytes], sameness: str, headline: str, shown: str
) -> None:
    said = audit("--eye", "diffoscope", lie=Lie(layer=layer))
    assert said.audit["sameness"] == sameness
    found = look(said)
    version = subprocess.run(["diffoscope", "--version"], check=True, capture_output=True, text=True).stdout.split()
    assert found["version"] == version[-1]
    assert found["said"].splitlines()[0] == headline
    assert shown in found["said"]
    assert found["agrees"] is True
    assert list(temporary.iterdir()) == []


def test_where_only_the_manifest_differs_diffoscope_sees_nothing_in_the_archives(audit: Audit) -> None:
    def describe(body: dict[str, Any]) -> dict[str, Any]:
        return {**body, "annotations": {**body["annotations"], "org.opencontainers.image.description": "another"}}

    said = audit("--eye", "diffoscope", lie=Lie(manifest=describe))
    assert said.verdict[0] == "different"
    assert (look(said)["said"], look(said)["agrees"]) == ("the archives are the same, byte for byte", True)


def test_what_is_equal_is_not_looked_at(audit: Audit) -> None:
    assert audit().audit.get("looks", []) == []


def test_a_report_shows_what_diffoscope_said(audit: Audit, tmp_path: Path) -> None:
    page = tmp_path / "audit.html"
    audit("--report", f"html={page}", lie=Lie(layer=edited(DEPLOYMENT, b"replicas: 3", b"replicas: 4")))
    assert f"other contents: {DEPLOYMENT}" in page.read_text()
    assert "+  replicas: 4" in page.read_text()


def bomb(layer: bytes) -> bytes:
    """An archive that expands to more than any chart may."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as archive:
        info = tarfile.TarInfo("greeter/templates/zeros")
        info.size = 300 << 20
        archive.addfile(info, _Zeros())
    return out.getvalue()


class _Zeros(io.RawIOBase):
    def read(self, size: int = -1) -> bytes:
        return bytes(size)


def nested(files: dict[str, bytes]) -> dict[str, bytes]:
    """Another archive in the chart, as a file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner", bytes(50 << 20))
    return {**files, "greeter/files/inner.zip": out.getvalue()}


@pytest.mark.parametrize(
    ("layer", "headline"),
    [
        (bomb, "the bytes differ, and one of the archives cannot be unpacked"),
        (repacked(nested), "other contents: greeter/files/inner.zip"),
    ],
    ids=["too-large", "archive-in-archive"],
)
def test_what_was_made_to_fill_a_disk_does_not(
    audit: Audit, temporary: Path, layer: Callable[[bytes], bytes], headline: str
) -> None:
    said = audit("--eye", "diffoscope", lie=Lie(layer=layer))
    assert said.verdict == ("different", "rejected", "rebuild.file-different")
    assert (look(said)["said"].splitlines()[0], look(said)["agrees"]) == (headline, True)
    assert len(look(said)["said"]) < 5000
    assert list(temporary.iterdir()) == []


def program(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `diffoscope` that does as `script` says: faults that the real one cannot be made to show."""
    folder.mkdir()
    path = folder / "diffoscope"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("sleep 300 & sleep 300", "no answer: it did not end in "),
        ("echo 'no libmagic here' >&2; exit 2", "it ended with 2: no libmagic here"),
        ("echo '{}' >seen.json; exit 1", "it ended with 1: diffoscope: not the JSON of its version 1"),
        ("head -c 70000000 /dev/zero; exit 1", "no answer: "),
    ],
    ids=["hangs", "fails", "another-format", "prints-too-much"],
)
def test_a_program_that_gives_no_answer_changes_no_verdict(
    audit: Audit, tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    program(tmp_path / "bin", script, monkeypatch)
    monkeypatch.setattr(eyes, "_SECONDS", 1.0)
    found = audit("--eye", "diffoscope", lie=Lie(layer=edited(DEPLOYMENT, b"replicas: 3", b"replicas: 4")))
    assert found.verdict == ("different", "rejected", "rebuild.object-different")
    assert "agrees" not in look(found)
    assert look(found)["said"].startswith(said)
    assert list(temporary.iterdir()) == []
