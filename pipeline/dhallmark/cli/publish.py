"""`dhallmark publish`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Literal

import anyio
from cyclopts import Parameter
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dhallmark.cli.options import BuildFolder, ConfigFile, MoveTag, RegistryCa
from dhallmark.cli.output import progress
from dhallmark.cli.result import Result
from dhallmark.cli.trust import trust_root
from dhallmark.config.load import load_config, load_policy
from dhallmark.config.model import Config
from dhallmark.config.policy import Policy
from dhallmark.consumer import Target
from dhallmark.digest import Digest
from dhallmark.oci.client import Registry
from dhallmark.package.model import Artifacts
from dhallmark.package.package import load_artifacts
from dhallmark.publish.bundles import AttachedLayout
from dhallmark.publish.model import Publication
from dhallmark.publish.publish import Verify, promote, stage
from dhallmark.publish.publish import publish as publish_all
from dhallmark.verdict import Verdict
from dhallmark.verify.artifact import verify_artifact
from dhallmark.verify.trust import TrustRoot


def publish(
    *,
    config: ConfigFile = Path("dhallmark.yaml"),
    build: BuildFolder = Path("build"),
    trusted_root: Annotated[
        Path | None,
        Parameter(
            help="A Sigstore trusted_root.json. The trust root of the instance that signs where it is not given."
        ),
    ] = None,
    phase: Annotated[
        Literal["all", "stage", "promote"],
        Parameter(
            help="`stage` ends before anything stands where consumers read, so that controls can be run on it; "
            "`promote` goes on from there."
        ),
    ] = "all",
    move_tag: MoveTag = False,
    registry_ca: RegistryCa = None,
) -> Result:
    """Attach the signed statements, read them back, verify, copy to where consumers read, and set the tags last."""
    settings = load_config(config)
    trust = TrustRoot.parse(trust_root(settings, root=config.parent, trusted_root=trusted_root))
    verify = _verifier(load_policy(config.parent / settings.policy), trust)
    artifacts = load_artifacts(build)
    attached = settings.publish.layout
    layout = AttachedLayout.read(config.parent, attached) if attached is not None else None

    async def run() -> Publication | None:
        place = settings.publish
        async with Registry(place.registry, plain_http=place.plain_http, ca=registry_ca) as registry:
            return await _PHASES[phase](
                artifacts,
                build=build,
                publish=place,
                registry=registry,
                verify=verify,
                layout=layout,
                move_tag=move_tag,
                progress=progress(),
            )

    publication = anyio.run(run)
    if publication is None:
        return _staged(artifacts, settings)
    text = _to_text(publication, settings, policy=config.parent / settings.policy, trusted_root=trusted_root)
    return Result(data=publication.to_json(), text=text)


_PHASES = {"all": publish_all, "stage": stage, "promote": promote}


def _staged(artifacts: Artifacts, settings: Config) -> Result:
    place = f"{settings.publish.registry}/{settings.publish.staging}"
    references = [f"{place}/{artifact.repository}@{artifact.manifest_digest}" for artifact in artifacts.artifacts]
    return Result(
        data={"schema": "dhallmark.dev/staged/v1", "references": references},
        text=f"{len(references)} artifacts are staged and accepted; `dhallmark publish --phase promote` goes on",
    )


def _verifier(policy: Policy, trust: TrustRoot) -> Verify:
    async def verify(registry: Registry, *, repository: str, digest: Digest, subject_name: str) -> Verdict:
        target = Target(
            repository=repository,
            digest=digest,
            trusted_root=Path(),
            policy=Path(),
            subject_name=subject_name,
            plain_http=registry.plain_http,
        )
        return await verify_artifact(registry, target, policy, trust)

    return verify


def _to_text(publication: Publication, settings: Config, *, policy: Path, trusted_root: Path | None) -> RenderableType:
    table = Table(title=f"{publication.project} {publication.version}, published", title_justify="left")
    for heading in ("environment", "kind", "reference", "digest", "attached"):
        table.add_column(heading, overflow="fold")
    for one in publication.artifacts:
        table.add_row(one.environment, one.kind, one.reference, one.digest, str(len(one.attached)))
    moved = [f"moved: {one.reference} named {one.moved_from} before" for one in publication.artifacts if one.moved_from]
    first = publication.artifacts[0]
    chart = next((one for one in publication.artifacts if one.kind != "flux"), first)
    plain = ["--plain-http"] if settings.publish.plain_http else []
    verify = ["dhallmark", "verify", "--ref", first.pinned, "--policy", str(policy)]
    pull = ["helm", "pull", f"oci://{chart.repository}", "--version", chart.tag]
    checks = [
        "check one yourself:",
        "  " + shlex.join([*verify, "--trusted-root", str(trusted_root or "trusted_root.json"), *plain]),
        "  " + shlex.join([*pull, *plain]),
    ]
    # Commands are for copying: never folded, and a bracket in a path is no markup.
    return Group(table, *(Text(line, no_wrap=True, overflow="ignore") for line in (*moved, *checks)))
