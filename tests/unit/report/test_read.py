"""The closing report from the files that steps left."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dhallmark.errors import ExitCode, FormatError, InputError
from dhallmark.report.read import read_report

DIGEST = "sha256:" + "ab" * 32
REPOSITORY = "registry.example:5000/acme/prod/web"
Change = Callable[[dict[str, Any]], None]


def records() -> dict[str, Any]:
    """The files of a build directory that a report needs, by path."""
    return {
        "plan.json": {"schema": "dhallmark.dev/plan/v1", "source": {"revision": "0" * 40}, "units": []},
        "publish.json": {
            "schema": "dhallmark.dev/publish/v1",
            "project": "acme",
            "version": "1.0.0",
            "artifacts": [
                {
                    "kind": "chart",
                    "environment": "prod",
                    "name": "web",
                    "repository": REPOSITORY,
                    "tag": "1.0.0",
                    "digest": DIGEST,
                    "attached": [
                        {"digest": DIGEST, "artifact_type": "bundle", "predicate_type": "sign"},
                        {"digest": DIGEST, "artifact_type": "materials"},
                    ],
                }
            ],
        },
        "verdicts.json": {
            "schema": "dhallmark.dev/verdicts/v1",
            "outcome": "accepted",
            "verdicts": [{"subject": f"{REPOSITORY}@{DIGEST}", "outcome": "accepted", "checks": []}],
        },
        "controls/S1.json": {
            "schema": "dhallmark.dev/controls-report/v1",
            "outcome": "accepted",
            "counts": {},
            "findings": [
                {
                    "control": "S1",
                    "group": "signature",
                    "title": "unsigned",
                    "flaw": "a registry that loses referrers",
                    "expected": {"outcome": "rejected", "reason": "signature.none"},
                    "before": {"outcome": "accepted"},
                    "after": {"outcome": "accepted"},
                    "consumer": "cosign",
                    "version": "3.1.3",
                    "status": "passed",
                    "mutant": {"outcome": "rejected", "reason": "signature.none"},
                }
            ],
        },
    }


def write(build: Path, files: dict[str, Any]) -> Path:
    for name, body in files.items():
        path = build / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(body))
    return build


def test_all_that_steps_left_is_in_the_report(tmp_path: Path) -> None:
    report = read_report(write(tmp_path, records()))
    assert report.exit_code is ExitCode.OK
    assert report.revision == "0" * 40
    (artifact,) = report.artifacts
    assert (artifact.pinned, artifact.statements, str(artifact.verdict)) == (f"{REPOSITORY}@{DIGEST}", 1, "accepted")
    (control,) = report.controls or ()
    assert (control.id, control.consumer, control.found) == ("S1", "cosign 3.1.3", "rejected(signature.none)")


def test_controls_that_were_not_run_are_not_passed(tmp_path: Path) -> None:
    files = records()
    del files["controls/S1.json"]
    assert read_report(write(tmp_path, files)).controls is None


def reject(files: dict[str, Any]) -> None:
    files["verdicts.json"]["verdicts"][0] |= {"outcome": "rejected", "reason": "signature.none"}


def fail_control(files: dict[str, Any]) -> None:
    files["controls/S1.json"]["findings"][0]["status"] = "failed"


@pytest.mark.parametrize("change", [reject, fail_control])
def test_the_worst_verdict_decides(tmp_path: Path, change: Change) -> None:
    files = records()
    change(files)
    assert read_report(write(tmp_path, files)).exit_code is ExitCode.REJECTED


def forget_the_verdict(files: dict[str, Any]) -> None:
    files["verdicts.json"]["verdicts"] = []


def judge_another_digest(files: dict[str, Any]) -> None:
    files["verdicts.json"]["verdicts"][0]["subject"] = f"{REPOSITORY}@sha256:{'cd' * 32}"


@pytest.mark.parametrize("change", [forget_the_verdict, judge_another_digest])
def test_an_artifact_without_a_verdict_is_an_error(tmp_path: Path, change: Change) -> None:
    files = records()
    change(files)
    with pytest.raises(InputError, match="no verdict on"):
        read_report(write(tmp_path, files))


@pytest.mark.parametrize("name", ["plan.json", "publish.json", "verdicts.json"])
def test_a_missing_record_is_named(tmp_path: Path, name: str) -> None:
    files = records()
    del files[name]
    with pytest.raises(InputError, match=name):
        read_report(write(tmp_path, files))


@pytest.mark.parametrize("name", list(records()))
def test_a_record_of_another_format_is_refused(tmp_path: Path, name: str) -> None:
    files = records()
    files[name]["schema"] = "dhallmark.dev/other/v9"
    with pytest.raises(FormatError, match=name):
        read_report(write(tmp_path, files))
