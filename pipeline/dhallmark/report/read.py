"""The closing report from what the steps left in a build directory, on whichever machines they ran.

Beside the records of the steps it reads what the proof left there: `verdicts.json` (`dhallmark verify`) and
`controls/*.json` (`dhallmark controls`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, Field

from dhallmark.errors import InputError, Location
from dhallmark.publish.model import FILE as PUBLISHED
from dhallmark.publish.model import Publication
from dhallmark.record import parse_record
from dhallmark.report.assemble import statements_of
from dhallmark.report.model import ControlLine, Released, Report, VerdictLine
from dhallmark.report.records import AnswerRecord, ControlsRecord, FindingRecord, VerdictRecord, VerdictsRecord

VERDICTS = "verdicts.json"
CONTROLS = "controls"
_T = TypeVar("_T", bound=BaseModel)


class _Source(BaseModel):
    revision: str


class _Plan(BaseModel):
    schema_: Annotated[Literal["dhallmark.dev/plan/v1"], Field(alias="schema")]
    source: _Source


def read_report(build: Path) -> Report:
    """What was made, where it is, and what was said of it.

    Raises InputError where a record is missing or an artifact has no verdict, FormatError where one cannot be read.
    An artifact without a verdict is not counted as accepted, nor left out: it is an error.
    """
    plan = _read(build / "plan.json", _Plan)
    publication = Publication.parse(_content(build / PUBLISHED), file=str(build / PUBLISHED))
    verdicts = {one.subject: one for one in _read(build / VERDICTS, VerdictsRecord).verdicts}
    return Report(
        project=publication.project,
        version=publication.version,
        revision=plan.source.revision,
        artifacts=_artifacts(publication, verdicts, file=build / VERDICTS),
        controls=_controls(sorted((build / CONTROLS).glob("*.json"))),
    )


def _artifacts(publication: Publication, verdicts: Mapping[str, VerdictRecord], *, file: Path) -> tuple[Released, ...]:
    missing = [one.pinned for one in publication.artifacts if one.pinned not in verdicts]
    if missing:
        raise InputError(
            f"no verdict on {missing[0]}",
            where=Location(file=str(file)),
            hint="run `dhallmark verify` with a --ref for every published artifact",
        )
    return tuple(
        Released(
            kind=one.kind,
            environment=one.environment,
            name=one.name,
            reference=one.reference,
            digest=one.digest,
            statements=statements_of(one),
            verdict=_line(verdicts[one.pinned]),
        )
        for one in publication.artifacts
    )


def _controls(files: Sequence[Path]) -> tuple[ControlLine, ...] | None:
    lines = tuple(_control(finding) for file in files for finding in _read(file, ControlsRecord).findings)
    return lines if files else None


def _line(answer: VerdictRecord | AnswerRecord) -> VerdictLine:
    return VerdictLine(outcome=answer.outcome, reason=answer.reason)


def _control(finding: FindingRecord) -> ControlLine:
    return ControlLine(
        id=finding.control,
        title=finding.title,
        consumer=f"{finding.consumer} {finding.version}".strip(),
        status=finding.status,
        found=str(_line(finding.mutant)),
        explanation=finding.explanation,
    )


def _read(path: Path, model: type[_T]) -> _T:
    return parse_record(model, _content(path), file=str(path))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot be read: {error.strerror}",
            where=Location(file=str(path)),
            hint="a report needs a published release and its verdicts",
        ) from error
