"""The controls for real: prepared in a lab, judged by dhallmark and cosign, each in a network of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import dhallmark
from dhallmark.controls.case import read_index
from dhallmark.controls.catalogue import CONTROLS, select
from dhallmark.controls.consumers import BUILT_IN
from dhallmark.controls.limits import Limits
from dhallmark.controls.prepare import prepare_controls
from dhallmark.controls.report import Report, Status
from dhallmark.controls.run import run_controls
from dhallmark.errors import UsageError, VerdictError
from dhallmark.oci.client import Registry
from dhallmark.reasons import Reason

if TYPE_CHECKING:
    from tests.component.verify.conftest import Release

pytestmark = pytest.mark.component


@pytest.fixture(scope="module")
def prepared(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every control of the catalogue, prepared."""
    folder = tmp_path_factory.mktemp("controls") / "prepared"

    async def main() -> None:
        await prepare_controls(release.target, CONTROLS, into=folder, lab=release.lab.directory)

    release.lab.call(anyio.run, main)
    assert read_index(folder) == [control.id for control in CONTROLS]
    return folder


def judge(prepared: Path, *ids: str, consumers: tuple[str, ...] = BUILT_IN, limits: Limits | None = None) -> Report:
    async def main() -> Report:
        return await run_controls(prepared, controls=select(only=ids), consumers=consumers, limits=limits)

    return anyio.run(main)


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.id)
def test_a_control_alone_is_judged_as_the_catalogue_says(prepared: Path, tmp_path: Path, control: Any) -> None:  # noqa: ANN401
    """By the command, outside of the lab, from nothing but the folder."""
    alone = tmp_path / "alone"
    shutil.copytree(prepared / control.id, alone / control.id)
    (alone / "controls.json").write_text(json.dumps({"schema": "dhallmark.dev/controls/v1", "controls": [control.id]}))
    junit = tmp_path / "junit.xml"
    done = subprocess.run(
        [
            *[sys.executable, "-c", "from dhallmark.cli.app import main; main()", "controls", "--output=json"],
            *[f"--prepared={alone}", f"--only={control.id}", f"--report=junit={junit}"],
        ],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(str(dhallmark.__file__)).parents[1]),
            "HOME": str(tmp_path),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert {finding["consumer"] for finding in report["findings"]} == set(control.expect)
    for finding in report["findings"]:
        assert finding["status"] in ("passed", "out-of-scope"), finding
    assert report["counts"]["passed"] >= 1
    assert junit.read_bytes().startswith(b"<?xml")


def test_an_outage_is_not_a_refusal(prepared: Path, tmp_path: Path) -> None:
    broken = tmp_path / "prepared"
    shutil.copytree(prepared, broken)
    for blob in (broken / "S1" / "good" / "blobs" / "sha256").iterdir():
        if b"vnd.dev.sigstore.bundle.v0.3+json" in blob.read_bytes()[:200] and b"payload" in blob.read_bytes():
            blob.unlink()
    report = judge(broken, "S1", consumers=("dhallmark",))
    assert [finding.status for finding in report.findings] == [Status.INDETERMINATE]
    assert report.findings[0].mutant.reason is Reason.SIGNATURE_NONE
    assert report.exit_code != 0


def test_a_mutant_that_is_accepted_fails_the_run(prepared: Path, tmp_path: Path) -> None:
    weak = tmp_path / "prepared"
    shutil.copytree(prepared, weak)
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
    shutil.copytree(prepared, fewer)
    (fewer / "controls.json").write_text('{"schema": "dhallmark.dev/controls/v1", "controls": ["S1"]}')
    with pytest.raises(UsageError, match="not prepared: S2"):
        judge(fewer, "S1", "S2")


def test_what_strangers_attached_to_the_good_artifact_is_no_material(release: Release, tmp_path: Path) -> None:
    """They may attach anything, and come first: nothing is made of it, and nobody is taken for the release."""
    theirs = release.sign(release.statements["provenance"], claims={"repository": "evil/platform"})

    async def main() -> None:
        async with Registry(release.host, plain_http=True) as registry:
            digest = await release.push_chart(registry, "verify/visited", 3)
            for bundle in (b"junk", theirs, *release.bundles.values()):
                await release.attach(registry, "verify/visited", digest, bundle)
        target = replace(
            release.target,
            repository=f"{release.host}/verify/visited",
            digest=digest,
            subject_name=release.target.repository,
        )
        chosen = select(only=["C2", "P1"])
        await prepare_controls(target, chosen, into=tmp_path / "visited", lab=release.lab.directory)

    release.lab.call(anyio.run, main)
    report = judge(tmp_path / "visited", "C2", "P1", consumers=("dhallmark",))
    assert {finding.status for finding in report.findings} == {Status.PASSED}, report.to_json()


def test_a_bad_artifact_is_no_start(release: Release, tmp_path: Path) -> None:
    async def main() -> None:
        target = release.target
        bare = await release.push_chart_in_lab("verify/not-signed", 6)
        await prepare_controls(
            replace(target, repository=f"{release.host}/verify/not-signed", digest=bare),
            select(only=["S1"]),
            into=tmp_path / "x",
        )

    with pytest.raises(VerdictError) as error:
        release.lab.call(anyio.run, main)
    assert error.value.verdict.reason is Reason.SIGNATURE_NONE
    assert not (tmp_path / "x").exists()


def test_controls_that_sign_want_a_lab(release: Release, tmp_path: Path) -> None:
    async def main() -> None:
        await prepare_controls(release.target, CONTROLS, into=tmp_path / "x")

    with pytest.raises(UsageError, match="C1, C2, P1-other"):
        release.lab.call(anyio.run, main)
