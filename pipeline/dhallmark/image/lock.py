"""`ci/image/lock.json`: what the CI image is made of. Holds names, versions and hashes; never a host."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from dhallmark.errors import FormatError, Location
from dhallmark.files import write_if_changed
from dhallmark.record import parse_record

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""Bare hex, as Debian's indices and pip write it."""


class _Model(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True, use_attribute_docstrings=True
    )


class DebianPackage(_Model):
    """One binary package."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9+.-]+$")]
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9.+:~-]+$")]
    architecture: Literal["amd64", "arm64", "all"]
    archive: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    """The archive that has it, such as `debian` or `debian-security`: the last part of a mirror's URL."""
    path: Annotated[str, Field(pattern=r"^pool(/[A-Za-z0-9][A-Za-z0-9.+~%_-]*)+\.deb$")]
    """Where it lies below the archive's root."""
    size: Annotated[int, Field(gt=0)]
    sha256: Sha256

    @property
    def file(self) -> str:
        """Name of the fetched file. No epoch: a colon has no place in file names."""
        return f"{self.name}_{self.version.split(':', 1)[-1]}_{self.architecture}.deb"


class Tool(_Model):
    """A statically linked program that the tool chain built."""

    version: str
    path: Annotated[str, Field(pattern=r"^usr/local/bin/[a-z0-9-]+$")]
    """Where it stands in the image."""
    sha256: Sha256


class Python(_Model):
    """For which interpreter wheels are chosen, whatever the building machine runs."""

    version: Annotated[str, Field(pattern=r"^3\.\d+$")]
    platforms: Annotated[tuple[str, ...], Field(min_length=1)]
    """Wheel platform tags, best first."""


class ImageLock(_Model):
    """The whole of `lock.json`."""

    schema_: Annotated[Literal["dhallmark.dev/image-lock/v1"], Field(alias="schema")] = "dhallmark.dev/image-lock/v1"
    epoch: Annotated[int, Field(gt=0)]
    """Seconds since 1970: the newest `Date` of the Debian releases that were locked. No time in the image is later."""
    suite: Annotated[str, Field(pattern=r"^[a-z]+$")]
    """Debian's code name, such as `trixie`."""
    architecture: Literal["amd64", "arm64"]
    wanted: tuple[str, ...]
    """Debian packages that were asked for; the others are their dependencies."""
    packages: Annotated[tuple[DebianPackage, ...], Field(min_length=1)]
    """Sorted by name."""
    python: Python
    tools: dict[str, Tool]


def load_lock(path: Path) -> ImageLock:
    """Read a lock. Raises FormatError with the field that is wrong."""
    try:
        return parse_record(ImageLock, path.read_bytes(), file=str(path))
    except FileNotFoundError:
        raise FormatError(
            "no such lock", where=Location(file=str(path)), hint="make it by: dhallmark image lock"
        ) from None


def save_lock(lock: ImageLock, path: Path) -> bool:
    """Write a lock; True where its bytes changed."""
    text = json.dumps(lock.model_dump(mode="json", by_alias=True), indent=1, ensure_ascii=False) + "\n"
    return write_if_changed(path, text)
