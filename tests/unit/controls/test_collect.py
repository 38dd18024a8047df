"""Reports of controls that were judged apart, put together."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dhallmark.controls.case import Case
from dhallmark.controls.catalogue import select
from dhallmark.controls.collect import collect
from dhallmark.controls.report import Answer, Finding, Report, Status
from dhallmark.errors import FormatError
from dhallmark.reasons import Reason
from dhallmark.verdict import Outcome

DIGEST = "sha256:" + "ab" * 32
CONTROLS = select(cases=["S1", "C2"])
GOOD = Answer(outcome=Outcome.ACCEPTED, reason=None, words="")
REFUSED = Answer(outcome=Outcome.REJECTED, reason=Reason.SIGNATURE_NONE, words="no signatures found")


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """S1 was judged, C2 does not apply."""
    prepared, reports = tmp_path / "prepared", tmp_path / "reports"
    for control in CONTROLS:
        why = "" if control.id == "S1" else "no certificate signed it"
        case = Case.of(control, reference=f"r.test/web@{DIGEST}", subject_name="r.test/web", not_applicable=why)
        (prepared / control.id).mkdir(parents=True)
        case.write(prepared / control.id)
        finding = Finding(case=case, consumer="cosign", version="3", before=GOOD, mutant=REFUSED, after=GOOD)
        report = Report(findings=()) if why else Report(findings=(finding,))
        reports.mkdir(exist_ok=True)
        (reports / f"{control.id}.json").write_text(json.dumps(report.to_json()))
    return prepared, reports


def test_what_was_judged_apart_is_one_report(folders: tuple[Path, Path]) -> None:
    report = collect(*folders, controls=CONTROLS)
    assert [(finding.case.id, finding.status) for finding in report.findings] == [("S1", Status.PASSED)]
    assert report.findings[0].mutant == REFUSED
    assert [case.id for case in report.skipped] == ["C2"]
    assert report.outcome is Outcome.ACCEPTED


def _drop(body: dict[str, Any]) -> None:
    body["findings"] = []


def _other(body: dict[str, Any]) -> None:
    body["findings"][0]["control"] = "S2-served"


def _stranger(body: dict[str, Any]) -> None:
    body["findings"][0]["consumer"] = "somebody"


def _unknown(body: dict[str, Any]) -> None:
    body["findings"][0]["mutant"]["reason"] = "no.such-reason"


@pytest.mark.parametrize("change", [_drop, _other, _stranger, _unknown])
def test_a_report_that_is_not_on_its_control_is_an_error(
    folders: tuple[Path, Path], change: Callable[[dict[str, Any]], None]
) -> None:
    path = folders[1] / "S1.json"
    body = json.loads(path.read_bytes())
    change(body)
    path.write_text(json.dumps(body))
    with pytest.raises(FormatError, match="S1"):
        collect(*folders, controls=CONTROLS)


@pytest.mark.parametrize("content", [None, "", "{}", "no JSON"])
def test_a_report_that_is_missing_or_none_is_an_error(folders: tuple[Path, Path], content: str | None) -> None:
    path = folders[1] / "S1.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(FormatError):
        collect(*folders, controls=CONTROLS)


def test_what_must_be_said_is_read_from_the_case_and_not_from_the_report(folders: tuple[Path, Path]) -> None:
    path = folders[1] / "S1.json"
    body = json.loads(path.read_bytes())
    accepted = {"outcome": "accepted"}
    body["findings"][0] |= {"status": "passed", "expected": accepted, "mutant": accepted}
    path.write_text(json.dumps(body))
    assert collect(*folders, controls=CONTROLS).outcome is Outcome.REJECTED
