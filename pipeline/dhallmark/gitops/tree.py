"""The deploy tree: `environments/<env>/` with the charts of a release and the attestation of each.

::

    environments/prod/Chart.yaml              the umbrella chart of the environment
    environments/prod/attestation.json        its provenance bundle
    environments/prod/charts/web/Chart.yaml   an application's chart
    environments/prod/charts/web/templates/…
    environments/prod/charts/web/attestation.json

Which files are dhallmark's is written in the tree itself: the attestations name every file that was put there, with
its digest. Those are replaced and removed; all others are a person's, and stay.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dhallmark.digest import Digest
from dhallmark.errors import FormatError, InputError, Location
from dhallmark.files import directory_atomic, write_atomic
from dhallmark.gitops.attestation import FILE, find_provenance, read_statement, same_subjects
from dhallmark.package.model import FILE as ARTIFACTS
from dhallmark.package.model import Artifact, Artifacts
from dhallmark.package.reader import read_archive

ROOT = "environments"
Keep = Callable[[bytes, Artifact], bool]
"""Says whether an attestation that stands in the tree still verifies for an artifact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeChange:
    """What writing a tree did. Paths are relative to the destination, with `/`, sorted."""

    written: tuple[str, ...]
    """Files that are new or have other bytes than before."""
    removed: tuple[str, ...]
    """Files of an earlier release that this one does not have."""
    unchanged: int
    """How many files stood there already with the right bytes."""
    foreign: tuple[str, ...]
    """Files in these environments that no attestation names. Helm deploys them too where they stand in a chart."""
    other_environments: tuple[str, ...]
    """Environments that stand in the tree and are no part of this release. They are left alone."""


def write_tree(build: Path, destination: Path) -> list[Path]:
    """Write the deploy tree of the signed release in `build`, and return the files that changed.

    See `update_tree`, which this calls without keeping earlier attestations.
    """
    change = update_tree(build, destination)
    return [destination / name for name in (*change.written, *change.removed)]


def update_tree(build: Path, destination: Path, *, keep: Keep | None = None) -> TreeChange:
    """Write the deploy tree of the signed release in `build` into the folder `destination`: `plan_tree`, applied.

    Each environment is swapped in as a whole, or not at all.
    """
    plan = plan_tree(build, destination, keep=keep)
    plan.apply()
    return plan.change


def plan_tree(build: Path, destination: Path, *, keep: Keep | None = None) -> TreePlan:
    """What has to change in the folder `destination` for the signed release in `build`. Nothing is written.

    Signing again makes other bundles of the same statement: an attestation that stands there about the very same
    subjects stays where `keep` says that it still verifies, so that a release without a change changes no byte. Without
    `keep`, nothing vouches for it and the new one is written.

    Raises InputError for a build that is not signed, a file in the way that dhallmark did not write, or a symlink;
    FormatError for an archive that is not the one recorded; OSError.
    """
    artifacts = _load(build)
    wanted = {
        environment: _environment(build, artifacts.in_environment(environment), destination, keep=keep)
        for environment in artifacts.environments
    }
    parts = []
    for environment, files in wanted.items():
        before = _Before.read(destination, environment)
        before.refuse_collisions(files)
        new = sorted(name for name, content in files.items() if before.files.get(name) != content)
        parts.append(_Part(before=before, wanted=files, new=new, gone=sorted(before.owned - files.keys())))
    return TreePlan(parts=tuple(parts), others=_others(destination, wanted))


def _load(build: Path) -> Artifacts:
    path = build / ARTIFACTS
    try:
        return Artifacts.parse(path.read_bytes(), file=str(path))
    except FileNotFoundError as error:
        raise InputError(
            "there is no packaged release", where=Location(file=str(path)), hint="run `dhallmark package` first"
        ) from error


def _environment(
    build: Path, artifacts: Sequence[Artifact], destination: Path, *, keep: Keep | None
) -> dict[str, bytes]:
    """Every file of one environment, by its path in the tree."""
    files: dict[str, bytes] = {}
    for artifact in artifacts:
        if not artifact.files:
            continue  # Flux reads its artifact from the registry.
        contents = _contents(build, artifact)
        folder = _chart_folder(artifact)
        files |= contents
        bundle = find_provenance(build, artifact)
        name = f"{folder}/{FILE}"
        files[name] = _attestation(bundle, destination / name, artifact, keep=keep)
    return files


def _contents(build: Path, artifact: Artifact) -> dict[str, bytes]:
    """The chart's files out of its archive: what was published is what is deployed."""
    path = build / artifact.archive.path
    content = path.read_bytes()
    if Digest.of(content).hex != artifact.archive.sha256:
        raise _changed(path, "the archive")
    members = read_archive(content, what=str(path))
    folder = _chart_folder(artifact)
    found: dict[str, bytes] = {}
    for file in artifact.files:
        member = members.get(f"{artifact.name}/{file.name.removeprefix(folder + '/')}")
        if member is None or Digest.of(member).hex != file.sha256:
            raise _changed(path, file.name)
        found[file.name] = member
    return found


def _changed(path: Path, what: str) -> FormatError:
    return FormatError(
        f"{what} is not what the record of the package names",
        where=Location(file=str(path)),
        hint="run `dhallmark package` again, and sign again",
    )


