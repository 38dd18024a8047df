"""A release from end to end, in the lab."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from dagger import QueryError, dag

from dhallmark.module import Dhallmark, Lab, Released
from dhallmark.module.job import Job

pytestmark = [pytest.mark.dagger, pytest.mark.anyio]


async def test_every_artifact_is_accepted_in_a_clean_container(released: Released) -> None:
    published = json.loads(await released.digests())
    verdicts = json.loads(await released.report())
    assert len(published["artifacts"]) == 48
    assert [verdict["outcome"] for verdict in verdicts["verdicts"]] == ["accepted"] * 48


async def test_every_control_is_refused_for_its_reason(released: Released) -> None:
    folder = released.controls()
    assert set(await folder.entries()) == {"each/", "evidence/", "report.html", "report.json", "report.junit.xml"}
    each = {name.removesuffix(".json") for name in await folder.directory("each").entries()}
    assert {name.partition("-")[0] for name in each} == {"S1", "S2", "S6", "C1", "C2", "P1"}
    report = json.loads(await folder.file("report.json").contents())
    assert {finding["control"] for finding in report["findings"]} == each
    assert {finding["status"] for finding in report["findings"] if finding["consumer"] == "dhallmark"} == {"passed"}
    assert report["counts"]["failed"] == report["counts"]["indeterminate"] == 0
    result = json.loads(await folder.file("evidence/test-result.json").contents())
    assert result["predicate"]["failedTests"] == []


async def test_the_deploy_tree_has_every_chart_with_its_attestation(released: Released, tmp_path: Path) -> None:
    await released.deploy().export(str(tmp_path / "deploy"))
    for environment in ("dev", "staging", "prod"):
        root = tmp_path / "deploy" / "environments" / environment
        assert (root / "Chart.yaml").is_file()
        assert (root / "attestation.json").is_file()
        assert len(list(root.glob("charts/*/Chart.yaml"))) == 14
        assert len(list(root.glob("charts/*/attestation.json"))) == 14


async def test_the_provenance_names_the_image_that_built_it(released: Released, module: Dhallmark) -> None:
    digest = (await module.image().file("digest").contents()).strip()
    names = await released.build().glob("statements/**/*.json")
    texts = [await released.build().file(name).contents() for name in names if "provenance" in name][:1]
    assert texts
    assert digest.removeprefix("sha256:") in texts[0]


async def test_a_moved_tag_changes_the_verdict_of_the_same_call(
    module: Dhallmark, lab: Lab, released: Released, project: Path
) -> None:
    """Verification must not be answered from the engine's cache (ADR 1, point 7)."""
    published = json.loads(await released.digests())["artifacts"]
    good = next(one for one in published if one["environment"] == "dev" and one["name"] == "catalog")
    tag = f"{good['repository']}:{good['tag']}"

    async def verify() -> str:
        return await module.verify(
            references=[tag],
            policy=dag.host().file(str(project / "policy.yaml")),
            trusted_root=lab.trusted_root(),
            plain_http=True,
            registry=lab.service(),
        )

    assert "accepted" in await verify()
    tools = await module.ci_image()
    crane = Job(container=tools, bindings=(lab.binding(),)).mounted("/opt/tools", lab.tools)
    container = crane.container.with_service_binding("lab.dhallmark.test", lab.service())
    # The engine remembers, between sessions, that it ran this command: without a nonce the tag would stay where it is.
    container = container.with_env_variable("NONCE", uuid.uuid4().hex)
    move = ["/opt/tools/crane", "mutate", "--insecure", "--annotation", "moved=yes", "--tag", tag, tag]
    await container.with_exec(move).sync()
    with pytest.raises(QueryError) as refused:
        await verify()
    assert "signature.none" in str(getattr(refused.value, "stdout", refused.value))


async def test_a_token_of_someone_else_signs_nothing(
    module: Dhallmark, lab: Lab, released: Released, project: Path, claims: Callable[[Path], dict[str, str]]
) -> None:
    stranger = {**claims(project), "repository": "stranger/platform"}
    with pytest.raises(QueryError, match="exit code: 1"):
        await module.sign(
            source=dag.host().directory(str(project)),
            build=released.build(),
            token=await lab.token(claims=[f"{name}={value}" for name, value in stranger.items()]),
            trust_config=lab.trust_config(),
            sigstore=lab.service(),
        )


async def test_the_image_is_published_with_its_signature(module: Dhallmark, lab: Lab) -> None:
    digest = (await module.image().file("digest").contents()).strip()
    said = await module.publish_image(
        to=f"{lab.registry()}/ci/dhallmark:1.0",
        token=await lab.token(),
        trust_config=lab.trust_config(),
        sigstore=lab.service(),
        plain_http=True,
    )
    assert f"{lab.registry()}/ci/dhallmark@{digest}" in said


async def test_a_release_with_the_services_and_the_token_of_someone_else(
    module: Dhallmark,
    lab: Lab,
    make_project: Callable[..., Path],
    claims: Callable[[Path], dict[str, str]],
    builder_id: str,
) -> None:
    """What a CI job calls: registry, Sigstore and token are given; a lab of its own only signs the mutants."""
    project = make_project(version="1.5.0")
    released = await module.release(
        source=dag.host().directory(str(project)),
        token=await lab.token(claims=[f"{name}={value}" for name, value in claims(project).items()]),
        builder_id=builder_id,
        trust_config=lab.trust_config(),
        trusted_root=lab.trusted_root(),
        sigstore=lab.service(),
        registry=lab.service(),
        packages=lab.service(),
        controls=["S1", "C2"],
    )
    assert {one["tag"] for one in json.loads(await released.digests())["artifacts"]} == {"1.5.0"}
    assert sorted(await released.controls().directory("each").entries()) == ["C2.json", "S1.json"]
