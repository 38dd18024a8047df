"""The module's main object: the CI image, and each step of a release as a function."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated

import dagger
from dagger import Doc, dag
from dhallmark.module import image, steps
from dhallmark.module.declare import function, object_type
from dhallmark.module.job import bind
from dhallmark.module.lab import PACKAGES_HOST, Lab
from dhallmark.module.options import (
    AllowDirty,
    ConfigPath,
    Packages,
    PackagesHost,
    PlannedBuild,
    RenderedBuild,
    ResolvedBuild,
    ShardOption,
    Source,
)
from dhallmark.module.steps import Project


@object_type
class Dhallmark:
    """From Dhall to signed, reproducible, verified Helm charts and the deploy tree that uses them."""

    base_image: Annotated[str, Doc("A Debian 13 image, by digest, that the CI image is built in.")] = ""
    tools: Annotated[
        dagger.Directory | None, Doc("Programs that the tool chain built: helm for the image, the others for the lab.")
    ] = None
    image_archive: Annotated[dagger.File | None, Doc("A CI image that was built before: image.tar.")] = None
    mirrors: Annotated[
        list[str], Doc("Debian mirrors as NAME=URL (debian, debian-security). Those of the base image otherwise.")
    ] = field(default_factory=list)
    pip_index: Annotated[str | None, Doc("URL of the Python package index. pip's default otherwise.")] = None
    ca_bundle: Annotated[dagger.File | None, Doc("Certificates (PEM) to trust while the image is built.")] = None
    image_ca_bundle: Annotated[
        dagger.File | None,
        Doc("Certificates (PEM) that the image itself is to trust beside Debian's; part of its digest."),
    ] = None
    module_source: Annotated[dagger.Directory | None, Doc("dhallmark's own source. The module's otherwise.")] = None

    @function
    def builder(self) -> dagger.Container:
        """The container that fetches and builds the CI image."""
        if not self.base_image:
            raise ValueError("no base image: give --base-image (Debian 13, by digest) or --image-archive")
        return image.builder(
            self.base_image, source=self._own_source(), ca_bundle=self.ca_bundle, pip_index=self.pip_index
        )

    @function
    def image(self) -> Annotated[dagger.Directory, Doc("image.tar (an OCI archive), sbom.spdx.json, digest.")]:
        """Build the CI image from its lock. The same source gives the same digest in any engine."""
        return image.build(self.builder(), tools=self._tools(), mirrors=self.mirrors, image_ca=self.image_ca_bundle)

    @function
    def ci_image(self) -> dagger.Container:
        """The CI image as a container: dhall, helm, git, in-toto and dhallmark."""
        return image.load(self.image_archive or self.image().file("image.tar"))

    @function
    def lab(
        self,
        *,
        packages: Annotated[dagger.Directory | None, Doc("Dhall packages to serve as packages.dhallmark.test.")] = None,
    ) -> Lab:
        """A local Sigstore and registries, to try a release without any account."""
        return Lab(image=self.ci_image(), tools=self._tools(), packages=packages)

    @function
    def plan(
        self,
        *,
        source: Source,
        config: ConfigPath = "dhallmark.yaml",
        shard: ShardOption = None,
        allow_dirty: AllowDirty = False,
    ) -> Annotated[dagger.Directory, Doc("A build directory with plan.json.")]:
        """Say which charts a release is made of, and from which commit."""
        return steps.plan(self._project(source, config, shard=shard, allow_dirty=allow_dirty))

    @function
    def resolve(
        self,
        *,
        source: Source,
        config: ConfigPath = "dhallmark.yaml",
        build: PlannedBuild = None,
        shard: ShardOption = None,
        allow_dirty: AllowDirty = False,
        packages: Packages = None,
        packages_host: PackagesHost = PACKAGES_HOST,
    ) -> Annotated[dagger.Directory, Doc("The build directory with the closure of imports and the normal forms.")]:
        """Resolve all imports and record their closure."""
        project = self._project(source, config, shard=shard, allow_dirty=allow_dirty)
        project = project.with_bindings(bind(packages, packages_host))
        return steps.recorded(project, "resolve", build or steps.plan(project))

    @function
    def render(
        self,
        *,
        source: Source,
        build: ResolvedBuild,
        config: ConfigPath = "dhallmark.yaml",
        shard: ShardOption = None,
    ) -> Annotated[dagger.Directory, Doc("The build directory with the charts.")]:
        """Render the normal forms to charts; no Dhall and no network."""
        return steps.recorded(self._project(source, config, shard=shard), "render", build)

    @function
    async def package(
        self,
        *,
        source: Source,
        build: RenderedBuild,
        config: ConfigPath = "dhallmark.yaml",
    ) -> Annotated[dagger.Directory, Doc("The build directory with archives and an OCI layout.")]:
        """Pack the charts into Helm and Flux artifacts with reproducible digests."""
        project = self._project(source, config)
        return steps.recorded(project, "package", build, epoch=await steps.commit_time(project))

    def _project(
        self, source: dagger.Directory, config: str, *, shard: str | None = None, allow_dirty: bool = False
    ) -> Project:
        return Project(image=self.ci_image(), source=source, config=config, shard=shard, allow_dirty=allow_dirty)

    def _tools(self) -> dagger.Directory:
        if self.tools is None:
            raise ValueError("no tools: give --tools, the folder with the programs of the tool chain")
        return self.tools

    def _own_source(self) -> dagger.Directory:
        return self.module_source or dag.current_module().source()
