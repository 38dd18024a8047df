"""The controls for real: prepared in a lab, judged by dhallmark and cosign, each in a network of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

import dhallmark
from dhallmark.control import Control, Group
from dhallmark.controls.case import read_index, write_index
from dhallmark.controls.catalogue import CONTROLS, select
from dhallmark.controls.consumers import BUILT_IN
from dhallmark.controls.limits import Limits
from dhallmark.controls.prepare import prepare_controls
from dhallmark.controls.report import Report, Status
from dhallmark.controls.run import run_controls
from dhallmark.errors import UsageError
from dhallmark.reasons import Reason

if TYPE_CHECKING:
    from tests.component.verify.conftest import Release

pytestmark = [
    pytest.mark.component,
    # A case has a registry of its own, so it is prepared from one of the two; `test_prepare` reads both.
    pytest.mark.parametrize("release", ["api"], indirect=True, scope="session"),
]


@pytest.fixture(scope="module")
def prepared(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every control of the catalogue, prepared."""
    folder = tmp_path_factory.mktemp("controls") / "prepared"

    async def main() -> None:
        await prepare_controls(release.target, CONTROLS, into=folder)

    release.lab.call(anyio.run, main)
    assert read_index(folder) == [control.id for control in CONTROLS]
    return folder


def judge(prepared: Path, *ids: str, consumers: tuple[str, ...] = BUILT_IN, limits: Limits | None = None) -> Report:
    async def main() -> Report:
        return await run_controls(prepared, controls=select(only=ids), consumers=consumers, limits=limits)

    return anyio.run(main)


@pytest.fixture(scope="module")
def whole(prepared: Path) -> Report:
    """The whole catalogue by dhallmark; by cosign what it says to registries that fail.

    What the other consumers say to the rest is tested beside, at one registry for all (`controls/test_consumers.py`).
    """
    everything = judge(prepared, consumers=("dhallmark",))
    registry = [control.id for control in CONTROLS if control.group is Group.REGISTRY]
    behind_faults = judge(prepared, *registry, consumers=("cosign",))
    return Report(findings=everything.findings + behind_faults.findings, skipped=everything.skipped)


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.id)
def test_a_control_is_judged_as_the_catalogue_says(whole: Report, control: Control) -> None:
    if control.id in {case.id for case in whole.skipped}:
        pytest.skip(next(case.not_applicable for case in whole.skipped if case.id == control.id))
    findings = [finding for finding in whole.findings if finding.case.id == control.id]
    assert "dhallmark" in {finding.consumer for finding in findings}
    if control.group is Group.REGISTRY:
        assert {finding.consumer for finding in findings} == set(control.expect) & {"dhallmark", "cosign"}
    for finding in findings:
        assert finding.status in (Status.PASSED, Status.HOLE), finding.to_json()
        assert finding.status is Status.PASSED or finding.consumer != "dhallmark"


def test_nearly_every_control_applies_to_a_release_of_dhallmarks(whole: Report) -> None:
    assert len(whole.skipped) < len(CONTROLS) // 10, [case.id for case in whole.skipped]


