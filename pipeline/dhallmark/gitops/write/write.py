"""Everything that `dhallmark gitops write` puts into a repository: the deploy tree, and what its consumers need."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import MappingProxyType

from dhallmark.config.gitops import Follower
from dhallmark.errors import Error, InputError, UsageError
from dhallmark.files import write_atomic
from dhallmark.gitops.write import flux, kyverno, operators, talos, tree_consumers
from dhallmark.gitops.write.limits import Limit, limits
from dhallmark.gitops.write.model import Checks
from dhallmark.gitops.write.pages import pages
from dhallmark.gitops.write.place import FileChange, Placed, place
from dhallmark.gitops.write.wanted import ObjectFile, OwnFile

CONSUMERS = "consumers"
"""Folder with what consumers need, by environment. Outside of the deploy tree, which is charts alone."""
DOCS = "docs"

_ObjectsOf = Callable[..., tuple[ObjectFile, ...]]
_OBJECTS: Mapping[Follower, _ObjectsOf] = MappingProxyType(
    {
        Follower.FLUX: flux.manifests,
        Follower.FLUX_HELM: flux.charts,
        Follower.FLUX_INSTANCE: operators.flux_instance,
        Follower.KSAIL: operators.ksail,
        Follower.KYVERNO: kyverno.admission,
        Follower.ARGO_CD: tree_consumers.argo_application,
        Follower.TALOS: talos.image_verification,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerPlan:
    """What has to change so that consumers check a release."""

    placed: Placed
    limits: tuple[Limit, ...]
    """What the policy demands and a consumer does not check, each once."""

    def apply(self, root: Path) -> None:
        """Write every change, each file whole or not at all. Raises OSError."""
        for change in self.placed.changes:
            if change.after is None:
                continue  # this plan removes nothing
            path = root / change.path
            mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
            write_atomic(path, change.after, mode=mode)


def plan_consumers(checks: Sequence[Checks], root: Path) -> ConsumerPlan:
    """What has to change below `root` for the consumers of each environment in `checks`. Nothing is written.

    Raises InputError for a policy that one of them cannot express safely, and for what `place` refuses.
    """
    objects: dict[str, ObjectFile] = {}
    own: dict[str, OwnFile] = {}
    found: dict[tuple[Follower, str], Limit] = {}
    for one in checks:
        for file in chain.from_iterable(_objects(one, consumer) for consumer in one.settings.consumers):
            objects.setdefault(file.path, file)
        for item in (*_own(one), *pages(one, folder=f"{DOCS}/{one.environment}")):
            own.setdefault(item.path, item)
        for limit in chain.from_iterable(
            limits(one.policy, consumer, private=one.trust.named) for consumer in one.settings.consumers
        ):
            found.setdefault((limit.consumer, limit.demand.says), limit)
    placed = place(root, list(objects.values()), list(own.values()))
    return ConsumerPlan(placed=placed, limits=tuple(found.values()))


def _objects(checks: Checks, consumer: Follower) -> tuple[ObjectFile, ...]:
    if consumer not in _OBJECTS:
        return ()
    try:
        files = _OBJECTS[consumer](checks, folder=f"{CONSUMERS}/{checks.environment}/{consumer.value}")
        if consumer is Follower.ARGO_CD:
            files += tree_consumers.argo_plugin(checks, folder=f"{CONSUMERS}/{consumer.value}")
    except (InputError, UsageError) as error:
        raise _told(error, consumer) from error
    return files


def _own(checks: Checks) -> tuple[OwnFile, ...]:
    if Follower.MERGE_CHECK not in checks.settings.consumers:
        return ()
    try:
        return tree_consumers.merge_check(checks)
    except InputError as error:
        raise _told(error, Follower.MERGE_CHECK) from error


def _told(error: Error, consumer: Follower) -> InputError:
    """A dialect's error with the consumer that it is about."""
    return InputError(f"{consumer.value}: {error.message}", where=error.where, hint=error.hint)


def unified_diff(changes: Sequence[FileChange]) -> str:
    """The changes as a patch that `git apply` takes."""
    return "".join(_diff(change) for change in changes)


def _diff(change: FileChange) -> str:
    before = (change.before or b"").decode("utf-8", "replace").splitlines(keepends=True)
    after = (change.after or b"").decode("utf-8", "replace").splitlines(keepends=True)
    old = f"a/{change.path}" if change.before is not None else "/dev/null"
    new = f"b/{change.path}" if change.after is not None else "/dev/null"
    head = f"diff --git a/{change.path} b/{change.path}\n"
    head += "new file mode 100644\n" if change.before is None else ""
    head += "deleted file mode 100644\n" if change.after is None else ""
    lines = difflib.unified_diff(before, after, old, new)
    return head + "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