def _chart_folder(artifact: Artifact) -> str:
    """The folder of an artifact's own `Chart.yaml` in the tree."""
    folders = [PurePosixPath(file.name).parent for file in artifact.files if file.name.endswith("/Chart.yaml")]
    if not folders:
        raise FormatError(f"the chart {artifact.slug} has no Chart.yaml", where=Location(file=ARTIFACTS))
    folder = str(min(folders, key=lambda path: len(path.parts)))
    home = f"{ROOT}/{artifact.environment}"
    if folder not in {home, f"{home}/charts/{artifact.name}"} or any(
        not file.name.startswith(f"{folder}/") for file in artifact.files
    ):
        raise FormatError(f"the files of {artifact.slug} stand outside its folder", where=Location(file=ARTIFACTS))
    return folder


def _attestation(bundle: bytes, path: Path, artifact: Artifact, *, keep: Keep | None) -> bytes:
    """The bundle to stand at `path`: the one that is there, if it says the same and still verifies."""
    if keep is None or path.is_symlink() or not path.is_file():
        return bundle
    there = path.read_bytes()
    try:
        old = read_statement(there, file=str(path))
    except FormatError:
        return bundle
    new = read_statement(bundle, file=FILE)
    same = old.predicate_type == new.predicate_type and same_subjects(old, new)
    return there if same and keep(there, artifact) else bundle


@dataclass(frozen=True, slots=True, kw_only=True)
class _Before:
    """One environment as it stands before writing."""

    destination: Path
    folder: Path
    files: Mapping[str, bytes]
    """All files below the folder, by path in the tree."""
    owned: frozenset[str]
    """Those that an attestation names with the digest that they have, and the attestations."""
    named: frozenset[str]
    """Those that an attestation names, whatever they hold now."""

    @classmethod
    def read(cls, destination: Path, environment: str) -> _Before:
        folder = destination / ROOT / environment
        for path in (destination / ROOT, folder):
            _refuse_symlink(path)
        files: dict[str, bytes] = {}
        for path in sorted(folder.rglob("*")):
            _refuse_symlink(path)
            if path.is_file():
                files[path.relative_to(destination).as_posix()] = path.read_bytes()
        owned: set[str] = set()
        named: set[str] = set()
        for name, content in files.items():
            if PurePosixPath(name).name != FILE:
                continue
            try:
                statement = read_statement(content, file=name)
            except FormatError:
                continue  # Not an attestation of ours; it is in the way or foreign.
            home = f"{PurePosixPath(name).parent}/"
            recorded = {subject.name: subject.digest for subject in statement.subjects if subject.name.startswith(home)}
            if f"{home}Chart.yaml" not in recorded:
                continue
            named |= {name, *recorded}
            owned |= {name} | {
                path for path, digest in recorded.items() if path in files and Digest.of(files[path]) == digest
            }
        return cls(destination=destination, folder=folder, files=files, owned=frozenset(owned), named=frozenset(named))

    def refuse_collisions(self, wanted: Mapping[str, bytes]) -> None:
        """Raise InputError where a file would be replaced that dhallmark did not put there."""
        for name in sorted(wanted):
            if name in self.files and name not in self.named and self.files[name] != wanted[name]:
                raise InputError(
                    "a file is in the way that dhallmark did not write",
                    where=Location(file=str(self.destination / name)),
                    hint="move it out of the environment's folder, or choose another destination",
                )

    def swap(self, wanted: Mapping[str, bytes], gone: Sequence[str]) -> None:
        """Put the new environment in the old one's place, with all files that are not dhallmark's."""
        prefix = self.folder.relative_to(self.destination).as_posix() + "/"
        with directory_atomic(self.folder) as new:
            for name in self.files.keys() - wanted.keys() - set(gone):
                target = new / name.removeprefix(prefix)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(self.destination / name, target)
            for name, content in wanted.items():
                write_atomic(new / name.removeprefix(prefix), content)


def _refuse_symlink(path: Path) -> None:
    if path.is_symlink():
        raise InputError(
            "a symlink in the deploy tree",
            where=Location(file=str(path)),
            hint="replace it by what it points to: writing through it would leave the tree",
        )


def _others(destination: Path, wanted: Mapping[str, object]) -> tuple[str, ...]:
    root = destination / ROOT
    if not root.is_dir():
        return ()
    with os.scandir(root) as entries:
        return tuple(
            sorted(
                entry.name
                for entry in entries
                if entry.is_dir() and entry.name not in wanted and not entry.name.startswith(".")
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One environment of a plan."""

    before: _Before
    wanted: Mapping[str, bytes]
    new: Sequence[str]
    """Files that are new or change."""
    gone: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TreePlan:
    """What has to change in a deploy tree. Everything was checked; nothing is written yet."""

    parts: tuple[_Part, ...]
    others: tuple[str, ...]

    @property
    def change(self) -> TreeChange:
        """What `apply` does."""
        return TreeChange(
            written=tuple(name for part in self.parts for name in part.new),
            removed=tuple(name for part in self.parts for name in part.gone),
            unchanged=sum(len(part.wanted) - len(part.new) for part in self.parts),
            foreign=tuple(
                name
                for part in self.parts
                for name in sorted(part.before.files.keys() - part.wanted.keys() - part.before.owned)
            ),
            other_environments=self.others,
        )

    def files(self) -> Iterator[tuple[str, bytes | None, bytes | None]]:
        """Each file that changes: its path, what it holds before and after; None where it is not there."""
        for part in self.parts:
            for name in part.new:
                yield name, part.before.files.get(name), part.wanted[name]
            for name in part.gone:
                yield name, part.before.files[name], None

    def apply(self) -> None:
        """Swap in each environment that changes. Raises OSError."""
        for part in self.parts:
            if part.new or part.gone:
                part.before.swap(part.wanted, part.gone)
