"""The mutation gate: with any one check of the verifier switched off, a control turns red; no reason is without one.

A check is a step of a `Run` with a name of its own. Switched off, it passes whatever it finds. Only controls in which
it found something can change, so only those are judged again.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

import dhallmark
from dhallmark.config.load import load_policy
from dhallmark.control import Control, Group, Kind
from dhallmark.controls.case import GOOD, MUTANT, Case, Side
from dhallmark.controls.catalogue import CONTROLS
from dhallmark.controls.consumers.dialect import DHALLMARK
from dhallmark.controls.consumers.files import examine_files
from dhallmark.controls.forge import Original
from dhallmark.controls.prepare import write_case
from dhallmark.digest import Digest
from dhallmark.errors import ConfigError
from dhallmark.identity import SubjectKind
from dhallmark.oci.store import LayoutStore
from dhallmark.reasons import Reason
from dhallmark.verdict import Check, Outcome, Verdict
from dhallmark.verify.artifact import examine
from dhallmark.verify.refusal import Refusal
from dhallmark.verify.run import Run
from dhallmark.verify.trust import TrustRoot

ROOT = Path(__file__).parents[3]
VERIFIER = Path(str(dhallmark.__file__)).parent / "verify"

ELSEWHERE: Mapping[str, str] = {
    # Before the first signature
    "artifact.archive": "test_unsigned.py::test_an_archive_that_changed_or_is_gone_is_not_signed",
    "provenance.files": "test_unsigned.py::test_what_the_policy_would_refuse_is_not_signed",
    "statement.read": "test_unsigned.py::test_what_the_policy_would_refuse_is_not_signed",
    "step.record": "layouts/test_unsigned.py::test_refuses",
    # What would take long to forge
    "layout.chain": "layouts/test_judge.py::test_gives_up_where_signers_flood_a_step",
    # What callers of the library say, and no file of a case
    "message.digest": "test_rules.py::test_a_bare_signature_may_be_demanded",
    "policy.version": "test_rules.py::test_policy_and_trust_root_that_no_longer_stand_refuse_everything",
    "trust": "test_formats.py::test_a_certificate_is_never_replaced_by_a_key",
}
"""Checks that no case can reach, each with the test below tests/unit/verify that must turn red without it."""
TESTED: Mapping[Reason, str] = {
    # About a machine, a program or a run, not about what was made
    Reason.CHECK_LOST: "tests/unit/verify/test_batch.py",
    Reason.CONSUMER_LIMIT: "tests/component/controls/test_isolation.py",
    Reason.CONSUMER_UNREADABLE: "tests/unit/controls/consumers/test_cosign_answers.py",
    Reason.CONTROL_FAILED: "tests/unit/controls/test_report.py",
    Reason.CONTROL_UNANSWERED: "tests/unit/controls/test_report.py",
    Reason.FILE_UNREADABLE: "tests/unit/verify/test_files.py",
    Reason.ISOLATION_UNAVAILABLE: "tests/component/controls/test_isolation.py",
    # What callers of the library say, and no file of a case
    Reason.ARTIFACT_PLATFORM: "tests/unit/verify/test_platform.py",
    Reason.POLICY_ROLLBACK: "tests/component/verify/test_policy.py",
    Reason.TRUST_ROOT_MISSING: "tests/unit/verify/test_formats.py",
    # A time in the future is refused before its age is asked for
    Reason.FRESHNESS_FUTURE: "tests/unit/verify/test_rules.py",
    # What only a proof, a look at a cluster, or a rebuild can say
    Reason.MANIFEST_CHANGED: "tests/component/prove/test_cluster.py",
    Reason.MANIFEST_REFUSED: "tests/component/prove/test_cluster.py",
    Reason.MANIFEST_TRUST_ROOT: "tests/component/prove/test_prove.py",
    Reason.MANIFEST_UNKNOWN_FIELD: "tests/component/prove/test_prove.py",
    Reason.MANIFEST_UNVERIFIED: "tests/component/prove/test_prove.py",
    Reason.CONTROLLER_SERVED: "tests/unit/prove/test_conditions.py",
    Reason.CONTROLLER_VERDICT: "tests/unit/prove/test_conditions.py",
    Reason.PROMOTION_PROOF: "tests/component/prove/test_promotion.py",
    Reason.CLUSTER_UNAVAILABLE: "tests/component/prove/test_status.py",
    Reason.LIVE_ARTIFACT: "tests/component/prove/test_status.py",
    Reason.LIVE_CONTROLLER: "tests/component/prove/test_status.py",
    Reason.LIVE_DIFFERS: "tests/component/prove/test_status.py",
    Reason.LIVE_MISSING: "tests/component/prove/test_status.py",
    Reason.LIVE_NOT_IN_FORCE: "tests/component/prove/test_status.py",
    Reason.LIVE_REFUSED: "tests/component/prove/test_status.py",
    Reason.LIVE_SECOND_SOURCE: "tests/component/prove/test_status.py",
    Reason.IMAGE_MISMATCH: "tests/component/audit/test_made.py",
    Reason.IMAGE_UNAVAILABLE: "tests/component/audit/test_audit.py",
    Reason.MATERIAL_MISMATCH: "tests/component/audit/test_audit.py",
    Reason.MATERIAL_MISSING: "tests/component/audit/test_audit.py",
    Reason.REBUILD_FILE: "tests/component/audit/test_audit.py",
    Reason.REBUILD_NETWORK: "tests/component/audit/test_audit.py",
    Reason.REBUILD_NOT_EQUAL: "tests/component/audit/test_audit.py",
    Reason.REBUILD_OBJECT: "tests/component/audit/test_audit.py",
    Reason.TOOL_UNAVAILABLE: "tests/component/audit/test_audit.py",
    Reason.TOOL_VERSION: "tests/component/audit/test_audit.py",
}
"""Reasons that no control can give, each with a test that asks for it."""
_LAX_RUN = """\
import sys
import pytest
from dhallmark.verdict import Check
from dhallmark.verify.refusal import Refusal
from dhallmark.verify.run import Run

