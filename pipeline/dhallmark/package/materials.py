"""The materials bundle: what a rebuild needs, and nothing of the machine that made it.

::

    closure.json      the record of imports (schema dhallmark.dev/closure/v1)
    source/…          the project's files that took part, by their path in the project
    cache/1220<hex>   Dhall cache entries of the frozen imports: with them a rebuild needs no network
"""

from __future__ import annotations

from pathlib import Path

from dhallmark.digest import Digest
from dhallmark.errors import FormatError, Location
from dhallmark.plan import Plan
from dhallmark.render.closure import load_closure

CLOSURE = "closure.json"
SOURCE = "source/"
CACHE = "cache/"


def collect_materials(plan: Plan, *, root: Path, build: Path, config: str) -> dict[str, bytes | Path]:
    """The members of the bundle. `config` is the path of `dhallmark.yaml` below `root`.

    Raises FormatError for a source that is missing, lies outside the project, or is not what `resolve` read.
    """
    closure = load_closure(build)
    members: dict[str, bytes | Path] = {CLOSURE: (build / "resolve" / "closure.json").read_bytes()}
    for item in closure.imports:
        if item.path is not None:
            members[SOURCE + item.path] = _source(root, item.path, expected=item.sha256)
    for path in _configuration(plan, config=config):
        members.setdefault(SOURCE + path, _source(root, path))
    for digest in closure.frozen_entries():
        name = f"1220{digest.hex}"
        entry = build / "resolve" / "cache" / name
        # The name is the hash of the content: that is what makes a cache entry safe to take from a stranger.
        if not entry.is_file() or Digest.of_file(entry) != digest:
            raise FormatError(f"{entry} is missing or is not what its name says", hint="run `dhallmark resolve` again")
        members[CACHE + name] = entry
    return members


def _configuration(plan: Plan, *, config: str) -> list[str]:
    """The files that decide on a release and that no Dhall imports."""
    settings = plan.config
    values = {application.chart.values for application in settings.applications.values()}
    return sorted({config, settings.policy, *filter(None, [settings.signing.trust_config, *values])})


def _source(root: Path, path: str, *, expected: Digest | None = None) -> bytes:
    where = Location(file=path)
    file = (root / path).resolve()
    if not file.is_relative_to(root.resolve()):
        raise FormatError("lies outside the project", where=where, hint="a rebuild gets the project's files alone")
    try:
        content = file.read_bytes()
    except OSError as error:
        raise FormatError(f"cannot be read: {error.strerror}", where=where) from error
    if expected is not None and Digest.of(content) != expected:
        raise FormatError("has changed since `resolve` read it", where=where, hint="run `dhallmark resolve` again")
    return content
