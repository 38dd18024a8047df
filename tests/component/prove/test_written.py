"""What `dhallmark gitops write` writes, at a real API server: nothing is unknown, nothing is dropped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.unit.gitops.write.conftest import deploy, make_checks, policy

from dhallmark.gitops.lint import model
from dhallmark.gitops.lint.fields import Flux
from dhallmark.gitops.write.write import plan_consumers
from dhallmark.prove.cluster import ask
from dhallmark.prove.manifests import read_manifests

__all__ = ["deploy", "make_checks", "policy"]

pytestmark = pytest.mark.component


@pytest.mark.parametrize(("consumer", "kind"), [("flux", "Kustomization"), ("flux-helm", "HelmRelease")])
def test_every_object_for_flux_is_stored_as_it_was_written(
    make_checks: Callable[..., Any], deploy: Path, consumer: str, kind: str
) -> None:
    checks = [make_checks(consumer, environment=environment) for environment in ("dev", "prod")]
    plan_consumers(checks, deploy).apply(deploy)
    found = read_manifests([deploy / "consumers"])
    assert {"OCIRepository", "Secret", kind} <= {one.kind for one in found.objects}

    async def main() -> list[dict[str, Any]]:
        objects = [one.body for one in found.objects]
        return list((await ask("apply", {"objects": objects}, flux=Flux.V2_9, definitions=()))["applied"])

    applied = anyio.run(main)
    wrong = [
        (one.subject, check)
        for one, result in zip(found.objects, applied, strict=True)
        for check in result["checks"]
        if check["reason"]
    ]
    assert wrong == []
    for one, result in zip(found.objects, applied, strict=True):
        if one.is_a(model.FLUX_SOURCE, "OCIRepository"):
            assert result["stored"]["spec"]["verify"] == one.body["spec"]["verify"]
