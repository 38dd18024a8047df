"""A release from end to end: the order of the steps, and what comes of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

import dagger
from dagger import Doc
from dhallmark.module import steps
from dhallmark.module.declare import function, object_type
from dhallmark.module.job import running
from dhallmark.module.steps import Builder, Project


@object_type
class Released:
    """What a release made."""

    build_directory: dagger.Directory
    deploy_tree: dagger.Directory

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

    token: Callable[[], Awaitable[dagger.Secret]]
    """Asked when signing starts: a token lives for minutes."""
    trust_config: dagger.File | None
    trusted_root: dagger.File | None
    credentials: dagger.Secret | None = None


async def package(project: Project, *, plan: dagger.Directory | None = None) -> dagger.Directory:
    """Plan, resolve, render and package: all that a repeated release takes from the engine's cache."""
    build = plan or steps.plan(project)
    for name in ("resolve", "render"):
        build = steps.recorded(project, name, build)
    return steps.recorded(project, "package", build, epoch=await steps.commit_time(project))


async def release(project: Project, trust: Trust, *, builder: Builder, tree: dagger.Directory | None) -> Released:
    """Do all steps in order. Any step that fails ends it; the tags are moved by `publish`, last of all."""
    async with running(project.bindings):
        build = await package(project)
        build = await steps.push(project, build, credentials=trust.credentials).sync()
        build = await steps.attest(project, build, builder=builder).sync()
        build = steps.sign(project, build, token=await trust.token(), trust_config=trust.trust_config)
        build = steps.publish(project, build, trusted_root=trust.trusted_root, credentials=trust.credentials)
        build = await build.sync()
        deploy = await steps.gitops(project, build, tree=tree).sync()
    return Released(build_directory=build, deploy_tree=deploy)
