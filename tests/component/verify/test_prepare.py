"""Preparing controls: from an artifact in a registry of either kind, with whatever strangers have attached to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from dhallmark.controls.catalogue import select
from dhallmark.controls.prepare import prepare_controls
from dhallmark.controls.report import Report, Status
from dhallmark.controls.run import run_controls
from dhallmark.errors import VerdictError
from dhallmark.oci.client import Registry
from dhallmark.reasons import Reason

if TYPE_CHECKING:
    from tests.component.verify.conftest import Release

pytestmark = pytest.mark.component


def judge(prepared: Path, *ids: str) -> Report:
    async def main() -> Report:
        return await run_controls(prepared, controls=select(only=ids), consumers=("dhallmark",))

    return anyio.run(main)


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
        await prepare_controls(target, chosen, into=tmp_path / "visited")

    release.lab.call(anyio.run, main)
    report = judge(tmp_path / "visited", "C2", "P1")
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
