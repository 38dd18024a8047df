"""Publishes a build directory, as a process of its own that a test can kill.

Usage: publish_driver.py BUILD HOST STAGING REPOSITORY SLUG…
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path

import anyio

from dhallmark.config.model import Publish
from dhallmark.digest import Digest
from dhallmark.oci.client import Registry
from dhallmark.package.model import Artifacts
from dhallmark.package.package import load_artifacts
from dhallmark.publish.publish import publish
from dhallmark.reasons import Reason
from dhallmark.statement import COSIGN_SIGN_V1, Statement
from dhallmark.verdict import Check, Verdict


async def verify(registry: Registry, *, repository: str, digest: Digest, subject_name: str) -> Verdict:
    """Accepts what has a statement of cosign's type: the order of steps is tested here, signatures elsewhere."""
    del subject_name
    bundles = await registry.bundles(repository.partition("/")[2], digest)
    payloads = [
        base64.b64decode(json.loads(bundle)["dsseEnvelope"]["payload"]) for bundle in bundles if b"dsse" in bundle
    ]
    signed = any(Statement.parse(payload).predicate_type == COSIGN_SIGN_V1 for payload in payloads)
    return Verdict.of(repository, checks=[Check(name="signed", reason=None if signed else Reason.SIGNATURE_NONE)])


def select(artifacts: Artifacts, slugs: list[str]) -> Artifacts:
    chosen = tuple(artifact for artifact in artifacts.artifacts if artifact.slug in slugs or not slugs)
    return artifacts.model_copy(update={"artifacts": chosen})


async def main(build: Path, host: str, staging: str, repository: str, slugs: list[str]) -> None:
    settings = Publish(registry=host, repository=repository, staging=staging, plain_http=True)
    async with Registry(host, plain_http=True) as registry:
        await publish(
            select(load_artifacts(build), slugs), build=build, publish=settings, registry=registry, verify=verify
        )


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5:])
