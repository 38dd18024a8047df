"""`dhallmark attest`."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from dhallmark.cli.options import AllowDirty, BuilderId, BuildFolder, ConfigFile
from dhallmark.cli.result import Result
from dhallmark.digest import Digest
from dhallmark.errors import UsageError
from dhallmark.steps.attest import Attested
from dhallmark.steps.attest import attest as attest_release
from dhallmark.steps.ci import detect_builder
from dhallmark.steps.provenance import Builder, Dependency

SCHEMA = "dhallmark.dev/attest/v1"


def attest(
    *,
    config: ConfigFile = Path("dhallmark.yaml"),
    build: BuildFolder = Path("build"),
    builder_id: BuilderId = None,
    invocation_id: Annotated[str | None, Parameter(help="URI of this run. The CI job's where it is not given.")] = None,
    image: Annotated[
        str | None,
        Parameter(env_var="DHALLMARK_IMAGE", help="The image that this runs in, as name@sha256:…, for the provenance."),
    ] = None,
    allow_dirty: AllowDirty = False,
) -> Result:
    """Sign the links for in-toto, write all statements, and check the policy on them before anything is signed."""
    builder = Builder(id=builder_id) if builder_id else detect_builder(os.environ)
    if invocation_id:
        builder = replace(builder, invocation=invocation_id)
    if image:
        builder = replace(builder, image=_image(image))
    attested = attest_release(config=config, build=build, builder=builder, allow_dirty=allow_dirty)
    return Result(data=_to_json(attested), text=_to_text(attested, build))


def _image(reference: str) -> Dependency:
    name, at, digest = reference.rpartition("@")
    if not at or not name:
        raise UsageError("the image must be given by digest", hint="write name@sha256:<64 hex digits>")
    return Dependency(name=name, uri=f"oci://{name}", digest=Digest(digest))


def _to_json(attested: Attested) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "source": attested.source.to_json(),
        "statements": list(attested.statements),
        "verdict": attested.verdict.to_json(),
    }


def _to_text(attested: Attested, build: Path) -> str:
    source = attested.source
    lines = [
        f"{len(attested.statements)} statements in {build / 'statements'}",
        f"commit {source.revision}{', with uncommitted changes' if source.dirty else ''}",
        f"policy: {attested.verdict.summary()}",
    ]
    return "\n".join(lines)
