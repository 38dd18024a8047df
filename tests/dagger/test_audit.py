"""Audits by the module: the recorded image rebuilds, also in an engine that never saw the release."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dagger import dag

from dhallmark.module import Dhallmark, Lab, Released

pytestmark = [pytest.mark.dagger, pytest.mark.anyio]


async def test_the_recorded_image_rebuilds_and_the_auditors_own_compares(
    module: Dhallmark, lab: Lab, released: Released, project: Path
) -> None:
    published = json.loads(await released.digests())["artifacts"]
    # A plain chart, one that is templated, and all objects of an environment, some of them by Helm.
    chosen = [
        one for one in published
        if (one["environment"], one["name"])
        in {("prod", "orders"), ("prod", "mailer"), ("dev", "flux-acme-platform")}
    ]  # fmt: skip
    assert len(chosen) == 3
    folder = await module.audit(
        refs=[f"{one['repository']}@{one['digest']}" for one in chosen],
        policy=dag.host().file(str(project / "policy.yaml")),
        trusted_root=lab.trusted_root(),
        require="equal",
        plain_http=True,
        registry=lab.service(),
    )
    report = json.loads(await folder.file("audit.json").contents())
    digest = (await module.image().file("digest").contents()).strip()
    assert report["counts"]["equal"] == 3
    for audit in report["audits"]:
        assert audit["rebuild"]["image"].endswith(f"@{digest}")
        assert audit["rebuild"]["sealed"] is True
        assert audit["rebuild"]["tools"] == audit["record"]["tools"]
        assert audit["rebuild"]["tools"]["helm"].startswith("v3.")
    assert {"audit.html", "audit.junit.xml", "audit.sarif"} <= set(await folder.entries())


async def test_an_engine_with_an_empty_cache_rebuilds_the_deploy_tree_offline(
    module: Dhallmark,
    released: Released,
    project: Path,
    auditor_engine: object,
    call: Callable[..., str],
    tmp_path: Path,
) -> None:
    await module.image().export(str(tmp_path / "image"))
    await released.results().export(str(tmp_path / "release"))
    release = tmp_path / "release"
    call(
        "call",
        f"--built-image={tmp_path / 'image'}",
        "audit",
        f"--tree={release / 'deploy'}",
        f"--materials={release / 'build' / 'package'}",
        f"--policy={project / 'policy.yaml'}",
        f"--trusted-root={release / 'trusted_root.json'}",
        "--require=equal",
        "export",
        f"--path={tmp_path / 'audit'}",
        engine=auditor_engine,
    )
    report: dict[str, Any] = json.loads((tmp_path / "audit" / "audit.json").read_text())
    # 14 charts and the umbrella of each of three environments.
    assert report["counts"] == {"equal": 45, "equivalent": 0, "different": 0, "unknown": 0}
