"""`dhallmark gitops lint`: read every file, put the builds together, ask every rule.

Files are read by as many processes as there are cores; what they send back are the objects that rules ask about, so
memory grows with those and not with the repository.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from dhallmark.errors import InputError, Location
from dhallmark.gitops.lint import model
from dhallmark.gitops.lint.admission import check_admission, check_application
from dhallmark.gitops.lint.builds import Builds
from dhallmark.gitops.lint.catalogue import RULES
from dhallmark.gitops.lint.fields import Flux
from dhallmark.gitops.lint.instances import check_instance, check_ksail
from dhallmark.gitops.lint.model import Finding, Resource, ScannedFile, Severity
from dhallmark.gitops.lint.scan import find_files, scan
from dhallmark.gitops.lint.sources import check_keys, check_release, check_source, check_urls
from dhallmark.gitops.lint.trees import check_trees
from dhallmark.progress import Progress, Silent

_CHUNK = 50
_ALONE = 200
"""Files below which one process reads them all: starting others costs more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Linted:
    """What was found in a folder."""

    files: int
    """How many files were read."""
    objects: int
    """How many objects the rules asked about."""
    findings: tuple[Finding, ...]
    """In the order of files and lines."""


def lint(
    root: Path, *, flux: Flux = Flux.V2_9, exclude: Sequence[str] = (), progress: Progress | None = None
) -> Linted:
    """Lint the folder `root`. Raises InputError where it has no YAML file: nothing looked at is no success."""
    if not root.is_dir():
        raise InputError("not a folder", where=Location(file=str(root)))
    paths = list(find_files(root, exclude=exclude))
    if not paths:
        raise InputError("no YAML file in it", where=Location(file=str(root)), hint="name the GitOps repository")
    listener = progress or Silent()
    listener.start("lint", total=len(paths))
    files: dict[str, ScannedFile] = {}
    for scanned in _scan_all(root, paths):
        files[scanned.path] = scanned
        listener.advance("lint")
    findings = [found for file in files.values() for found in file.findings]
    builds = Builds(root, files)
    objects = builds.effective()
    findings += builds.findings
    findings += _check(objects, flux=flux)
    findings += check_trees(root, paths)
    kept = sorted(set(map(_with_severity, findings)), key=lambda one: (one.file, one.line, one.rule, one.message))
    listener.done("lint", summary=f"{len(paths)} files, {len(kept)} findings")
    return Linted(files=len(paths), objects=len({one.place for one in objects}), findings=tuple(kept))


def _with_severity(found: Finding) -> Finding:
    return found if found.severity is not None else replace(found, severity=RULES[found.rule].severity)


def _scan_all(root: Path, paths: Sequence[str]) -> Iterator[ScannedFile]:
    cores = os.cpu_count() or 1
    if len(paths) < _ALONE or cores == 1:
        yield from (scan(root, path) for path in paths)
        return
    # Forked before any thread of ours runs: a fresh interpreter for each would take longer than the reading.
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(cores, mp_context=context) as pool:
        yield from pool.map(partial(scan, root), paths, chunksize=_CHUNK)


def _check(objects: Sequence[Resource], *, flux: Flux) -> Iterator[Finding]:
    repositories = {
        (one.namespace, one.name): one.node.text("spec", "url")
        for one in objects
        if one.is_a(model.FLUX_SOURCE, "HelmRepository")
    }

    def url_of(namespace: str, name: str) -> str:
        # Where a Kustomization sets the namespace of one of the two, the name alone still finds it.
        return repositories.get((namespace, name)) or next(
            (url for (_, other), url in repositories.items() if other == name), ""
        )

    for one in objects:
        yield from check_source(one, flux=flux)
        if one.is_a(model.FLUX_KUSTOMIZE, "Kustomization") or one.is_a(model.FLUX_OPERATOR, "ResourceSet"):
            yield from check_keys(one, flux=flux)
        elif one.is_a(model.FLUX_HELM, "HelmRelease"):
            yield from check_release(one, repositories=url_of)
        yield from check_instance(one, flux=flux)
        yield from check_ksail(one)
        yield from check_admission(one)
        yield from check_application(one)
    yield from check_urls(objects)


def worst(findings: Sequence[Finding]) -> Severity | None:
    """The worst severity there is."""
    found = {one.severity for one in findings}
    return next((severity for severity in Severity if severity in found), None)
