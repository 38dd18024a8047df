"""What an OCI layer unpacks to, as digests: read once, so that the bytes need not be kept until the verdict."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from dhallmark.digest import Digest
from dhallmark.errors import FormatError
from dhallmark.package.reader import read_archive

_CHART = "Chart.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A layer that is a `.tar.gz`, or why it is none that can be read."""

    digest: Digest
    """Of its bytes."""
    problem: str = ""
    """Why nothing is known of its files; empty where they are known."""
    chart: str = ""
    """Its one folder, where that is a Helm chart's; otherwise empty."""
    files: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of each file, in hex, by its path in the archive."""
    folder: str = ""
    """The digest, in hex, of the chart's folder, or of the whole where it is no chart (`folder_digest`)."""


def read_layer(content: bytes) -> Layer:
    """What the bytes of a layer unpack to. Never raises: links, devices, `../` and bombs are a problem of the layer."""
    digest = Digest.of(content)
    try:
        unpacked = read_archive(content, what="the layer")
    except FormatError as error:
        return Layer(digest=digest, problem=error.message)
    files = {name: hashlib.sha256(body).hexdigest() for name, body in unpacked.items()}
    if not files:
        return Layer(digest=digest, problem="the layer holds no file")
    top = {name.partition("/")[0] for name in files}
    chart = next(iter(top)) if len(top) == 1 else ""
    if f"{chart}/{_CHART}" not in files:
        return Layer(digest=digest, files=files, folder=folder_digest(files))
    inside = {name.removeprefix(f"{chart}/"): digest for name, digest in files.items()}
    return Layer(digest=digest, chart=chart, files=files, folder=folder_digest(inside))


def folder_digest(files: Mapping[str, str]) -> str:
    """The SHA-256, in hex, that in-toto's DirectoryResolver gives a folder; `files` has that of each file in it.

    It is the digest of what `sha256sum` prints of the files, sorted by the bytes of their names.
    """
    lines = (f"{files[name]}  {name}\n" for name in sorted(files, key=str.encode))
    return hashlib.sha256("".join(lines).encode()).hexdigest()
