"""What an object is once it is applied: kustomizations, their bases and patches, and Flux's own patches on top.

A source that a base leaves unverified and every overlay verifies is verified; one that an overlay strips is not. Each
kustomization that no other one includes is a build, and so is each folder that a Flux Kustomization names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from dhallmark.gitops.lint import model
from dhallmark.gitops.lint.model import Finding, Resource, ScannedFile
from dhallmark.gitops.lint.patches import Patch, PatchError, apply, patches_of
from dhallmark.gitops.lint.yamlfile import Mapping, Node, Scalar, UnreadableError, read

_SOURCES = frozenset({"OCIRepository", "HelmRepository", "HelmChart", "GitRepository", "Bucket", "HelmRelease"})
_MAX_PATCH_FILE = 1024 * 1024


@dataclass(slots=True)
class Build:
    """What one kustomization makes."""

    resources: list[Resource] = field(default_factory=list)
    complete: bool = True
    """False where a part of it is not in this repository, so that a patch may be for something that is not seen."""


@dataclass(slots=True)
class Builds:
    """All builds of a repository."""

    root: Path
    files: MappingOf[str, ScannedFile]
    findings: list[Finding] = field(default_factory=list)
    _made: dict[str, Build] = field(default_factory=dict)
    _patch_files: set[str] = field(default_factory=set)
    _kustomizations: dict[str, tuple[str, Mapping]] = field(default_factory=dict)

    def effective(self) -> list[Resource]:
        """Every object as it is applied, once for each build that it is in; objects in no build as they stand."""
        for path, file in self.files.items():
            if file.kustomization is not None:
                self._kustomizations[str(PurePosixPath(path).parent)] = (path, file.kustomization)
        included = {
            folder
            for here, (_, node) in self._kustomizations.items()
            for folder in self._entries(here, node)
            if folder in self._kustomizations
        }
        made: list[Resource] = []
        for folder in self._kustomizations:
            build = self._make(folder, ())
            if folder not in included:
                made += build.resources
        for resource in self._all():
            if resource.is_a(model.FLUX_KUSTOMIZE, "Kustomization"):
                made += self._flux(resource)
        covered = {resource.place for resource in made} | {
            resource.place for build in self._made.values() for resource in build.resources
        }
        alone = [
            resource
            for resource in self._all()
            if resource.place not in covered and resource.file not in self._patch_files
        ]
        return [*made, *alone]

    def _all(self) -> Iterator[Resource]:
        for file in self.files.values():
            yield from file.resources

    def _entries(self, folder: str, node: Mapping) -> Iterator[str]:
        """What a kustomization includes, as paths from the root; what leads out of it is left as it is written."""
        for name in ("resources", "bases", "components"):
            for item in node.items_of(name):
                if isinstance(item, Scalar):
                    yield _join(folder, item.value)

    def _make(self, folder: str, within: tuple[str, ...]) -> Build:
        if folder in self._made:
            return self._made[folder]
        if folder in within:
            return Build(complete=False)  # a ring: kustomize refuses it
        path, node = self._kustomizations[folder]
        build = Build(complete=not (node.items_of("helmCharts") or node.items_of("generators")))
        for entry in self._entries(folder, node):
            if entry in self._kustomizations:
                inner = self._make(entry, (*within, folder))
                build.resources += inner.resources
                build.complete &= inner.complete
            elif entry in self.files:
                build.resources += self.files[entry].resources
                # An object of another kind than the rules ask about is not kept; patches for those are not judged.
            else:
                build.complete = False
        self._patch(build, list(self._kustomize_patches(folder, path, node)), path)
        build.resources = [_renamed(resource, node) for resource in build.resources]
        self._made[folder] = build
        return build

    def _kustomize_patches(self, folder: str, path: str, node: Mapping) -> Iterator[Patch]:
        yield from self._read_patches(node.items_of("patches"), folder, path)
        for item in node.items_of("patchesStrategicMerge"):
            if not isinstance(item, Scalar):
                continue
            # A file's path, or the patch itself.
            key = "patch" if "\n" in item.value else "path"
            yield from self._read_patches([Mapping(item.line, {key: item})], folder, path)
        yield from self._read_patches(node.items_of("patchesJson6902"), folder, path)

    def _read_patches(self, items: Iterable[Node], folder: str, path: str) -> Iterator[Patch]:
        moved = [_with_path(item, folder) for item in items if isinstance(item, Mapping)]
        files: dict[str, list[Node]] = {}
        for item in moved:
            name = item.text("path")
            if not name:
                continue
            self._patch_files.add(name)
            try:
                if (self.root / name).stat().st_size <= _MAX_PATCH_FILE and _inside(name):
                    files[name] = read((self.root / name).read_bytes())
            except OSError:
                continue  # kustomize fails loudly
            except UnreadableError as error:
                self._unreadable(name, error.line, error.message)
        for patch in patches_of(moved, file=path, files=files):
            if isinstance(patch, PatchError):
                self._unreadable(path, patch.line, patch.message)
            else:
                yield patch

    def _unreadable(self, file: str, line: int, message: str) -> None:
        self.findings.append(Finding(rule="patch.unreadable", file=file, line=line, subject=file, message=message))

    def _patch(self, build: Build, patches: list[Patch], file: str) -> None:
        for patch in patches:
            selected = [resource for resource in build.resources if patch.selector.selects(resource)]
            about = patch.about_verification or patch.selector.kind in _SOURCES
            if not selected and patch.target_line and build.complete and about and _judgeable(patch):
                self.findings.append(
                    Finding(
                        rule="patch.misses",
                        file=file,
                        line=patch.target_line,
                        subject=str(patch.selector),
                        message=f"the target selects none of the objects here ({_known(build)})",
                    )
                )
            build.resources = [
                changed
                for resource in build.resources
                for changed in ([self._changed(patch, resource)] if patch.selector.selects(resource) else [resource])
                if changed is not None
            ]

    def _changed(self, patch: Patch, resource: Resource) -> Resource | None:
        try:
            changed = apply(patch, resource)
        except PatchError as error:
            self._unreadable(patch.file, patch.line, error.message)
            return resource
        before = resource.node.get("spec", "verify") is not None
        if before and changed is not None and changed.node.get("spec", "verify") is None:
            self.findings.append(
                Finding(
                    rule="patch.undone",
                    file=patch.file,
                    line=patch.line,
                    subject=resource.subject,
                    message="this patch removes `spec.verify`",
                )
            )
        return changed

    def _flux(self, resource: Resource) -> list[Resource]:
        """What a Flux Kustomization makes of the folder that it names."""
        folder = _join("", resource.node.text("spec", "path") or ".")
        if not _inside(folder) or not (self.root / folder).is_dir():
            return []  # the source is another repository, or its root is not this folder
        build = Build()
        if folder in self._kustomizations:
            inner = self._make(folder, ())
            build.resources, build.complete = list(inner.resources), inner.complete
        else:
            below = "" if folder == "." else f"{folder}/"
            build.resources = [
                found for found in self._all() if found.file.startswith(below) and found.file not in self._patch_files
            ]
        patches = list(self._read_patches(resource.node.items_of("spec", "patches"), folder, resource.file))
        if patches:
            self._patch(build, patches, resource.file)
        return build.resources


def _judgeable(patch: Patch) -> bool:
    """Whether the objects that the patch may be for are all kept by the scan, and its selector can be evaluated."""
    return not patch.selector.labels and (patch.selector.kind in _SOURCES or patch.about_verification)


def _known(build: Build) -> str:
    names = sorted({resource.subject for resource in build.resources if resource.kind in _SOURCES})
    return ", ".join(names[:5]) + (" …" if len(names) > 5 else "") if names else "no source among them"  # noqa: PLR2004


def _renamed(resource: Resource, node: Mapping) -> Resource:
    name = f"{node.text('namePrefix')}{resource.name}{node.text('nameSuffix')}"
    namespace = node.text("namespace") or resource.namespace
    if (name, namespace) == (resource.name, resource.namespace):
        return resource
    return Resource(resource.group, resource.version, resource.kind, name, namespace, resource.file, resource.node)


def _with_path(item: Mapping, folder: str) -> Mapping:
    """The item with its `path` from the root of the repository."""
    path = item.get("path")
    if not isinstance(path, Scalar):
        return item
    moved = Scalar(_join(folder, path.value), path.line, path.column, plain=path.plain)
    return Mapping(item.line, {**item.items, "path": moved}, item.lines)


def _join(folder: str, path: str) -> str:
    """`path` from `folder`, without `.` and `..`; a URL, and what leads out of the root, keep their form."""
    if "://" in path or path.startswith(("github.com/", "git@")):
        return path
    parts: list[str] = []
    for part in PurePosixPath(folder, path.lstrip("/")).parts:
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        elif part not in (".", "/"):
            parts.append(part)
    return "/".join(parts) or "."


def _inside(path: str) -> bool:
    return not path.startswith("..") and "://" not in path
