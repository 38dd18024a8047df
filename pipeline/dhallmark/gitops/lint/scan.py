"""Reading a folder: which files are looked at, and what each holds that the rules ask about."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from dhallmark.gitops.lint import model
from dhallmark.gitops.lint.model import Finding, Resource, ScannedFile
from dhallmark.gitops.lint.yamlfile import Mapping, Node, Scalar, UnreadableError, read, walk

SUFFIXES = (".yaml", ".yml")
KUSTOMIZATIONS = frozenset({"kustomization.yaml", "kustomization.yml", "Kustomization"})
_LEFT_OUT = frozenset({".git", ".hg", ".svn", "node_modules", ".terraform", ".venv"})
_MAX_EMBEDDED = 100_000
"""Nodes of one document that are searched for objects within objects."""
_GROUPS = frozenset(
    {
        model.FLUX_SOURCE,
        model.FLUX_KUSTOMIZE,
        model.FLUX_HELM,
        model.FLUX_OPERATOR,
        model.KYVERNO,
        model.KYVERNO_POLICIES,
        model.ARGO,
        model.KSAIL,
    }
)
_TALOS = "ImageVerificationConfig"
_MARKERS = (b"fluxcd", b"kyverno.io", b"argoproj.io", b"ksail.io", _TALOS.encode())
"""One of these is in every file that has an object which the rules ask about: others are read for their form alone."""


def find_files(root: Path, *, exclude: Sequence[str] = ()) -> Iterator[str]:
    """The YAML files below `root`, relative to it, in a stable order. Symlinks are not followed: they could lead out,
    or in a circle. `exclude` are patterns of fnmatch on the relative path; one that ends with `/` is a folder."""
    for folder, folders, names in os.walk(root):
        here = PurePosixPath(Path(folder).relative_to(root).as_posix())
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT)
        for name in sorted(names):
            path = str(here / name)
            if not name.endswith(SUFFIXES) and name not in KUSTOMIZATIONS:
                continue
            if Path(folder, name).is_symlink() or any(_excluded(path, pattern) for pattern in exclude):
                continue
            yield path


def _excluded(path: str, pattern: str) -> bool:
    return path.startswith(pattern) if pattern.endswith("/") else fnmatch(path, pattern)


def scan(root: Path, path: str) -> ScannedFile:
    """Read one file. Whatever is wrong with it becomes a finding."""
    found = ScannedFile(path)
    try:
        content = (root / path).read_bytes()
        documents = read(content)
    except OSError as error:
        found.findings.append(_unreadable(path, f"cannot be read: {error.strerror}", 1))
        return found
    except UnreadableError as error:
        found.findings.append(_unreadable(path, error.message, error.line))
        return found
    relevant = any(marker in content for marker in _MARKERS)
    kustomization = PurePosixPath(path).name in KUSTOMIZATIONS
    for document in documents:
        if kustomization and isinstance(document, Mapping) and found.kustomization is None:
            own = Resource.of(document, file=path)
            if own is None or own.is_a(model.KUSTOMIZE, "Kustomization", "Component"):
                found.kustomization = document
                continue
        if relevant:
            found.resources += _resources(document, path, found.findings)
    return found


def _unreadable(path: str, message: str, line: int) -> Finding:
    return Finding(rule="file.unreadable", file=path, line=line, subject=path, message=message)


def _resources(document: Node, path: str, findings: list[Finding]) -> Iterator[Resource]:
    """The objects in a document: itself, the items of a list, what stands in another's fields or texts."""
    for node in walk(document, limit=_MAX_EMBEDDED, within=_embedded):
        resource = Resource.of(node, file=path) if isinstance(node, Mapping) else None
        if resource is not None and (resource.group in _GROUPS or resource.kind == _TALOS):
            findings += [
                Finding(
                    rule="key.duplicate",
                    file=path,
                    line=line,
                    subject=resource.subject,
                    message=f"the key {key!r} stands twice",
                )
                for key, line in _duplicates(resource.node)
            ]
            yield resource


def _embedded(scalar: Scalar) -> list[Node]:
    """The objects that a text holds, such as a file in a ConfigMap; their lines are those of the outer file."""
    text = scalar.value
    if scalar.plain or "\nkind:" not in f"\n{text}" or not any(marker.decode() in text for marker in _MARKERS):
        return []
    try:
        # A block's text begins in the line after its indicator; blank lines in front keep the lines as they are.
        documents = read(b"\n" * scalar.line + text.encode("utf-8", "replace"))
    except UnreadableError:
        return []
    return documents


def _duplicates(node: Mapping) -> Iterator[tuple[str, int]]:
    for here in walk(node, limit=_MAX_EMBEDDED):
        if isinstance(here, Mapping):
            yield from here.duplicates
