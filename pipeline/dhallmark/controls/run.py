"""Judging prepared controls: each by each consumer, in an isolation of its own; as many at once as there are cores."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from dhallmark.control import Control
from dhallmark.controls.case import MUTANT, Case, read_index
from dhallmark.controls.consumers import split_choice
from dhallmark.controls.inside import AFTER, BEFORE, VERSION
from dhallmark.controls.isolation import Isolation, Judgement, isolation
from dhallmark.controls.limits import Limits
from dhallmark.controls.report import Answer, Finding, Report
from dhallmark.errors import UsageError
from dhallmark.oci.concurrently import concurrently
from dhallmark.progress import Progress, Silent
from dhallmark.reasons import Reason
from dhallmark.verdict import Outcome

_WAITING: Final = 6
"""More judgements at once than there are cores: behind a slow or silent registry they do nothing but wait, and each
waits for its own servers to start. With two more, a fifth of two cores' time was nobody's."""


async def run_controls(
    prepared: Path,
    *,
    controls: Sequence[Control],
    consumers: Sequence[str],
    configurations: Mapping[str, Path] | None = None,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> Report:
    """Judge those of `controls` that are in the folder `prepared`, by `consumers`, each a `NAME` or `NAME=PROGRAM`.

    `configurations` are the user's own files for consumers, by their names. Raises UsageError where one of `controls`
    was not prepared: a control that is left out silently would count as passed.
    """
    listener = progress or Silent()
    there = read_index(prepared)
    missing = [control.id for control in controls if control.id not in there]
    if missing:
        raise UsageError(f"not prepared: {', '.join(missing)}", hint=f"prepared are {', '.join(there)}")
    read = [Case.read(prepared / control.id) for control in controls]
    cases = [case for case in read if not case.not_applicable]
    pairs = [(case, choice) for case in cases for choice in consumers if split_choice(choice)[0] in case.expect]
    for case in cases:
        _open_to_others(prepared / case.id)
    listener.start("controls", total=len(pairs))

    async def one(case: Case, choice: str, place: Isolation) -> Finding:
        judgement = await place.judge(prepared / case.id, choice)
        listener.advance("controls")
        return _finding(case, split_choice(choice)[0], judgement)

    asked = tuple(dict.fromkeys(choice for _, choice in pairs))
    async with isolation(asked, limits=limits, configurations=configurations) as place:
        work = [partial(one, case, choice, place) for case, choice in pairs]
        findings = await concurrently(work, limit=(os.cpu_count() or 1) + _WAITING)
    report = Report(findings=tuple(findings), skipped=tuple(case for case in read if case.not_applicable))
    listener.done("controls", summary=f"{len(cases)} controls: {report.outcome.value}")
    return report


def _open_to_others(folder: Path) -> None:
    """Let others read the case: it is judged by a user who is neither the owner nor of any group of theirs."""
    for path in (folder, *folder.rglob("*")):
        mode = path.stat().st_mode & 0o777
        wanted = mode | (0o555 if path.is_dir() else 0o444)
        if mode != wanted:
            path.chmod(wanted)


def _finding(case: Case, consumer: str, judgement: Judgement) -> Finding:
    missing = Answer.unanswered(judgement.reason, judgement.detail)
    before, mutant, after = (_answer(judgement.answers.get(when), missing) for when in (BEFORE, MUTANT, AFTER))
    version = str(judgement.answers.get(VERSION, ""))
    return Finding(case=case, consumer=consumer, version=version, before=before, mutant=mutant, after=after)


def _answer(record: Mapping[str, Any] | None, missing: Answer) -> Answer:
    """What a consumer's process said; a record that cannot be read is no answer."""
    if record is None:
        return missing
    try:
        reason = record["reason"]
        return Answer(
            outcome=Outcome(record["outcome"]), reason=Reason(reason) if reason else None, words=str(record["words"])
        )
    except (KeyError, TypeError, ValueError):
        return Answer.unanswered(Reason.CONSUMER_UNREADABLE, "the judging process gave a record that cannot be read")
