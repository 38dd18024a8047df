"""One report of controls that were judged apart: in containers of their own, on machines of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dhallmark.control import Control
from dhallmark.controls.case import Case
from dhallmark.controls.report import Answer, Finding, Report
from dhallmark.errors import FormatError, Location
from dhallmark.reasons import Reason
from dhallmark.record import parse_record
from dhallmark.report.records import AnswerRecord, ControlsRecord, FindingRecord


def collect(prepared: Path, reports: Path, *, controls: Sequence[Control]) -> Report:
    """The report on `controls` from their JSON reports `<reports>/<id>.json`, one for each control.

    What must be said is read from the folder `prepared`, not from the reports. Raises FormatError where a report is
    missing, is no report, is on another control, or says nothing of one: it would count as passed.
    """
    findings: list[Finding] = []
    skipped: list[Case] = []
    for control in controls:
        case = Case.read(prepared / control.id)
        found = _read(reports / f"{control.id}.json", case)
        if case.not_applicable:
            skipped.append(case)
        findings += found
    return Report(findings=tuple(findings), skipped=tuple(skipped))


def _read(path: Path, case: Case) -> list[Finding]:
    where = Location(file=str(path))
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FormatError(f"no report on control {case.id}: {error.strerror}", where=where) from error
    record = parse_record(ControlsRecord, content, file=str(path), hint="judge the control again")
    others = {finding.control for finding in record.findings} - {case.id}
    if others or not (record.findings or case.not_applicable):
        raise FormatError(f"not a report on control {case.id} and nothing else", where=where)
    strangers = {finding.consumer for finding in record.findings} - set(case.expect)
    if strangers:
        raise FormatError(f"control {case.id} does not ask {strangers.pop()}", where=where)
    return [_finding(case, finding, where) for finding in record.findings]


def _finding(case: Case, record: FindingRecord, where: Location) -> Finding:
    try:
        return Finding(
            case=case,
            consumer=record.consumer,
            version=record.version,
            before=_answer(record.before),
            mutant=_answer(record.mutant),
            after=_answer(record.after),
        )
    except ValueError as error:
        raise FormatError(f"control {case.id}: {error}", where=where) from error


def _answer(record: AnswerRecord) -> Answer:
    return Answer(outcome=record.outcome, reason=Reason(record.reason) if record.reason else None, words=record.words)
