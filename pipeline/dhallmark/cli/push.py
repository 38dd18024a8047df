"""`dhallmark push`."""

from __future__ import annotations

from pathlib import Path

import anyio

from dhallmark.cli.options import BuildFolder, ConfigFile, RegistryCa
from dhallmark.cli.output import progress
from dhallmark.cli.result import Result
from dhallmark.config.load import load_config
from dhallmark.oci.client import Registry
from dhallmark.package.package import load_artifacts
from dhallmark.publish.model import Pushed
from dhallmark.publish.push import push as push_all


def push(
    *,
    config: ConfigFile = Path("dhallmark.yaml"),
    build: BuildFolder = Path("build"),
    registry_ca: RegistryCa = None,
) -> Result:
    """Push the packaged artifacts, by digest, to the staging repositories. Sets no tag."""
    settings = load_config(config).publish
    artifacts = load_artifacts(build)

    async def run() -> tuple[Pushed, ...]:
        async with Registry(settings.registry, plain_http=settings.plain_http, ca=registry_ca) as registry:
            return await push_all(artifacts, build=build, publish=settings, registry=registry, progress=progress())

    pushed = anyio.run(run)
    return Result(
        data={
            "schema": "dhallmark.dev/push-summary/v1",
            "artifacts": [record.model_dump(mode="json", by_alias=True) for record in pushed],
        },
        text="\n".join([f"{len(pushed)} artifacts staged", *(f"  {one.staging}\n    {one.digest}" for one in pushed)]),
    )