step = Run.step

def lax(self, called, action, **more):
    if called != sys.argv[1]:
        return step(self, called, action, **more)
    try:
        value = action()
    except Refusal:
        value = None
    self.checks.append(Check(name=called))
    return value

Run.step = lax
sys.exit(pytest.main(["-q", "-x", "-p", "no:cacheprovider", sys.argv[2]]))
"""


def judged_here(control: Control) -> bool:
    """Whether the verifier alone decides: not a registry's faults, a tag, or a Dhall program."""
    return not control.faults and not control.by_tag and control.kind is not Kind.PROJECT


def prepare(original: Original, folder: Path, controls: Sequence[Control]) -> Path:
    """Write the cases of `controls`, of one release."""

    async def main() -> None:
        for control in controls:
            await write_case(control, original, folder / control.id, reference=f"{original.name}@{original.digest}")

    anyio.run(main)
    return folder


@pytest.fixture(scope="module")
def prepared(make_original: Callable[..., Original], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(make_original(), tmp_path_factory.mktemp("cases"), [*filter(judged_here, CONTROLS)])


async def verify(case: Case, side: Side, digest: str | None) -> Verdict:
    if case.kind is not Kind.ARTIFACT:
        return await examine_files(case.kind, side)
    try:
        policy = load_policy(side.policy)
    except ConfigError as error:
        check = Check(name="policy", reason=Reason.POLICY_INVALID, detail=str(error))
        return Verdict.of(case.subject_name, checks=[check])
    return await examine(
        LayoutStore.open(side.artifact),
        case.subject_name,
        Digest(digest or ""),
        name=case.subject_name,
        policy=policy,
        trust=TrustRoot.load(side.trusted_root),
    )


def answer(folder: Path, name: str) -> Verdict:
    """What the verifier says of one side of a case."""
    case = Case.read(folder)
    return anyio.run(verify, case, Side(folder / name), case.mutant if name == MUTANT else case.good)


def is_as_it_must_be(control: Control, verdict: Verdict) -> bool:
    expected = control.expect[DHALLMARK]
    return (verdict.outcome, verdict.reason) == (expected.outcome, expected.reason)


@pytest.fixture(scope="module")
def answers(prepared: Path) -> Mapping[str, Verdict]:
    """What the whole verifier says of every mutant."""
    return {control.id: answer(prepared / control.id, MUTANT) for control in CONTROLS if judged_here(control)}


@pytest.mark.parametrize("control", [*filter(judged_here, CONTROLS)], ids=lambda control: control.id)
def test_a_mutant_is_refused_for_its_reason_and_its_twin_accepted(
    control: Control, prepared: Path, answers: Mapping[str, Verdict]
) -> None:
    case = Case.read(prepared / control.id)
    assert not case.not_applicable
    assert is_as_it_must_be(control, answers[control.id]), answers[control.id].summary()
    twin = answer(prepared / control.id, GOOD)
    assert twin.outcome is Outcome.ACCEPTED, twin.summary()


def judge_all(folder: Path, controls: Sequence[Control]) -> Mapping[str, str]:
    """Judge both sides of each; those that could not be made, and why."""
    skipped = {}
    for control in controls:
        case = Case.read(folder / control.id)
        if case.not_applicable:
            skipped[control.id] = case.not_applicable
            continue
        verdict = answer(folder / control.id, MUTANT)
        assert is_as_it_must_be(control, verdict), (control.id, verdict.summary())
        assert answer(folder / control.id, GOOD).outcome is Outcome.ACCEPTED
    return skipped


def families(ids: Iterable[str]) -> set[str]:
    return {name.partition("-")[0] for name in ids}


def test_a_release_that_only_cosign_signed_has_its_controls_and_is_told_of_the_others(
    make_original: Callable[..., Original], tmp_path: Path
) -> None:
    chosen = [*filter(judged_here, CONTROLS)]
    skipped = judge_all(prepare(make_original(small=True), tmp_path, chosen), chosen)
    assert skipped["P1-absent"] == "the release has no statement of type https://slsa.dev/provenance/v1"
    assert skipped["P18-link"] == "the release has no statement of type https://in-toto.io/attestation/link/v0.3"
    assert families(skipped) <= {"P1", "P13", "P16", "P18", "P22", "C15", "G6", "G7", "P20", "R3"}


def test_an_image_index_that_others_published_has_its_controls(
    make_original: Callable[..., Original], tmp_path: Path
) -> None:
    """Of several platforms, one in an index of its own, with more than one layer; the index is what is signed."""
    chosen = [*filter(judged_here, CONTROLS)]
    skipped = judge_all(prepare(make_original(small=True, index=True), tmp_path, chosen), chosen)
    assert skipped["H1-parent"] == "the artifact is not a manifest with one layer"
    assert families(skipped) <= {"P1", "P13", "P16", "P18", "P22", "C15", "G6", "G7", "P20", "R3", "H1"}
    assert not {"S2-repacked", "S2-served", "S6", "R4-index", "P23-signer"} & skipped.keys()


def test_an_artifact_that_only_cosign_2_signed_has_controls_of_that_and_is_told_of_the_others(
    make_original: Callable[..., Original], tmp_path: Path
) -> None:
    chosen = [*filter(judged_here, CONTROLS)]
    skipped = judge_all(prepare(make_original(small=True, legacy=True), tmp_path, chosen), chosen)
    assert not {"S1", "S2-repacked", "S2-served", "S6", "P17-policy", "T10-stale"} & skipped.keys()
    assert skipped["C1"] == "no certificate of an identity of the policy signed a statement about the artifact"


@pytest.mark.parametrize(
    ("kind", "subject", "missing"),
    [
        (SubjectKind.URI, "https://gitlab.test/acme/platform//.gitlab-ci.yml@refs/heads/main", set()),
        (SubjectKind.EMAIL, "release@acme.test", {"C11"}),
        (SubjectKind.OTHER, "release!acme.test", {"C11"}),
    ],
)
def test_whoever_signed_the_release_has_near_misses(
    make_original: Callable[..., Original], tmp_path: Path, kind: SubjectKind, subject: str, missing: set[str]
) -> None:
    chosen = [control for control in CONTROLS if control.group is Group.CERTIFICATE]
    original = make_original(small=True, kind=kind, subject=subject)
    skipped = judge_all(prepare(original, tmp_path, chosen), chosen)
    # Its certificate names neither a repository nor a commit.
    assert families(skipped) == {"C10", "C15", "C18"} | missing
    assert not {"C10-after", "C10-before", "C18-fork"} & skipped.keys()


def run_elsewhere(off: str, test: str) -> int:
    """How a run of `test` ends with the check `off` switched off."""
    command = [sys.executable, "-c", _LAX_RUN, off, str(ROOT / "tests" / "unit" / "verify" / test)]
    environment = {**os.environ, "PYTHONPATH": str(VERIFIER.parents[1])}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert "passed" in done.stdout or "failed" in done.stdout, done.stdout + done.stderr
    return done.returncode


def everything(verdict: Verdict) -> Iterator[Check]:
    """Every check of a verdict, those on what counts for nothing among them."""
    yield from verdict.checks
    for part in (*verdict.parts, *verdict.ignored):
        yield from everything(part)


def literal_names() -> Iterator[str]:
    """The name of every step in the verifier's source."""
    for path in sorted(VERIFIER.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "step":
                name = node.args[0]
                if isinstance(name, ast.Constant):
                    yield str(name.value)
                elif ast.unparse(name) == "f'rules.{test.side}'":
                    yield from ("rules.materials", "rules.products")
                else:
                    raise AssertionError(f"{path}: a step with a name that the gate does not know")


@contextmanager
def switched_off(name: str) -> Iterator[None]:
    """The step `name` passes, whatever it finds."""
    step = Run.step

    def lax(self: Run, called: str, action: Callable[[], Any], **more: Any) -> Any:  # noqa: ANN401
        if called != name:
            return step(self, called, action, **more)
        try:
            value = action()
        except Refusal:
            value = None
        self.checks.append(Check(name=called))
        return value

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "step", lax)
        yield


@pytest.mark.parametrize("name", sorted(set(literal_names())))
def test_a_check_that_is_switched_off_turns_a_control_red(
    name: str, prepared: Path, answers: Mapping[str, Verdict]
) -> None:
    reached = [
        control
        for control in CONTROLS
        if control.id in answers
        and any(check.name == name and check.reason is not None for check in everything(answers[control.id]))
    ]
    if name in ELSEWHERE:
        assert not reached
        assert run_elsewhere("nothing", ELSEWHERE[name]) == pytest.ExitCode.OK
        assert run_elsewhere(name, ELSEWHERE[name]) == pytest.ExitCode.TESTS_FAILED
        return
    with switched_off(name):
        red = (c for c in reached if not is_as_it_must_be(c, answer(prepared / c.id, MUTANT)))
        assert next(red, None) is not None, f"no control misses {name}; it found something in {[c.id for c in reached]}"


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_control_or_a_test(reason: Reason) -> None:
    asked = {expected.reason for control in CONTROLS for expected in control.expect.values()}
    if reason in asked:
        assert reason not in TESTED
        return
    assert reason in TESTED, f"no control asks for {reason.value}"
    text = (ROOT / TESTED[reason]).read_text()
    assert f"Reason.{reason.name}" in text or f'"{reason.value}"' in text
