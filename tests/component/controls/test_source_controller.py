"""The controller itself: that it says what its verification code says, and that no outage of it is a refusal."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from dhallmark.control import Control, Group
from dhallmark.controls.case import MUTANT, write_index
from dhallmark.controls.catalogue import CONTROLS
from dhallmark.controls.consumers import flux_answers, make_consumer
from dhallmark.controls.consumers.dialect import (
    CONTROLLERS,
    DHALLMARK,
    FLUX_1_8,
    FLUX_1_9,
    SOURCE_CONTROLLER_1_8,
    SOURCE_CONTROLLER_1_9,
)
from dhallmark.controls.forge import Original
from dhallmark.controls.inside import AFTER, ASKED, BEFORE
from dhallmark.controls.isolation import Judgement, isolation
from dhallmark.controls.prepare import write_case
from dhallmark.controls.report import Finding, Status
from dhallmark.controls.run import run_controls
from dhallmark.reasons import Reason
from dhallmark.verdict import Outcome

pytestmark = pytest.mark.component

CHOSEN = (
    *("S0", "S1", "S2-served"),
    *("C1", "C10-after"),
    *("T1-digest", "T7-missing"),
    *("P3-alone", "P4"),
    *("R1", "R5-beside", "R9-401", "R9-404-legacy-500"),
)
"""Of each group some: what must be accepted, what is a hole, what a registry does wrong."""
OLDER = ("S0", "C7-retired", "R9-401")
"""For 1.8, whose deployment has the trust root, of which one mutant needs another."""
ASKED_OF = {(FLUX_1_9, SOURCE_CONTROLLER_1_9): CHOSEN, (FLUX_1_8, SOURCE_CONTROLLER_1_8): OLDER}
SIGNED = "S1"
MakeController = Callable[[str], str]


@pytest.fixture(scope="module")
def prepared(make_original: Callable[..., Original], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, original = tmp_path_factory.mktemp("cases"), make_original()

    async def main() -> None:
        for control in chosen(*CHOSEN, *OLDER):
            reference = f"{original.name}@{original.digest}"
            await write_case(control, original, folder / control.id, reference=reference)

    anyio.run(main)
    write_index(folder, [control.id for control in chosen(*CHOSEN, *OLDER)], made=datetime.now(UTC))
    return folder


def chosen(*ids: str) -> list[Control]:
    return [control for control in CONTROLS if control.id in ids]


@pytest.fixture(scope="module")
def findings(prepared: Path) -> Mapping[tuple[str, str], Finding]:
    """By control and consumer."""

    async def main() -> Sequence[Finding]:
        reports = [
            await run_controls(prepared, controls=chosen(*ids), consumers=consumers)
            for consumers, ids in ASKED_OF.items()
        ]
        return [finding for report in reports for finding in report.findings]

    return {(finding.case.id, finding.consumer): finding for finding in anyio.run(main)}


def test_each_group_of_controls_on_artifacts_is_asked_and_both_verdicts_are_among_them() -> None:
    controls = chosen(*CHOSEN)
    assert {control.id for control in controls} == set(CHOSEN)
    assert {control.group for control in controls} == set(Group) - {Group.GITOPS, Group.CHART}
    assert {control.expect[DHALLMARK].outcome for control in controls} == set(Outcome)
    assert {control.id for control in chosen(*OLDER)} == set(OLDER)


@pytest.mark.parametrize(
    ("control", "code", "controller"),
    [(control, code, controller) for (code, controller), ids in ASKED_OF.items() for control in ids],
)
def test_the_controller_says_what_its_verification_code_says(
    findings: Mapping[tuple[str, str], Finding], control: str, code: str, controller: str
) -> None:
    said, seen = findings[control, code], findings[control, controller]
    for when in ASKED:
        one, other = getattr(said, when), getattr(seen, when)
        assert (other.outcome, other.reason) == (one.outcome, one.reason), f"{when}: {one.words}\n{other.words}"
    assert seen.status in (Status.PASSED, Status.HOLE), seen.explanation


@pytest.mark.parametrize("controller", CONTROLLERS)
def test_answers_are_read_of_the_versions_that_run_here(controller: str) -> None:
    assert make_consumer(controller).version.partition(" ")[0] in flux_answers.PINNED


@pytest.fixture
def controller(tmp_path: Path) -> MakeController:
    """Makes a script that stands for a controller; gives the choice of it as a consumer."""

    def make(text: str) -> str:
        program = tmp_path / "programs" / "source-controller"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
        return f"{SOURCE_CONTROLLER_1_9}={program}"

    return make


def judge(prepared: Path, choice: str) -> Judgement:
    async def main() -> Judgement:
        async with isolation([choice]) as place:
            return await place.judge(prepared / SIGNED, choice)

    return anyio.run(main)


def reasons(judgement: Judgement) -> dict[str, Any]:
    return {when: judgement.answers[when]["reason"] for when in ASKED if when in judgement.answers}


DIES_AFTER_THE_FIRST = """
for option in "$@"; do case $option in --storage-path=*) storage=${{option#*=}};; esac; done
{program} "$@" & pid=$!
while [ -z "$(find $storage -name '*.tar.gz' -o -name '*.tgz' -o -name '*.bin')" ]; do sleep 0.1; done
sleep 1
kill -KILL $pid
"""
"""Once it has stored an artifact, and had the time to say so."""


def test_a_controller_that_ends_refuses_nothing_from_then_on(prepared: Path, controller: MakeController) -> None:
    program = str(shutil.which("source-controller"))
    judgement = judge(prepared, controller(DIES_AFTER_THE_FIRST.format(program=program)))
    found = reasons(judgement)
    # It ends while it is asked about the mutant, or just after.
    assert found[BEFORE] is None
    assert found[MUTANT] in (Reason.SIGNATURE_NONE.value, Reason.CONSUMER_UNAVAILABLE.value)
    assert found[AFTER] == Reason.CONSUMER_UNAVAILABLE.value
    assert "ended by itself" in judgement.answers[AFTER]["words"]


def test_a_controller_that_does_not_start_refuses_nothing(prepared: Path, controller: MakeController) -> None:
    judgement = judge(prepared, controller("echo no cluster here >&2; exit 1"))
    assert reasons(judgement) == dict.fromkeys(ASKED, Reason.CONSUMER_UNAVAILABLE.value)
    assert "no cluster here" in judgement.answers[BEFORE]["words"]


@pytest.mark.parametrize("server", ["kube-apiserver", "etcd"])
def test_a_server_that_does_not_start_refuses_nothing(
    prepared: Path, controller: MakeController, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: str
) -> None:
    choice = controller("exit 1")
    broken = tmp_path / "programs" / server
    broken.write_text("#!/bin/sh\necho out of order >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{broken.parent}{os.pathsep}{os.environ['PATH']}")
    judgement = judge(prepared, choice)
    assert reasons(judgement) == {}
    assert judgement.reason is Reason.CONSUMER_UNAVAILABLE
    assert "the API server does not become ready" in judgement.detail
