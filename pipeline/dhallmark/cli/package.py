"""`dhallmark package`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from dhallmark.cli.options import BuildFolder, ConfigFile
from dhallmark.cli.output import progress
from dhallmark.cli.result import Result
from dhallmark.config.load import load_config
from dhallmark.package.model import Artifacts
from dhallmark.package.package import package as pack
from dhallmark.plan import make_plan


def package(
    *,
    config: ConfigFile = Path("dhallmark.yaml"),
    build: BuildFolder = Path("build"),
    source_date_epoch: Annotated[
        int | None,
        Parameter(
            env_var="SOURCE_DATE_EPOCH",
            help="The one time in all artifacts, in seconds since 1970. The commit's time where it is not given.",
        ),
    ] = None,
) -> Result:
    """Pack the rendered charts into Helm and Flux OCI artifacts with reproducible digests."""
    plan = make_plan(load_config(config))
    artifacts = pack(
        plan,
        root=config.parent,
        build=build,
        source_date_epoch=_commit_time(config.parent) if source_date_epoch is None else source_date_epoch,
        config=config.name,
        progress=progress(),
    )
    return Result(data=artifacts.to_json(), text=_to_text(artifacts, build))


def _commit_time(root: Path) -> int:
    from dhallmark.steps.source import read_source

    # Whether a dirty tree may be released is decided where the plan is made; its commit has a time either way.
    return read_source(root, allow_dirty=True).commit_time


def _to_text(artifacts: Artifacts, build: Path) -> str:
    lines = [f"{len(artifacts.artifacts)} artifacts of {artifacts.project} {artifacts.version}"]
    for environment in artifacts.environments:
        lines.append(environment)
        for artifact in artifacts.in_environment(environment):
            lines += [f"  {artifact.name} ({artifact.kind})", f"    {artifact.digest}"]
    lines += [
        f"materials ({artifacts.materials.size} bytes)",
        f"  sha256:{artifacts.materials.sha256}",
        f"in {build / 'package'}",
    ]
    return "\n".join(lines)
