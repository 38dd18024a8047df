"""Proving manifests as a Dagger function, and looking at a cluster: the same commands, in containers."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import dagger
import pytest
from dagger import dag

from dhallmark.module import Dhallmark, Lab, Released
from dhallmark.module.gitops import ProofError

pytestmark = [pytest.mark.dagger, pytest.mark.anyio]

PROGRAMS = ("kube-apiserver", "etcd", "registry", "flux-verify-1.9", "cosign", "helm")
ISSUER = "https://token.actions.githubusercontent.com"
KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: prod
contexts: [{name: prod, context: {cluster: prod, user: ci}}]
clusters: [{name: prod, cluster: {server: "https://cluster.invalid:6443"}}]
users: [{name: ci, user: USER}]
"""


def source(repository: str, digest: str, subject: str) -> str:
    """The source of an artifact, and who must have signed it."""
    verify = {
        "provider": "cosign",
        "matchOIDCIdentity": [{"issuer": f"^{re.escape(ISSUER)}$", "subject": subject}],
        "trustedRootSecretRef": {"name": "trusted-root"},
    }
    return json.dumps(
        {
            "apiVersion": "source.toolkit.fluxcd.io/v1",
            "kind": "OCIRepository",
            "metadata": {"name": "platform", "namespace": "flux-system"},
            "spec": {
                "interval": "10m",
                "url": f"oci://{repository}",
                "insecure": True,
                "ref": {"digest": digest},
                "verify": verify,
            },
        }
    )


@pytest.fixture
async def prover(module: Dhallmark, tmp_path: Path) -> Dhallmark:
    """The module with the programs that a proof runs; its image is the one that all tests share."""
    for name in PROGRAMS:
        found = shutil.which(name)
        assert found is not None, name
        shutil.copy2(found, tmp_path / name)
    return replace(module, built_image=module.image(), tools=dag.host().directory(str(tmp_path)))


async def test_a_released_environment_is_proved_and_a_loose_matcher_is_not(
    prover: Dhallmark, lab: Lab, released: Released, project: Path
) -> None:
    artifacts = json.loads(await released.digests())["artifacts"]
    one = next(one for one in artifacts if one["kind"] == "flux")
    policy = dag.host().file(str(project / "policy.yaml"))
    workflow = r"^https://github\.com/dhallmark/example-platform/\.github/workflows/release\.yaml@refs/heads/main$"

    async def prove(subject: str) -> dagger.Directory:
        manifests = dag.directory().with_new_file("source.yaml", source(one["repository"], one["digest"], subject))
        return await prover.prove(
            manifests=manifests,
            environment=one["environment"],
            policy=policy,
            trusted_root=lab.trusted_root(),
            registry=lab.service(),
        )

    made = await prove(workflow)
    proof = json.loads(await made.file("proof.json").contents())
    assert proof["outcome"] == "accepted"
    assert [one["digest"] for one in proof["artifacts"]] == [one["digest"]]
    assert {refusal["status"] for refusal in proof["refusals"]} == {"passed"}
    assert one["digest"].removeprefix("sha256:") in await made.file("evidence/proof.json").contents()
    with pytest.raises(ProofError, match=r"control\.failed"):
        await prove("^https://github")


@pytest.mark.parametrize(
    ("user", "message"),
    [("{exec: {command: sh}}", "exec plug-in"), ("{token: a-secret-token}", r"cluster\.unavailable")],
)
async def test_a_cluster_that_cannot_be_asked_gives_no_success(module: Dhallmark, user: str, message: str) -> None:
    manifests = dag.directory().with_new_file("source.yaml", source("registry.example/web", "sha256:" + "a" * 64, "x"))
    secret = dag.set_secret("kubeconfig", KUBECONFIG.replace("USER", user))
    with pytest.raises(ProofError, match=message) as error:
        await module.status(manifests=manifests, kubeconfig=secret)
    assert "a-secret-token" not in str(error.value)
