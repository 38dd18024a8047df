"""The definitions in the package are those of the controllers, whole but for their descriptions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dhallmark.gitops.lint.fields import Flux
from dhallmark.kubernetes.crds import definitions_of

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "ci" / "crds" / "definitions.py"
MODULES = Path(os.environ.get("GOMODCACHE", Path.home() / "go" / "pkg" / "mod")) / "github.com" / "fluxcd"
KINDS = {
    "Bucket",
    "ExternalArtifact",
    "GitRepository",
    "HelmChart",
    "HelmRelease",
    "HelmRepository",
    "Kustomization",
    "OCIRepository",
}
DEFINITION = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.acme.example, annotations: {a: b}}
spec:
  group: acme.example
  versions:
    - name: v1
      schema:
        openAPIV3Schema:
          description: for people
          properties:
            description: {type: string, description: for people}
            items: {type: array, items: {description: for people, type: string}}
---
kind: Deployment
"""


@pytest.mark.parametrize("flux", Flux)
def test_every_version_has_every_kind_and_says_whose_it_is(flux: Flux) -> None:
    found = definitions_of(flux)
    assert {one["spec"]["names"]["kind"] for one in found.objects} == KINDS
    assert set(found.controllers) == {"source-controller", "kustomize-controller", "helm-controller"}
    assert found.flux is flux


def test_the_versions_differ_in_the_trust_root() -> None:
    def verify(flux: Flux) -> set[str]:
        one = next(one for one in definitions_of(flux).objects if one["spec"]["names"]["kind"] == "OCIRepository")
        served = next(version for version in one["spec"]["versions"] if version["name"] == "v1")
        spec = served["schema"]["openAPIV3Schema"]["properties"]["spec"]
        return set(spec["properties"]["verify"]["properties"])

    assert verify(Flux.V2_9) - verify(Flux.V2_8) == {"trustedRootSecretRef"}


def run(*arguments: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def test_descriptions_go_and_a_field_of_that_name_stays(tmp_path: Path) -> None:
    (tmp_path / "crd.yaml").write_text(DEFINITION)
    body = run("2.9", f"thing-controller=1.0.0={tmp_path / 'crd.yaml'}")
    assert body["controllers"] == {"thing-controller": "1.0.0"}
    (one,) = body["definitions"]
    assert one["metadata"] == {"name": "things.acme.example"}
    assert one["spec"]["versions"][0]["schema"]["openAPIV3Schema"] == {
        "properties": {"description": {"type": "string"}, "items": {"type": "array", "items": {"type": "string"}}}
    }


@pytest.mark.parametrize(("flux", "version"), [(Flux.V2_8, "1.8.5"), (Flux.V2_9, "1.9.6")])
def test_sources_are_those_of_the_controllers_module(flux: Flux, version: str) -> None:
    """Where Go has fetched the module, as it does to build the tools."""
    folder = MODULES / f"source-controller@v{version}" / "config" / "crd" / "bases"
    if not folder.is_dir():
        pytest.skip(f"Go has not fetched source-controller {version}")
    assert definitions_of(flux).controllers["source-controller"] == version
    files = [f"source-controller={version}={path}" for path in sorted(folder.glob("*.yaml"))]
    of_module = {one["metadata"]["name"]: one for one in run(flux.value, *files)["definitions"]}
    packaged = {one["metadata"]["name"]: one for one in definitions_of(flux).objects}
    assert of_module
    assert {name: packaged[name] for name in of_module} == of_module