def test_the_command_judges_outside_of_the_lab_from_nothing_but_a_folder(prepared: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    shutil.copytree(prepared / "S1", alone / "S1")
    write_index(alone, ["S1"], made=datetime.now(UTC))
    junit = tmp_path / "junit.xml"
    done = command("--output=json", f"--prepared={alone}", "--only=S1", f"--report=junit={junit}", home=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert {finding["consumer"] for finding in report["findings"]} == set(BUILT_IN)
    assert {finding["status"] for finding in report["findings"]} == {"passed"}
    assert junit.read_bytes().startswith(b"<?xml")


def command(*arguments: str, home: Path, path: str = "") -> subprocess.CompletedProcess[str]:
    """`dhallmark controls`, in an environment of its own."""
    return subprocess.run(
        [sys.executable, "-c", "from dhallmark.cli.app import main; main()", "controls", *arguments],
        env={
            "PATH": f"{path}{os.pathsep}{os.environ['PATH']}" if path else os.environ["PATH"],
            "PYTHONPATH": str(Path(str(dhallmark.__file__)).parents[1]),
            "HOME": str(home),
        },
        capture_output=True,
        text=True,
        check=False,
    )


SOURCE = r"""
apiVersion: source.toolkit.fluxcd.io/v1
kind: OCIRepository
metadata: {name: web, namespace: flux-system}
spec:
  interval: 5m
  url: oci://registry.example/web
  ref: {tag: 1.0.0}
  verify:
    provider: cosign
    matchOIDCIdentity:
      - issuer: ^https://token\.actions\.githubusercontent\.com$
        subject: ^https://github\.com/acme/platform/\.github/workflows/release\.yml@refs/heads/main$
"""


@pytest.mark.parametrize(("ours", "theirs", "status"), [("", "", 0), ("acme/platform", "acme/elsewhere", 1)])
def test_flux_is_asked_as_the_user_has_set_it_up(
    prepared: Path, tmp_path: Path, ours: str, theirs: str, status: int
) -> None:
    """A matcher that refuses everything, which the policy would not tell: found before it stops all delivery."""
    source = tmp_path / "source.yaml"
    source.write_text(SOURCE.replace(ours, theirs) if ours else SOURCE)
    arguments = (f"--prepared={prepared}", "--case=S1", "--consumer=flux-1.9", f"--flux={source}", "--output=json")
    done = command(*arguments, home=tmp_path)
    assert done.returncode == status, done.stdout + done.stderr
    (finding,) = json.loads(done.stdout)["findings"]
    assert finding["before"]["outcome"] == ("rejected" if status else "accepted")
    assert finding["before"].get("reason") == ("identity.subject-mismatch" if status else None)


UNTIL_ASKED = """\
#!{python} -ISs
# The registry, killed when the mutant is asked for.
import subprocess, sys
words = [word for word in sys.argv[1:] if word != "--quiet"]
registry = subprocess.Popen([{registry!r}, *words], stderr=subprocess.PIPE)
for line in registry.stderr:
    if b" /v2/mutant/" in line and b" PUT " not in line:
        registry.kill()
        break
registry.wait()
"""


def test_an_outage_in_the_middle_of_a_run_is_no_refusal(prepared: Path, tmp_path: Path) -> None:
    """The registry is killed while the mutant is being asked for: nothing that comes after it counts."""
    programs = tmp_path / "programs"
    programs.mkdir()
    program = UNTIL_ASKED.format(python=Path(sys.executable).resolve(), registry=str(shutil.which("registry")))
    (programs / "registry").write_text(program)
    (programs / "registry").chmod(0o755)
    arguments = (f"--prepared={prepared}", "--case=R9-never", "--consumer=dhallmark", "--output=json")
    done = command(*arguments, home=tmp_path, path=str(programs))
    assert done.returncode == 3, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["outcome"] == "indeterminate"
    (finding,) = report["findings"]
    assert finding["status"] == "indeterminate"
    assert finding["before"]["outcome"] == "accepted"
    assert finding["after"]["reason"] == "registry.unavailable"


@pytest.mark.parametrize("consumer", ["dhallmark", "cosign"])
def test_a_good_artifact_that_is_not_accepted_fails_the_run(prepared: Path, tmp_path: Path, consumer: str) -> None:
    broken = tmp_path / "prepared"
    shutil.copytree(prepared / "S1", broken / "S1")
    write_index(broken, ["S1"], made=datetime.now(UTC))
    shutil.rmtree(broken / "S1" / "good" / "artifact")
    shutil.copytree(broken / "S1" / "mutant" / "artifact", broken / "S1" / "good" / "artifact")
    report = judge(broken, "S1", consumers=(consumer,))
    assert [finding.status for finding in report.findings] == [Status.FAILED]
    assert report.findings[0].mutant.reason is Reason.SIGNATURE_NONE
    assert report.exit_code != 0


def test_a_mutant_that_is_accepted_fails_the_run(prepared: Path, tmp_path: Path) -> None:
    weak = tmp_path / "prepared"
    shutil.copytree(prepared / "S1", weak / "S1")
    write_index(weak, ["S1"], made=datetime.now(UTC))
    shutil.rmtree(weak / "S1" / "mutant")
    shutil.copytree(weak / "S1" / "good", weak / "S1" / "mutant")
    report = judge(weak, "S1")
    assert {finding.status for finding in report.findings} == {Status.FAILED}


def test_a_judgement_that_takes_too_long_is_killed_and_says_so(prepared: Path) -> None:
    report = judge(prepared, "S1", consumers=("dhallmark", "cosign"), limits=Limits(seconds=0.1))
    assert {finding.status for finding in report.findings} == {Status.INDETERMINATE}
    reasons = {finding.after.reason for finding in report.findings}
    assert reasons <= {Reason.CONSUMER_LIMIT, Reason.ISOLATION_UNAVAILABLE}


def test_a_consumer_that_is_missing_is_no_refusal(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = os.pathsep.join(
        part for part in os.environ["PATH"].split(os.pathsep) if not (Path(part) / "cosign").exists()
    )
    monkeypatch.setenv("PATH", bare)
    report = judge(prepared, "S1", consumers=("cosign",))
    assert [finding.mutant.reason for finding in report.findings] == [Reason.CONSUMER_UNAVAILABLE]
    assert report.exit_code != 0


def test_a_control_that_was_not_prepared_is_an_error(prepared: Path, tmp_path: Path) -> None:
    fewer = tmp_path / "prepared"
    shutil.copytree(prepared / "S1", fewer / "S1")
    write_index(fewer, ["S1"], made=datetime.now(UTC))
    with pytest.raises(UsageError, match="not prepared: S2"):
        judge(fewer, "S1", "S2")
