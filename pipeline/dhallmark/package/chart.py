"""A rendered chart directory, checked against the plan and read for packaging."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dhallmark.errors import FormatError, Location
from dhallmark.package.paths import check_names


@dataclass(frozen=True, slots=True)
class ChartDirectory:
    """The files of a chart, by name relative to it, and what its Chart.yaml says."""

    name: str
    files: Mapping[str, Path]
    metadata: Mapping[str, Any]


def read_chart(directory: Path, *, name: str, version: str) -> ChartDirectory:
    """Read a chart directory that must be the chart `name` in `version`.

    Raises FormatError where it is not there, is another chart, or holds a symlink or anything else that is no
    regular file: an archive would carry what it points at, or a pointer out of the archive.
    """
    files = regular_files(directory)
    if "Chart.yaml" not in files:
        raise FormatError(f"{directory} is no chart", hint="run `dhallmark render`; after shards, `dhallmark merge`")
    path = files["Chart.yaml"]
    try:
        metadata = yaml.safe_load(path.read_bytes())
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise FormatError(f"not YAML: {error}", where=Location(file=str(path))) from error
    if not isinstance(metadata, dict):
        raise FormatError("must be a mapping", where=Location(file=str(path)))
    for field, expected in (("apiVersion", "v2"), ("name", name), ("version", version)):
        if metadata.get(field) != expected:
            raise FormatError(
                f"must be {expected!r}, is {metadata.get(field)!r}",
                where=Location(file=str(path), field=field),
                hint="run `dhallmark render` again",
            )
    return ChartDirectory(name, files, metadata)


def regular_files(directory: Path) -> dict[str, Path]:
    """All files below `directory`, by relative name with `/`. Raises FormatError for anything but files and folders."""
    found: dict[str, Path] = {}
    for path in sorted(directory.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise FormatError(
                f"{path} is a symbolic link or a special file", hint="charts hold regular files and folders alone"
            )
        if path.is_file():
            found[path.relative_to(directory).as_posix()] = path
    check_names(found, what=str(directory))
    return found
