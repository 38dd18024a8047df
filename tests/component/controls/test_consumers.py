"""The other consumers, alive, about every control of the catalogue that a sound registry can show them.

Not isolated, and at one registry for all: what a judgement holds out against is tested beside. What they say to a
registry that fails is stated with those controls.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import anyio
import pytest
from tests.component.ports import free_port

from dhallmark.consumer import Target
from dhallmark.control import Control, Group, Kind
from dhallmark.controls.case import GOOD, MUTANT, Case, Side, write_index
from dhallmark.controls.catalogue import CONTROLS
from dhallmark.controls.catalogue.expected import OTHERS
from dhallmark.controls.consumers import cosign_answers, flux_answers, kyverno_answers, make_consumer
from dhallmark.controls.consumers import sigstore_python_answers as sigstore_python
from dhallmark.controls.consumers.dialect import (
    CONTROLLERS,
    COSIGN,
    COSIGN_2,
    COSIGN_ATTESTATION,
    FLUX_1_8,
    FLUX_1_9,
    KYVERNO,
)
from dhallmark.controls.consumers.flux import as_json, flux_1_9
from dhallmark.controls.consumers.program import Done, run_program
from dhallmark.controls.forge import Original
from dhallmark.controls.layout import Layout
from dhallmark.controls.prepare import write_case
from dhallmark.controls.registry import false_blobs, fill, link_blobs, start_registry
from dhallmark.controls.report import Status
from dhallmark.controls.run import run_controls
from dhallmark.digest import Digest
from dhallmark.oci.concurrently import concurrently
from dhallmark.verdict import Outcome, Verdict

pytestmark = pytest.mark.component

AT_ONCE = 4
LIKE = {COSIGN_2: COSIGN, COSIGN_ATTESTATION: COSIGN, FLUX_1_8: FLUX_1_9, KYVERNO: COSIGN_ATTESTATION}
"""Consumers that share code with another: they are asked where they must say something else, and about these few:"""
FEW = ("S1", "S8", "S14-kind", "C1", "C2", "C17-missing", "T1-digest", "T3-signature", "T7-missing", "P1-absent", "P4")
ISOLATED = "S2-served"
SERVED = tuple(name for name in OTHERS if name not in CONTROLLERS)
"""Those that can be asked several things at once on one machine: a controller has an API server at fixed ports."""


@dataclass(frozen=True, slots=True)
class Served:
    """Prepared cases, and the registry that has both sides of each."""

    cases: Path
    host: str

    def target(self, control: Control, side: str) -> Target:
        case = Case.read(self.cases / control.id)
        files = Side(self.cases / control.id / side)
        return Target(
            repository=f"{self.host}/{control.id.lower()}-{side}",
            digest=Digest((case.mutant if side == MUTANT else case.good) or ""),
            trusted_root=files.trusted_root,
            policy=files.policy,
            subject_name=case.subject_name,
            plain_http=True,
        )

    async def ask(self, control: Control, side: str, consumer: str) -> Verdict:
        return await make_consumer(consumer).verify(self.target(control, side))


def shown_here(control: Control) -> bool:
    return control.kind is Kind.ARTIFACT and control.group is not Group.REGISTRY and control.id != ISOLATED


def is_asked(control: Control, consumer: str) -> bool:
    if not shown_here(control) or consumer not in control.expect:
        return False
    like = control.expect.get(LIKE.get(consumer, ""))
    expected = control.expect[consumer]
    return like is None or control.id in FEW or (like.outcome, like.reason) != (expected.outcome, expected.reason)


@pytest.fixture(scope="module")
def prepared(make_original: Callable[..., Original], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, original = tmp_path_factory.mktemp("cases"), make_original()

    async def main() -> None:
        for control in CONTROLS:
            if shown_here(control) or control.id == ISOLATED:
                reference = f"{original.name}@{original.digest}"
                await write_case(control, original, folder / control.id, reference=reference)

    anyio.run(main)
    return folder


@pytest.fixture(scope="module")
def served(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    layouts = {
        f"{control.id.lower()}-{side}": Side(prepared / control.id / side).artifact
        for control in CONTROLS
        if shown_here(control)
        for side in (GOOD, MUTANT)
    }
    blobs = tmp_path_factory.mktemp("registry") / "blobs"
    link_blobs(blobs, layouts)
    port = free_port()
    registry = start_registry(port, blobs, user=None)
    try:
        for name, path in layouts.items():
            layout = Layout.read(path)
            assert not false_blobs(layout), name
            fill(port, name, layout, tagged=Digest(next(iter(layout.manifests))))
        yield Served(prepared, f"127.0.0.1:{port}")
    finally:
        registry.kill()
        registry.wait()


@pytest.mark.parametrize("consumer", SERVED)
def test_a_consumer_says_what_the_catalogue_has_of_it(served: Served, consumer: str) -> None:
    """And accepts the good side, wherever it is not the release as it was."""
    asked = [control for control in CONTROLS if is_asked(control, consumer)]
    sides = [(control, MUTANT) for control in asked] + [
        (control, GOOD) for control in asked if control.good is not None or control.id == "S1"
    ]

    async def main() -> Sequence[Verdict]:
        work = [partial(served.ask, control, side, consumer) for control, side in sides]
        return await concurrently(work, limit=AT_ONCE)

    wrong = []
    for (control, side), verdict in zip(sides, anyio.run(main), strict=True):
        expected = control.expect[consumer]
        wanted = (expected.outcome, expected.reason) if side == MUTANT else (Outcome.ACCEPTED, None)
        if (verdict.outcome, verdict.reason) != wanted:
            words = next((check.detail for check in verdict.walk() if check.reason is verdict.reason), "")
            wrong.append(f"{control.id} {side}: must be {wanted}, was {verdict.outcome}({verdict.reason}): {words}")
    assert not wrong, "\n".join(wrong)
    assert len(asked) >= (len(FEW) if consumer in LIKE else 100)


def sentences(message: str) -> list[str]:
    """What a message says, in an order that does not hang on which bundle was done first."""
    return sorted(message.replace("no matching attestations: ", "\n").split("\n"))


@pytest.mark.parametrize("control", [one for one in CONTROLS if one.id in ("S0", *FEW)], ids=lambda one: one.id)
def test_the_harness_for_flux_writes_what_the_controllers_own_reconciler_writes(
    served: Served, tmp_path: Path, control: Control
) -> None:
    question = as_json(flux_1_9("").question(served.target(control, MUTANT)))

    async def main() -> tuple[Done, Done]:
        return (
            await run_program("flux-verify-1.9", (), home=tmp_path, stdin=question),
            await run_program("flux-reconcile", (), home=tmp_path, stdin=question),
        )

    harness, controller = anyio.run(main)
    said, status = json.loads(harness.stdout), json.loads(controller.stdout)
    conditions = {condition["type"]: condition for condition in status["conditions"]}
    assert (conditions["Ready"]["status"] == "True") is said["ready"]
    assert (conditions.get("SourceVerified", {}).get("status") == "True") is said["verified"]
    if not said["ready"]:
        failed = conditions[said["condition"]]
        assert failed["reason"] == said["reason"] == conditions["Ready"]["reason"]
        assert sentences(failed["message"]) == sentences(said["message"])
    assert ("artifact" in status) is said["ready"]


def test_a_judgement_in_isolation_can_be_any_consumers(prepared: Path) -> None:
    """About what a registry keeps only with a proxy before it: Flux alone reads the layer."""
    chosen = [one for one in CONTROLS if one.id == ISOLATED]
    write_index(prepared, [ISOLATED], made=datetime.now(UTC))

    async def main() -> Sequence[tuple[str, Status, str]]:
        report = await run_controls(prepared, controls=chosen, consumers=SERVED)
        return [(finding.consumer, finding.status, finding.explanation) for finding in report.findings]

    found = anyio.run(main)
    assert {name for name, _, _ in found} == set(SERVED)
    assert [one for one in found if one[1] not in (Status.PASSED, Status.HOLE)] == []


@pytest.mark.parametrize(
    ("consumer", "pinned"),
    [
        ("cosign", cosign_answers.PINNED),
        ("cosign2", cosign_answers.PINNED),
        ("flux-1.8", flux_answers.PINNED),
        ("flux-1.9", flux_answers.PINNED),
        ("kyverno", (kyverno_answers.PINNED,)),
        ("sigstore-python", (sigstore_python.PINNED,)),
    ],
)
def test_answers_are_read_of_the_versions_that_run_here(consumer: str, pinned: tuple[str, ...]) -> None:
    assert make_consumer(consumer).version in pinned
