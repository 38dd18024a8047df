"""What verdicts rest on, in a form that another process can take over, and the verdict on each kind of thing by it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dhallmark.config.policy import Policy
from dhallmark.errors import FormatError, Location, UsageError
from dhallmark.files import UnreadableFileError, read_regular
from dhallmark.verdict import Verdict
from dhallmark.verify.files import FileTarget, gather_file
from dhallmark.verify.judge import Evidence, Judge
from dhallmark.verify.pausing import in_step
from dhallmark.verify.tree import judge_tree
from dhallmark.verify.trust import MAX_TRUST_ROOT_BYTES, TrustRoot


@dataclass(frozen=True, slots=True)
class TreeTarget:
    """A deploy tree."""

    tree: Path


TOGETHER: Final = 32
"""Items that are judged in step: enough that the first one's cold start in each step is little of the whole."""
_HELD_BYTES: Final = 4 * 1024 * 1024
"""Bytes of artifacts and bundles from which on no more items are added to those that are judged in step."""

Item = FileTarget | Evidence | TreeTarget
"""What a verdict is given on, with all that has to be known for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """A policy, and a trust root as its bytes: each process reads it once, and all read the same one."""

    policy: Policy
    trusted_root: bytes | None
    """None where the policy trusts keys alone."""
    file: str = ""
    """Name of the trust root's file, for errors."""

    @classmethod
    def load(cls, policy: Policy, trusted_root: Path | None) -> Basis:
        """With a trust root from a file. Raises FormatError with its name; UsageError where one is needed."""
        if trusted_root is None:
            keyless = [name for name, rule in policy.identities.items() if rule.key is None]
            if keyless:
                raise UsageError(
                    f"the identity {keyless[0]!r} of the policy is a certificate's, and there is no trust root",
                    hint="give --trusted-root; a policy whose identities are all keys needs none",
                )
            return cls(policy=policy, trusted_root=None)
        try:
            content = read_regular(trusted_root, max_bytes=MAX_TRUST_ROOT_BYTES)
        except UnreadableFileError as error:
            message = f"the trust root cannot be read: {error.message}"
            raise FormatError(message, where=error.where) from error
        return cls(policy=policy, trusted_root=content, file=str(trusted_root))

    def judge(self) -> Judge:
        """Made ready to judge. Raises FormatError for a trust root that cannot be read, ConfigError for such a key."""
        if self.trusted_root is None:
            return Judge(self.policy, None)
        try:
            return Judge(self.policy, TrustRoot.parse(self.trusted_root))
        except FormatError as error:
            hint = "expected a Sigstore trusted_root.json"
            raise FormatError(error.message, where=Location(file=self.file), hint=hint) from error


def verdict_on(item: Item, judge: Judge, *, stopped: Callable[[], bool] = lambda: False) -> Verdict:
    """The verdict on one item. Never raises. `stopped` says that nobody waits for it any more."""
    if isinstance(item, TreeTarget):
        return judge_tree(item.tree, judge.rules)
    return judge.judge(_evidence(item, stopped))


def verdicts_on(
    items: Iterable[Item], judge: Judge, *, stopped: Callable[[], bool] = lambda: False
) -> Iterator[Verdict]:
    """The verdicts on several items, in their order. Never raises; none comes once `stopped` says so.

    Small items are judged in step, each by itself; what is held of them is bounded.
    """
    together: list[Evidence] = []
    held = 0
    for item in items:
        if stopped():
            return
        if isinstance(item, TreeTarget):
            yield from _in_step(together, judge)
            together, held = [], 0
            yield verdict_on(item, judge)
            continue
        evidence = _evidence(item, stopped)
        together.append(evidence)
        held += evidence.size
        if held > _HELD_BYTES or len(together) == TOGETHER:
            yield from _in_step(together, judge)
            together, held = [], 0
    yield from _in_step(together, judge)


def _evidence(item: FileTarget | Evidence, stopped: Callable[[], bool]) -> Evidence:
    return gather_file(item, stopped=stopped) if isinstance(item, FileTarget) else item


def _in_step(evidence: Sequence[Evidence], judge: Judge) -> list[Verdict]:
    return in_step([judge.judge_pausing(one) for one in evidence])


def subject_of(item: Item) -> str:
    """What the verdict on an item calls it."""
    return str(item.tree) if isinstance(item, TreeTarget) else item.subject
