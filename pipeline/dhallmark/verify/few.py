"""Few verdicts, one after the other: what a short command does without an event loop, which takes time to load."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeGuard

from dhallmark.verdict import Verdict
from dhallmark.verify.basis import TreeTarget, verdicts_on
from dhallmark.verify.files import FileTarget
from dhallmark.verify.folder import has_more_files
from dhallmark.verify.judge import Judge
from dhallmark.verify.judged import Judged
from dhallmark.verify.target import FolderTarget, LayoutTarget, ListTarget, ReferenceTarget, Target, name_of

FEW: Final = 100
"""Items up to which nothing is gained by doing several at once."""
Simple = FileTarget | TreeTarget | ListTarget


def are_few(targets: Sequence[Target]) -> TypeGuard[Sequence[Simple]]:
    """True where `verify_few` will do: files, lists of files and deploy trees, and not many."""
    return _known(targets) <= FEW and all(
        isinstance(target, FileTarget | TreeTarget | ListTarget) for target in targets
    )


def files_are_many(targets: Sequence[Target]) -> bool:
    """True where files that are on this machine are more than few: then it pays to have processes ready."""
    here = [target for target in targets if not isinstance(target, ReferenceTarget | LayoutTarget | FolderTarget)]
    folders = (target.folder for target in targets if isinstance(target, FolderTarget))
    return _known(here) > FEW or any(has_more_files(folder, than=FEW) for folder in folders)


def _known(targets: Iterable[Target]) -> int:
    """How many items they are, as far as that is known without looking."""
    return sum(target.count if isinstance(target, ListTarget) else 1 for target in targets)


def verify_few(targets: Iterable[Simple], judge: Judge) -> Iterator[Judged]:
    """The verdicts on all that `targets` name, in order; see `verify_many`."""
    number = 0
    for target in targets:
        items = target.targets if isinstance(target, ListTarget) else [target]
        before = number
        for verdict in verdicts_on(items, judge):
            yield Judged.of(number, verdict)
            number += 1
        if number == before:
            yield Judged.of(number, Verdict.of(name_of(target)))
            number += 1
