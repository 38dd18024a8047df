"""What source-controller is asked, and that it is the one that was named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from tests.unit.kubernetes.test_buildinfo import END, START, TEXT

from dhallmark.config.policy import Policy
from dhallmark.consumer import Resident, Target, at_work
from dhallmark.control import Control
from dhallmark.controls.catalogue import CONTROLS
from dhallmark.controls.consumers import make_consumer
from dhallmark.controls.consumers.dialect import (
    CONTROLLERS,
    DIALECTS,
    FLUX_1_8,
    FLUX_1_9,
    SOURCE_CONTROLLER_1_8,
    SOURCE_CONTROLLER_1_9,
)
from dhallmark.controls.consumers.flux import flux_1_8, flux_1_9
from dhallmark.controls.consumers.source_controller import as_created, source_controller_1_8, source_controller_1_9
from dhallmark.controls.limits import Limits
from dhallmark.digest import Digest
from dhallmark.errors import ToolError
from dhallmark.reasons import Reason

PAIRS = ((FLUX_1_8, SOURCE_CONTROLLER_1_8), (FLUX_1_9, SOURCE_CONTROLLER_1_9))


def target(policy: Policy, *, configuration: Path | None = None) -> Target:
    folder = policy.origin.folder
    (folder / "trusted_root.json").write_text('{"tlogs": [], "ctlogs": []}')
    return Target(
        repository="127.0.0.1:5000/web",
        digest=Digest("sha256:" + "ab" * 32),
        trusted_root=folder / "trusted_root.json",
        policy=folder / "policy.yaml",
        plain_http=True,
        configuration=configuration,
    )


def program(folder: Path, content: bytes) -> str:
    path = folder / "source-controller"
    path.write_bytes(content)
    path.chmod(0o755)
    return str(path)


def test_the_controller_is_asked_what_its_verification_code_is(policy: Callable[..., Policy]) -> None:
    asked = target(policy())
    assert source_controller_1_8("").question(asked) == flux_1_8("").question(asked)
    assert source_controller_1_9("").question(asked) == flux_1_9("").question(asked)
    assert source_controller_1_8("").question(asked).deployed_root == asked.trusted_root.read_bytes()
    assert source_controller_1_9("").question(asked).deployed_root is None


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.id)
@pytest.mark.parametrize(("code", "controller"), PAIRS)
def test_the_same_is_expected_of_both(control: Control, code: str, controller: str) -> None:
    one, other = control.expect.get(code), control.expect.get(controller)
    assert (one is None) is (other is None)
    if one is not None and other is not None:
        assert (one.outcome, one.reason) == (other.outcome, other.reason)
        assert bool(one.out_of_scope) is bool(other.out_of_scope)


def test_a_users_source_is_created_at_work_and_under_a_name_of_ours(
    policy: Callable[..., Policy], tmp_path: Path
) -> None:
    own = tmp_path / "source.yaml"
    own.write_text(
        "apiVersion: source.toolkit.fluxcd.io/v1\nkind: OCIRepository\nmetadata: {name: web, namespace: apps}\n"
        "spec: {url: oci://elsewhere/x, interval: 5m, suspend: true, verify: {provider: cosign}}\nstatus: {}\n"
    )
    question = source_controller_1_9("").question(target(policy(), configuration=own))
    created = as_created(question, "question-0")
    assert set(created) == {"apiVersion", "kind", "metadata", "spec"}
    assert created["metadata"] == {"name": "release", "namespace": "question-0"}
    assert set(created["spec"]) == {"url", "interval", "verify", "insecure", "ref"}


def test_a_controller_says_its_version_and_what_of_it_is_not_released(tmp_path: Path) -> None:
    consumer = source_controller_1_9(program(tmp_path, b"\x7fELF" + START + TEXT + END))
    assert consumer.version == "1.9.6 (built with a stand-in for github.com/fluxcd/pkg/artifact v0.18.3)"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (SOURCE_CONTROLLER_1_8, b"\x7fELF" + START + TEXT + END, "is source-controller 1.9.6"),
        (SOURCE_CONTROLLER_1_9, None, "there is no program"),
    ],
)
def test_a_controller_that_is_not_the_one_that_was_named_is_not_asked(
    policy: Callable[..., Policy], tmp_path: Path, name: str, content: bytes | None, words: str
) -> None:
    path = program(tmp_path, content) if content is not None else str(tmp_path / "absent")
    consumer = make_consumer(f"{name}={path}")
    verdict = anyio.run(consumer.verify, target(policy()))
    assert verdict.reason is Reason.CONSUMER_UNAVAILABLE
    assert words in verdict.checks[0].detail

    async def main() -> None:
        async with at_work(consumer):
            raise AssertionError

    with pytest.raises(ToolError, match=words):
        anyio.run(main)


@pytest.mark.parametrize("name", DIALECTS)
def test_what_is_a_service_has_time_to_start_and_is_asked_where_it_is_named_alone(name: str) -> None:
    resident = isinstance(make_consumer(name), Resident)
    assert resident is (name in CONTROLLERS)
    limits = Limits().with_room_for(DIALECTS[name].needs)
    assert (limits.seconds > Limits().seconds) is resident
    assert (limits.scratch > Limits().scratch) is resident
    assert (limits.memory, limits.tasks) == (Limits().memory, Limits().tasks)
