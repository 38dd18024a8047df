"""A release from end to end: the order of the steps, and what comes of it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import Annotated

import dagger
from dagger import Doc, dag

from dhallmark.config.load import parse_config, parse_policy
from dhallmark.config.model import Publish
from dhallmark.module import steps
from dhallmark.module.declare import function, object_type
from dhallmark.module.job import BUILD, start
from dhallmark.module.proof import Panel, Verifier, controls, verify
from dhallmark.module.steps import Builder, Project, Signer


@object_type
class Released:
    """What a release made."""

    build_directory: dagger.Directory
    deploy_tree: dagger.Directory
    trusted_root: dagger.File
    """What the release was verified with, for whoever checks it again."""
    table: str
    """What was made, where it is, and what was said of it, for people."""

    @function
    def results(self) -> Annotated[dagger.Directory, Doc("build/, deploy/, trusted_root.json, report.txt.")]:
        """All of it in one folder, to export."""
        folder = dag.directory().with_directory("build", self.build_directory)
        folder = folder.with_directory("deploy", self.deploy_tree).with_file("trusted_root.json", self.trusted_root)
        return folder.with_new_file("report.txt", self.table)

    @function
    async def report(self) -> str:
        """The verdicts on what was published, as JSON: every artifact, every check."""
        return await self.build_directory.file("verdicts.json").contents()

    @function
    def controls(self) -> Annotated[dagger.Directory, Doc("report.html, report.json, …, and one report a control.")]:
        """What the consumers said of tampered copies."""
        return self.build_directory.directory("controls")

    @function
    def build(self) -> Annotated[dagger.Directory, Doc("plan.json … publish.json, links, statements, bundles.")]:
        """The build directory: every record of the release."""
        return self.build_directory

    @function
    def deploy(self) -> Annotated[dagger.Directory, Doc("environments/<env>/Chart.yaml, attestation.json, …")]:
        """The deploy tree, for the repository that the cluster follows."""
        return self.deploy_tree

    @function
    async def digests(self) -> str:
        """What was published, as JSON: repositories, tags, digests."""
        return await self.build_directory.file("publish.json").contents()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Whom a release is signed by and verified against."""

    signer: Callable[[], Awaitable[Signer]]
    """Asked when signing starts: a token lives for minutes."""
    trust_config: dagger.File | None
    trusted_root: dagger.File
    credentials: dagger.Secret | None = None


def resolved(project: Project) -> dagger.Directory:
    """Plan and resolve."""
    return steps.recorded(project, "resolve", steps.plan(project))


async def packaged(project: Project, build: dagger.Directory | None = None) -> dagger.Directory:
    """Package what is rendered, from the plan on where nothing is: all that a repeated release takes from a cache."""
    rendered = build or steps.recorded(project, "render", resolved(project))
    return steps.recorded(project, "package", rendered, epoch=await steps.commit_time(project))


async def release(
    project: Project,
    trust: Trust,
    *,
    builder: Builder,
    panel: Panel,
    only: Sequence[str] | None = None,
    tree: dagger.Directory | None,
) -> Released:
    """Do all steps in order. Any step that fails ends it; tags are moved by `publish` alone."""
    settings = parse_config((await project.source.file(project.config).contents()).encode(), file=project.config)
    policy = PurePosixPath(project.config).parent / settings.policy
    verifier = Verifier(
        image=project.image,
        policy=project.source.file(str(policy)),
        beside=await _named_by(project.source, policy),
        trusted_root=trust.trusted_root,
        plain_http=settings.publish.plain_http,
        bindings=project.bindings,
    )
    await start(project.bindings)
    build = await packaged(project)
    build = await steps.push(project, build, credentials=trust.credentials).sync()
    build = await steps.attest(project, build, builder=builder).sync()
    build = steps.sign(project, build, signer=await trust.signer(), trust_config=trust.trust_config)
    publish = partial(steps.publish, project, trusted_root=trust.trusted_root, credentials=trust.credentials)
    build = await publish(build, phase="stage").sync()
    # Before anything stands where consumers read it: what is not refused now would be accepted there.
    reference, name = await _first(build, settings.publish)
    reports = await controls(verifier, reference=reference, subject_name=name, only=only, panel=panel)
    build = await publish(build, phase="promote").sync()
    verified = await verify(verifier, references=await _published(build), record="/verdicts.json").sync()
    build = build.with_file("verdicts.json", verified.file("/verdicts.json")).with_directory("controls", reports)
    table = steps.report(project, build)
    return Released(
        build_directory=table.directory(BUILD),
        deploy_tree=await steps.gitops(project, build, tree=tree, trusted_root=trust.trusted_root).sync(),
        trusted_root=trust.trusted_root,
        table=await table.stdout(),
    )


async def _named_by(source: dagger.Directory, policy: PurePosixPath) -> dagger.Directory:
    """The files that the policy names, in a folder: keys, a layout, Git bundles."""
    folder = dag.directory()
    content = (await source.file(str(policy)).contents()).encode()
    for name in parse_policy(content, file=str(policy)).files:
        folder = folder.with_file(name, source.file(str(policy.parent / name)))
    return folder


async def _first(build: dagger.Directory, place: Publish) -> tuple[str, str]:
    """One artifact of the release where it is staged, by digest; and its name in its statements."""
    record = json.loads(await build.file("package/artifacts.json").contents())
    repository, digest = record["artifacts"][0]["repository"], record["artifacts"][0]["digest"]
    staged = f"{place.registry}/{place.staging}/{repository}@{digest}"
    return staged, f"{place.registry}/{place.repository}/{repository}"


async def _published(build: dagger.Directory) -> list[str]:
    """What `publish` moved tags to: every artifact by digest, where consumers read it."""
    record = json.loads(await build.file("publish.json").contents())
    return [f"{one['repository']}@{one['digest']}" for one in record["artifacts"]]
