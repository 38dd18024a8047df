"""The image's bill of materials: SPDX 2.3 as JSON, read from the databases inside the finished image.

What the image says about itself is what scanners will find; hashes of the Debian packages and tools come from the
lock. Deterministic: times are the lock's, the namespace is made of the image's digest.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from email.parser import HeaderParser
from pathlib import Path
from urllib.parse import quote

from dhallmark import strictjson
from dhallmark.digest import Digest
from dhallmark.errors import FormatError
from dhallmark.image.archive import Image
from dhallmark.image.lock import ImageLock
from dhallmark.image.rootfs import control_fields

_STATUS = "var/lib/dpkg/status.d/"
_NAMESPACE = "https://dhallmark.dev/spdx/ci-image"
_LICENCE = re.compile(r"[A-Za-z0-9.+-]+( (AND|OR|WITH) [A-Za-z0-9.+-]+)*")
"""The license expressions that are copied; anything else is NOASSERTION."""


def make_sbom(image: Image, *, lock: ImageLock, own_wheel: Path) -> bytes:
    """The bill of materials of `image`. Raises FormatError where image and lock disagree."""
    root = {
        "SPDXID": "SPDXRef-image",
        "name": "dhallmark-ci-image",
        "versionInfo": image.digest,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "primaryPackagePurpose": "CONTAINER",
        "checksums": [{"algorithm": "SHA256", "checksumValue": image.digest.hex}],
    }
    packages = [*_debian(image, lock), *_tools(lock), *_python(image, Digest.of_file(own_wheel))]
    packages.sort(key=lambda package: str(package["SPDXID"]))
    return strictjson.dump(
        {
            "spdxVersion": "SPDX-2.3",
            "dataLicense": "CC0-1.0",
            "SPDXID": "SPDXRef-DOCUMENT",
            "name": "dhallmark-ci-image",
            "documentNamespace": f"{_NAMESPACE}/{image.digest.hex}",
            "creationInfo": {
                "created": datetime.fromtimestamp(lock.epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "creators": ["Tool: dhallmark"],
            },
            "packages": [root, *packages],
            "relationships": [
                _relation("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-image"),
                *(_relation("SPDXRef-image", "CONTAINS", str(package["SPDXID"])) for package in packages),
            ],
        }
    )


def _debian(image: Image, lock: ImageLock) -> Iterator[dict[str, object]]:
    hashes = {package.name: package for package in lock.packages}
    for path, text in _read(image, _STATUS):
        if path.endswith(".md5sums"):
            continue
        fields = control_fields(text, ("Package", "Version", "Architecture", "Maintainer"))
        package = hashes.pop(fields["Package"], None)
        if package is None or package.version != fields["Version"]:
            raise FormatError(f"the image has {fields['Package']} {fields['Version']}, which is not what the lock says")
        name, version, architecture = fields["Package"], fields["Version"], fields["Architecture"]
        purl = f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={architecture}&distro={lock.suite}"
        yield _package("deb", name, version, purl, sha256=package.sha256, supplier=fields.get("Maintainer"))
    if hashes:
        raise FormatError(f"locked, but not in the image: {', '.join(sorted(hashes))}")


def _tools(lock: ImageLock) -> Iterator[dict[str, object]]:
    for name, tool in lock.tools.items():
        yield _package(
            "tool", name, tool.version, f"pkg:generic/{quote(name)}@{quote(tool.version)}", sha256=tool.sha256
        )


def _python(image: Image, own: Digest) -> Iterator[dict[str, object]]:
    for path, text in _read(image, "opt/dhallmark/lib/"):
        if not path.endswith(".dist-info/METADATA"):
            continue
        fields = HeaderParser().parsestr(text, headersonly=True)
        name, version = str(fields["Name"]), str(fields["Version"])
        normal = re.sub(r"[-_.]+", "-", name).lower()
        yield _package(
            "pypi",
            normal,
            version,
            f"pkg:pypi/{quote(normal)}@{quote(version)}",
            sha256=own.hex if normal == "dhallmark" else None,
            licence=fields["License-Expression"],
        )


def _read(image: Image, folder: str) -> Iterator[tuple[str, str]]:
    """Path and text of the database files below `folder` in all layers."""
    for layer in image.layers:
        with tarfile.open(layer.path) as archive:
            for member in archive:
                wanted = member.name.startswith(folder) and (folder == _STATUS or member.name.endswith("/METADATA"))
                if wanted and member.isfile() and (reader := archive.extractfile(member)) is not None:
                    yield member.name, reader.read().decode("utf-8", "replace")


def _package(
    kind: str,
    name: str,
    version: str,
    purl: str,
    *,
    sha256: str | None = None,
    supplier: str | None = None,
    licence: str | None = None,
) -> dict[str, object]:
    package: dict[str, object] = {
        "SPDXID": f"SPDXRef-{kind}-{re.sub(r'[^A-Za-z0-9.-]', '-', name)}",
        "name": name,
        "versionInfo": version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": licence if licence and _LICENCE.fullmatch(licence) else "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "externalRefs": [
            {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl},
        ],
    }
    if sha256:
        package["checksums"] = [{"algorithm": "SHA256", "checksumValue": sha256}]
    if supplier:
        package["supplier"] = f"Organization: {supplier}"
    return package


def _relation(subject: str, kind: str, other: str) -> dict[str, str]:
    return {"spdxElementId": subject, "relationshipType": kind, "relatedSpdxElement": other}
