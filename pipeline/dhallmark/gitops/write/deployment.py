"""A release in a deploy repository: the deploy tree and what its consumers need, planned as one and written as one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dhallmark.config.model import Config
from dhallmark.config.policy import Policy
from dhallmark.errors import InputError, Location
from dhallmark.gitops.tree import Keep, TreePlan, plan_tree
from dhallmark.gitops.write.model import Checks, Trust, checks_of
from dhallmark.gitops.write.place import FileChange
from dhallmark.gitops.write.write import ConsumerPlan, plan_consumers, unified_diff
from dhallmark.publish.model import FILE as PUBLISHED
from dhallmark.publish.model import Publication


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What a release is deployed by."""

    config: Config
    policy: Policy
    policy_file: bytes
    """The policy's bytes."""
    trust: Trust


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What has to change in a deploy repository. Everything was checked; nothing is written before `apply`."""

    to: Path
    tree: TreePlan
    consumers: ConsumerPlan

    def apply(self) -> None:
        """Write all of it: the deploy tree first, so that no consumer is told of files that are not there yet."""
        self.tree.apply()
        self.consumers.apply(self.to)

    @property
    def files(self) -> tuple[FileChange, ...]:
        """Every file that changes, the deploy tree's first."""
        tree = tuple(FileChange(path=path, before=before, after=after) for path, before, after in self.tree.files())
        return tree + self.consumers.placed.changes

    def patch(self) -> str:
        """All changes, for `git apply`; empty where there are none."""
        return unified_diff(self.files)


def plan_deployment(basis: Basis, *, build: Path, to: Path, keep: Keep | None = None) -> Deployment:
    """What has to change in the repository `to` for the published release in `build`.

    Raises InputError, UsageError and FormatError as `plan_tree` and `plan_consumers` do; OSError.
    """
    tree = plan_tree(build, to, keep=keep)
    consumers = plan_consumers(_checks(basis, build) if basis.config.gitops.consumers else (), to)
    return Deployment(to=to, tree=tree, consumers=consumers)


def _checks(basis: Basis, build: Path) -> tuple[Checks, ...]:
    path = build / PUBLISHED
    try:
        publication = Publication.parse(path.read_bytes(), file=str(path))
    except FileNotFoundError as error:
        raise InputError(
            "nothing was published that a consumer could follow",
            where=Location(file=str(path)),
            hint="run `dhallmark publish` first, or leave `gitops.consumers` empty",
        ) from error
    environments = sorted({artifact.environment for artifact in publication.artifacts})
    return tuple(
        checks_of(
            basis.config,
            basis.policy,
            publication,
            environment=environment,
            trust=basis.trust,
            policy_file=basis.policy_file,
            file=str(path),
        )
        for environment in environments
    )
