"""Policies as files, and what consumers of a published release must check."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.controls.consumers.conftest import SIGNATURE, policy

from dhallmark.config.load import parse_config
from dhallmark.config.policy import Policy
from dhallmark.gitops.write.model import Checks, Trust, checks_of
from dhallmark.publish.model import Attached, Publication, Published

__all__ = ["policy"]

IMAGE = "registry.example/dhallmark@sha256:" + "cd" * 32
CONFIG = """\
schemaVersion: 1
project: acme
version: 1.4.0
source: {repository: https://github.com/acme/platform}
layers: [base, apps]
environments:
  dev: {}
  prod: {namespace: shop}
applications:
  db: {entry: db.dhall, layer: base}
  web: {entry: web.dhall, layer: apps}
publish: {registry: registry.example, repository: platform, staging: staging}
policy: policy.yaml
gitops:
  repository: https://git.example/deploy.git
  image: IMAGE
""".replace("IMAGE", IMAGE)
ROOT = json.dumps(
    {
        "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
        "tlogs": [],
        "certificateAuthorities": [{"uri": "https://fulcio.acme.example"}],
        "ctlogs": [],
        "timestampAuthorities": [],
    }
)
PROVENANCE = {"predicateType": "https://slsa.dev/provenance/v1", "identities": ["release"]}
WITH_PROVENANCE = {
    "statements": [SIGNATURE, PROVENANCE],
    "source": {"repository": "https://github.com/acme/platform"},
    "builders": ["https://github.com/acme/platform/.github/workflows/release.yml"],
}
MakeChecks = Callable[..., Checks]


def published(version: str = "1.4.0") -> Publication:
    """What a release of `CONFIG` published."""
    artifacts = []
    for environment in ("dev", "prod"):
        for kind, name in (("umbrella", "acme"), ("chart", "db"), ("flux", "flux-acme"), ("chart", "web")):
            seed = f"{environment}/{name}:{version}"
            artifacts.append(
                Published(
                    kind=kind,
                    environment=environment,
                    name=name,
                    repository=f"registry.example/platform/{environment}/{name}",
                    tag=version,
                    digest="sha256:" + seed.encode().hex()[:64].ljust(64, "0"),
                    attached=(Attached(digest="sha256:" + "ee" * 32, artifact_type="x"),),
                )
            )
    return Publication(project="acme", version=version, artifacts=tuple(artifacts))


@pytest.fixture
def make_checks(policy: Callable[..., Policy]) -> MakeChecks:
    """Make what consumers of an environment must check: of a private instance, with provenance, unless it is said."""

    def make(
        *consumers: str,
        environment: str = "prod",
        version: str = "1.4.0",
        root: str | None = ROOT,
        config: str = CONFIG,
        **parts: Any,  # noqa: ANN401
    ) -> Checks:
        rules = policy(**(WITH_PROVENANCE | parts))
        settings = parse_config(f"{config}  consumers: [{', '.join(consumers)}]\n".encode(), file="dhallmark.yaml")
        return checks_of(
            settings,
            rules,
            published(version),
            environment=environment,
            trust=Trust.of(None if root is None else root.encode()),
            policy_file=(rules.origin.folder / "policy.yaml").read_bytes(),
            file="publish.json",
        )

    return make


@pytest.fixture
def deploy(tmp_path: Path) -> Path:
    """An empty deploy repository."""
    folder = tmp_path / "deploy"
    folder.mkdir()
    return folder
