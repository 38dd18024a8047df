"""The lab as Dagger functions: a whole Sigstore and two registries, in one container that others can reach."""

from __future__ import annotations

from typing import Annotated

import dagger
from dagger import Doc, dag

from dhallmark.module.declare import fresh, function, object_type
from dhallmark.module.job import Binding, Job
from dhallmark.module.options import AllowDirty, BuilderId, ConfigPath, Controls, Source, Tree
from dhallmark.module.proof import Panel
from dhallmark.module.release import Released, Trust, release
from dhallmark.module.steps import Builder, Project, Signer

HOST = "lab.dhallmark.test"
PACKAGES_HOST = "packages.dhallmark.test"
_LAB = "/lab"
_TOOLS = "/opt/tools"
_PORTS = (3003, 3004, 5000, 5001, 5550)
"""Rekor, the timestamp authority, the registries with and without the referrers API, Fulcio."""


@object_type
class Lab:
    """A Sigstore of one's own, for trying out and for tests: issuer, Fulcio, CT log, Rekor, timestamps, registries."""

    image: dagger.Container
    tools: dagger.Directory
    packages: dagger.Directory | None = None
    host: str = HOST

    @function
    def directory(self) -> Annotated[dagger.Directory, Doc("Keys, settings and trust files. The keys are the lab's.")]:
        """The lab's directory: its keys and trust files. One per engine cache."""
        return Job(container=self.image).run(["lab", "init", "--out", _LAB, "--hostname", self.host]).directory(_LAB)

    @function
    def service(self) -> dagger.Service:
        """The running lab: registries on ports 5000 and 5001, Rekor 3003, timestamps 3004, Fulcio 5550."""
        container = (
            self.image.with_mounted_directory(_TOOLS, self.tools)
            .with_env_variable("PATH", f"{_TOOLS}:${{PATH}}", expand=True)
            .with_directory(_LAB, self.directory())
        )
        arguments = ["dhallmark", "lab", "serve", "--dir", _LAB]
        if self.packages is not None:
            container = container.with_mounted_directory("/packages", self.packages)
            arguments += ["--packages", "/packages"]
        for port in _PORTS:
            container = container.with_exposed_port(port)
        return container.as_service(args=arguments)

    @function
    def trust_config(self) -> Annotated[dagger.File, Doc("A Sigstore ClientTrustConfig.")]:
        """What a signer needs: the lab's services and its trust root in one file."""
        return self.directory().file("trust/main/trust_config.json")

    @function
    def trusted_root(self) -> Annotated[dagger.File, Doc("A Sigstore trusted_root.json.")]:
        """What a verifier needs."""
        return self.directory().file("trust/main/trusted_root.json")

    @fresh
    async def token(
        self,
        *,
        shape: Annotated[str, Doc("Whose tokens it looks like: github, gitlab or email.")] = "github",
        claims: Annotated[list[str] | None, Doc("Claims to set, as NAME=TEXT or NAME:=JSON.")] = None,
    ) -> dagger.Secret:
        """A token of the lab's issuer, valid for five minutes. It opens nothing but the lab."""
        job = Job(container=self.image).directory(_LAB, self.directory())
        arguments = ["lab", "token", "--dir", _LAB, "--shape", shape, "--out", "/token"]
        for claim in claims or []:
            arguments += ["--claim", claim]
        text = await job.run(arguments, fresh=True).file("/token").contents()
        return dag.set_secret("dhallmark-lab-token", text)

    @function
    def registry(self) -> str:
        """Host and port of the registry that has the referrers API, as containers bound to the lab see it."""
        return f"{self.host}:5000"

    @function
    def registry_fallback(self) -> str:
        """Host and port of the registry that answers the referrers API with 404."""
        return f"{self.host}:5001"

    @fresh
    async def release(
        self,
        *,
        source: Source,
        builder_id: BuilderId,
        config: ConfigPath = "dhallmark.yaml",
        claims: Annotated[list[str] | None, Doc("Claims of the token, as NAME=TEXT: who signs.")] = None,
        allow_dirty: AllowDirty = False,
        controls: Controls = None,
        tree: Tree = None,
    ) -> Released:
        """Release into the lab: dhallmark.yaml must name lab.dhallmark.test:5000, with plainHttp, as its registry."""
        project = Project(
            image=self.image, source=source, config=config, allow_dirty=allow_dirty, bindings=(self.binding(),)
        )

        async def signer() -> Signer:
            return Signer(token=await self.token(claims=claims))

        trust = Trust(signer=signer, trust_config=self.trust_config(), trusted_root=self.trusted_root())
        return await release(
            project, trust, builder=Builder(id=builder_id), panel=Panel(tools=self.tools), only=controls, tree=tree
        )

    def binding(self) -> Binding:
        """The lab under the names that containers know it by."""
        names = (self.host, PACKAGES_HOST) if self.packages is not None else (self.host,)
        return Binding(service=self.service(), names=names)
