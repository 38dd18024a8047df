"""Controls as a Dagger function: each in a container of its own, one report in the end; and engines that refuse."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from dagger import QueryError, dag
from dagger._exceptions import QueryErrorValue
from gql import GraphQLRequest

from dhallmark.module import Dhallmark, Lab, Released, proof
from dhallmark.module.job import Job
from dhallmark.module.proof import ControlError

pytestmark = [pytest.mark.dagger, pytest.mark.anyio]

CONTROLLER = ("source-controller", "kube-apiserver", "etcd", "registry")
"""The programs that it takes to ask the controller itself."""


async def published(released: Released) -> str:
    """One artifact of the release, where consumers read it."""
    one = json.loads(await released.digests())["artifacts"][0]
    return f"{one['repository']}@{one['digest']}"


async def test_what_was_published_is_judged_behind_registries_that_fail(
    module: Dhallmark, lab: Lab, released: Released, project: Path
) -> None:
    folder = await module.controls(
        reference=await published(released),
        policy=dag.host().file(str(project / "policy.yaml")),
        trusted_root=lab.trusted_root(),
        only=["S2-served", "R9-401", "R9-404"],
        consumers=["dhallmark", "cosign"],
        plain_http=True,
        registry=lab.service(),
    )
    report = json.loads(await folder.file("report.json").contents())
    found = {(finding["control"], finding["consumer"]): finding for finding in report["findings"]}
    assert {name: finding["status"] for (name, consumer), finding in found.items() if consumer == "dhallmark"} == {
        "S2-served": "passed",
        "R9-401": "passed",
        "R9-404": "passed",
    }
    assert found["R9-401", "dhallmark"]["mutant"]["reason"] == "registry.unavailable"
    assert found["R9-401", "cosign"]["status"] == "out-of-scope"
    assert found["R9-401", "cosign"]["mutant"]["words"] == "no signatures found"
    assert "no signatures found" in await folder.file("report.html").contents()


async def test_a_controller_among_the_tools_is_a_consumer(
    module: Dhallmark, lab: Lab, released: Released, project: Path, tmp_path: Path
) -> None:
    for name in CONTROLLER:
        found = shutil.which(name)
        assert found is not None, name
        shutil.copy2(found, tmp_path / name)
    judging = replace(module, built_image=module.image(), tools=dag.host().directory(str(tmp_path)))
    folder = await judging.controls(
        reference=await published(released),
        policy=dag.host().file(str(project / "policy.yaml")),
        trusted_root=lab.trusted_root(),
        only=["S1"],
        consumers=["source-controller-1.9"],
        plain_http=True,
        registry=lab.service(),
    )
    (finding,) = json.loads(await folder.file("report.json").contents())["findings"]
    assert (finding["consumer"], finding["status"]) == ("source-controller-1.9", "passed")
    assert finding["version"].startswith("1.9.")
    assert finding["mutant"]["reason"] == "signature.none"


async def test_a_container_without_the_privilege_says_so_and_the_run_fails(
    module: Dhallmark, lab: Lab, released: Released, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind an engine that refuses `insecure_root_capabilities`; this one grants it, so its word is put in."""
    run = Job.run

    def refusing(self: Job, *arguments: object, privileged: bool = False, **options: object) -> object:
        if privileged:
            raise QueryError([QueryErrorValue(f"failed to solve: {proof._REFUSED}")], GraphQLRequest("{ version }"))
        return run(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Job, "run", refusing)
    with pytest.raises(ControlError) as failed:
        await module.controls(
            reference=await published(released),
            policy=dag.host().file(str(project / "policy.yaml")),
            trusted_root=lab.trusted_root(),
            only=["S1"],
            plain_http=True,
            registry=lab.service(),
        )
    assert "isolation.unavailable" in str(failed.value)
    assert "1 passed" not in str(failed.value)
