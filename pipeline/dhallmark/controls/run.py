"""Judging prepared controls: each in an isolated process of its own, as many at once as there are cores."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from dhallmark.control import Control
from dhallmark.controls.case import Case, read_index
from dhallmark.controls.isolation import TIMEOUT, Judgement, judge_isolated
from dhallmark.controls.report import Answer, Finding, Report
from dhallmark.errors import UsageError
from dhallmark.oci.concurrently import concurrently
from dhallmark.progress import Progress, Silent
from dhallmark.reasons import Reason
from dhallmark.verdict import Outcome


async def run_controls(
    prepared: Path,
    *,
    controls: Sequence[Control],
    consumers: Sequence[str],
    timeout: float = TIMEOUT,  # noqa: ASYNC109
    progress: Progress | None = None,
) -> Report:
    """Judge those of `controls` that are in the folder `prepared`, by `consumers`.

    `timeout` is in seconds, for each control. Raises UsageError where one of `controls` was not prepared: a control
    that is left out silently would count as passed.
    """
    listener = progress or Silent()
    there = read_index(prepared)
    missing = [control.id for control in controls if control.id not in there]
    if missing:
        raise UsageError(f"not prepared: {', '.join(missing)}", hint=f"prepared are {', '.join(there)}")
    read = [Case.read(prepared / control.id) for control in controls]
    cases = [case for case in read if not case.not_applicable]
    listener.start("controls", total=len(cases))

    async def one(case: Case) -> list[Finding]:
        findings = await _judge(case, prepared / case.id, [name for name in consumers if name in case.expect], timeout)
        listener.advance("controls")
        return findings

    judged = await concurrently([partial(one, case) for case in cases], limit=os.cpu_count() or 1)
    report = Report(
        findings=tuple(finding for findings in judged for finding in findings),
        skipped=tuple(case for case in read if case.not_applicable),
    )
    listener.done("controls", summary=f"{len(cases)} controls: {report.outcome.value}")
    return report


async def _judge(case: Case, folder: Path, consumers: Sequence[str], timeout: float) -> list[Finding]:  # noqa: ASYNC109
    judgement = await judge_isolated(folder, consumers, timeout=timeout)
    return [_finding(case, name, judgement) for name in consumers]


def _finding(case: Case, consumer: str, judgement: Judgement) -> Finding:
    answers = judgement.answers.get(consumer)
    if answers is None:
        none = Answer.unanswered(judgement.reason, judgement.detail)
        return Finding(case=case, consumer=consumer, version="", before=none, mutant=none, after=none)
    return Finding(
        case=case,
        consumer=consumer,
        version=str(answers["version"]),
        before=_answer(answers["before"]),
        mutant=_answer(answers["mutant"]),
        after=_answer(answers["after"]),
    )


def _answer(record: Mapping[str, Any]) -> Answer:
    reason = record["reason"]
    return Answer(
        outcome=Outcome(record["outcome"]), reason=Reason(reason) if reason else None, words=str(record["words"])
    )
