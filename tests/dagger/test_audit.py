"""Audits by the module: the recorded image rebuilds, and the auditor's own compares.

That engines which never saw a release do the same is tested in test_engines.py.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from dagger import dag
from tests.component.audit.images import write_image

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
        # Another user than the root that built it, on one processor.
        assert (audit["rebuild"]["conditions"]["user"], audit["rebuild"]["conditions"]["cpus"]) == ("61184", "1")
        assert audit["rebuild"]["tools"] == audit["record"]["tools"]
        assert audit["rebuild"]["tools"]["helm"].startswith("v3.")
    assert {"audit.html", "audit.junit.xml", "audit.sarif"} <= set(await folder.entries())


async def test_an_image_that_was_given_and_is_not_the_recorded_one_is_never_run(
    module: Dhallmark, lab: Lab, released: Released, project: Path, tmp_path: Path
) -> None:
    one = json.loads(await released.digests())["artifacts"][0]
    other = write_image(tmp_path / "image")
    folder = await module.audit(
        refs=[f"{one['repository']}@{one['digest']}"],
        policy=dag.host().file(str(project / "policy.yaml")),
        trusted_root=lab.trusted_root(),
        images=dag.host().directory(str(tmp_path / "image")),
        accept_any=True,
        plain_http=True,
        registry=lab.service(),
    )
    report = json.loads(await folder.file("audit.json").contents())
    (audit,) = report["audits"]
    verdict = audit["verdict"]
    assert (audit["sameness"], verdict["outcome"], verdict["reason"]) == ("unknown", "indeterminate", "image.mismatch")
    (check,) = [check for check in verdict["checks"] if check.get("reason") == "image.mismatch"]
    assert other in check["evidence"]["found"]
    assert check["evidence"]["expected"] == (await module.image().file("digest").contents()).strip()
