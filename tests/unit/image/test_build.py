"""Building an image from packages that the test makes: the same bytes anywhere, or an error."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pytest

from dhallmark.errors import FormatError, ToolError, UsageError
from dhallmark.image.build import Built, build
from dhallmark.image.lock import ImageLock

EPOCH = 1_700_000_000
PACKAGES = {
    "base-passwd": [
        ("./usr/share/base-passwd/passwd.master", b"root:*:0:0:root:/root:/bin/bash\n"),
        ("./usr/share/base-passwd/group.master", b"root:*:0:\n"),
    ],
    "libc-bin": [("./usr/share/libc-bin/nsswitch.conf", b"hosts: files dns\n"), ("./bin/getent", b"elf")],
    "ca-certificates": [
        ("./usr/share/ca-certificates/mozilla/B.crt", b"-----B-----\n"),
        ("./usr/share/ca-certificates/mozilla/A.crt", b"-----A-----"),
    ],
    "mawk": [
        ("./usr/bin/mawk", b"elf"),
        ("./usr/share/man/man1/mawk.1", b"x"),
        ("./usr/share/doc/mawk/copyright", b"GPL"),
    ],
}


@dataclass(frozen=True, slots=True)
class Inputs:
    """What `fetch` would have left, and the lock of it."""

    lock: ImageLock
    folder: Path
    requirements: Path
    tools: Path = field(default=Path())

    def build(self, to: Path, **options: bytes | None) -> Built:
        return build(
            self.lock, inputs=self.folder, requirements=self.requirements, tools=self.tools, destination=to, **options
        )


def wheel(folder: Path, name: str, version: str, files: dict[str, bytes], *, script: str = "") -> Path:
    """A pure Python wheel (PEP 427)."""
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\nLicense-Expression: MIT\n"
    files = files | {
        f"{info}/METADATA": metadata.encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if script:
        files[f"{info}/entry_points.txt"] = f"[console_scripts]\n{script} = {name}.main:run\n".encode()
    record = ""
    for file, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record += f"{file},sha256={digest},{len(content)}\n"
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, content in files.items():
            archive.writestr(zipfile.ZipInfo(file), content)  # Dated 1980, whenever the test runs.
    return path


@pytest.fixture
def make_inputs(debs: ModuleType, tmp_path: Path) -> Callable[[str], Inputs]:
    """Writes the inputs into a folder of the given name."""

    def make(name: str) -> Inputs:
        folder = tmp_path / name
        (folder / "debs").mkdir(parents=True)
        packages = []
        for package, files in sorted(PACKAGES.items()):
            content = debs.deb(package, "1.0", [(debs.entry(path), data) for path, data in files])
            (folder / "debs" / f"{package}_1.0_all.deb").write_bytes(content)
            packages.append(
                {
                    "name": package, "version": "1.0", "architecture": "all", "archive": "debian",
                    "path": f"pool/main/x/{package}_1.0_all.deb", "size": len(content),
                    "sha256": hashlib.sha256(content).hexdigest(),
                }
            )  # fmt: skip
        library = wheel(
            folder / "wheels",
            "library",
            "2.0",
            {"library/__init__.py": b"", "library/main.py": b"def run(): 0\n"},
            script="library-run",
        )
        wheel(folder / "own", "dhallmark", "0.1.0", {"dhallmark/__init__.py": b""}, script="dhallmark")
        requirements = folder / "requirements.lock"
        requirements.write_text(f"library==2.0 --hash=sha256:{hashlib.sha256(library.read_bytes()).hexdigest()}\n")
        tools = folder / "tools"
        tools.mkdir()
        (tools / "helm").write_bytes(b"helm itself")
        lock = ImageLock.model_validate(
            {
                "epoch": EPOCH, "suite": "trixie", "architecture": "amd64", "wanted": ["mawk"], "packages": packages,
                "python": {"version": "3.13", "platforms": ["manylinux_2_28_x86_64"]},
                "tools": {"helm": {"version": "v3", "path": "usr/local/bin/helm",
                                   "sha256": hashlib.sha256(b"helm itself").hexdigest()}},
            }
        )  # fmt: skip
        return Inputs(lock, folder, requirements, tools)

    return make


def contents(archive: Path) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    """All entries of all layers of an image, by path."""
    found: dict[str, tuple[tarfile.TarInfo, bytes]] = {}
    with tarfile.open(archive) as outer:

        def blob(digest: str) -> tarfile.TarFile:
            return tarfile.open(fileobj=outer.extractfile(f"blobs/sha256/{digest.removeprefix('sha256:')}"))

        def read(name: str) -> dict[str, object]:
            reader = outer.extractfile(name)
            assert reader is not None
            loaded: dict[str, object] = json.load(reader)
            return loaded

        index = read("index.json")
        manifest = read(f"blobs/sha256/{index['manifests'][0]['digest'].removeprefix('sha256:')}")  # type: ignore[index]
        for layer in manifest["layers"]:  # type: ignore[attr-defined]
            with blob(layer["digest"]) as content:
                for member in content:
                    reader = content.extractfile(member) if member.isfile() else None
                    found[member.name] = (member, reader.read() if reader else b"")
    return found


def test_another_folder_umask_and_time_zone_give_the_same_bytes(
    make_inputs: Callable[[str], Inputs], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make_inputs("one").build(tmp_path / "out")
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    before = os.umask(0o077)
    try:
        second = make_inputs("another/place").build(tmp_path / "elsewhere" / "out")
    finally:
        os.umask(before)
    assert first.digest == second.digest
    for name in ("image.tar", "sbom.spdx.json", "digest"):
        assert (first.archive.parent / name).read_bytes() == (second.archive.parent / name).read_bytes()


def test_the_image_has_what_scripts_would_have_made(make_inputs: Callable[[str], Inputs], tmp_path: Path) -> None:
    files = contents(make_inputs("in").build(tmp_path / "out", ca_bundle=b"-----MINE-----").archive)
    assert files["etc/passwd"][1].startswith(b"root:")
    assert files["etc/nsswitch.conf"][1] == b"hosts: files dns\n"
    assert files["etc/ssl/certs/ca-certificates.crt"][1] == b"-----A-----\n-----B-----\n-----MINE-----\n"
    assert files["usr/bin/awk"][0].linkname == "mawk"
    assert files["usr/bin/getent"][1] == b"elf"
    assert files["usr/local/bin/helm"][0].mode == 0o755
    assert "usr/share/man/man1/mawk.1" not in files
    assert "usr/share/doc/mawk/copyright" in files


def test_launchers_name_the_interpreter_of_the_image(make_inputs: Callable[[str], Inputs], tmp_path: Path) -> None:
    files = contents(make_inputs("in").build(tmp_path / "out").archive)
    launcher, text = files["opt/dhallmark/bin/library-run"]
    assert launcher.mode == 0o755
    assert text.startswith(b"#!/opt/dhallmark/bin/python\n")
    assert b"from library.main import run" in text
    assert files["opt/dhallmark/bin/python"][0].linkname == "/usr/bin/python3.13"


def test_nothing_of_the_building_machine_gets_in(make_inputs: Callable[[str], Inputs], tmp_path: Path) -> None:
    files = contents(make_inputs("in").build(tmp_path / "out").archive)
    assert all(member.mtime <= EPOCH and member.uid == member.gid == 0 for member, _ in files.values())
    assert not [name for name in files if "__pycache__" in name or name.endswith("direct_url.json")]
    assert not [name for name, (_, content) in files.items() if str(tmp_path).encode() in content]


def test_the_bill_of_materials_lists_every_package_once(make_inputs: Callable[[str], Inputs], tmp_path: Path) -> None:
    built = make_inputs("in").build(tmp_path / "out")
    sbom = json.loads(built.sbom.read_bytes())
    purls = [one["externalRefs"][0]["referenceLocator"] for one in sbom["packages"][1:]]
    assert sorted(purls) == [
        "pkg:deb/debian/base-passwd@1.0?arch=all&distro=trixie",
        "pkg:deb/debian/ca-certificates@1.0?arch=all&distro=trixie",
        "pkg:deb/debian/libc-bin@1.0?arch=all&distro=trixie",
        "pkg:deb/debian/mawk@1.0?arch=all&distro=trixie",
        "pkg:generic/helm@v3",
        "pkg:pypi/dhallmark@0.1.0",
        "pkg:pypi/library@2.0",
    ]
    assert sbom["packages"][0]["versionInfo"] == built.digest
    assert {relation["relatedSpdxElement"] for relation in sbom["relationships"]} == {
        package["SPDXID"] for package in sbom["packages"]
    }


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("debs/mawk_1.0_all.deb", FormatError, "the lock says"),
        ("tools/helm", FormatError, "the lock says"),
        ("requirements.lock", ToolError, "unpacking the Python closure"),
    ],
)
def test_what_differs_from_the_lock_is_refused(
    make_inputs: Callable[[str], Inputs], tmp_path: Path, path: str, error: type[Exception], message: str
) -> None:
    inputs = make_inputs("in")
    changed = inputs.folder / path
    text = changed.read_bytes()
    changed.write_bytes(
        text.replace(b"sha256:", b"sha256:" + b"0" * 64 + b" #") if path.endswith(".lock") else text + b"x"
    )
    with pytest.raises(error, match=message):
        inputs.build(tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("path", ["debs/mawk_1.0_all.deb", "own/dhallmark-0.1.0-py3-none-any.whl", "tools/helm"])
def test_what_is_missing_is_named(make_inputs: Callable[[str], Inputs], tmp_path: Path, path: str) -> None:
    inputs = make_inputs("in")
    (inputs.folder / path).unlink()
    with pytest.raises((FormatError, UsageError)) as caught:
        inputs.build(tmp_path / "out")
    assert caught.value.hint
