"""The module's main object: the CI image, and each step of a release as a function."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated

import dagger
from dagger import Doc, dag

from dhallmark.module import audit as audits
from dhallmark.module import gitops, image, proof, steps
from dhallmark.module.audit import Question
from dhallmark.module.declare import fresh, function, object_type
from dhallmark.module.job import Binding, Job, bind, bindings, start
from dhallmark.module.lab import HOST, PACKAGES_HOST, Lab
from dhallmark.module.options import (
    AcceptAny,
    AllowDirty,
    AttestedBuild,
    AuditReferences,
    AuditTree,
    BuilderId,
    ConfigPath,
    Controls,
    Images,
    InvocationId,
    Key,
    KeyPassword,
    Manifests,
    Materials,
    OptionalToken,
    OptionalTrustedRoot,
    PackagedBuild,
    Packages,
    PackagesHost,
    PlainHttp,
    PlannedBuild,
    PolicyFile,
    PolicyFiles,
    PublishedBuild,
    References,
    Registry,
    RegistryConfig,
    RegistryHost,
    RenderedBuild,
    Require,
    ResolvedBuild,
    ShardOption,
    SignedBuild,
    Sigstore,
    SigstoreHost,
    Source,
    StagedBuild,
    SubjectName,
    Token,
    Tree,
    TrustConfig,
    TrustedRoot,
)
from dhallmark.module.proof import Panel, Verifier
from dhallmark.module.release import Released, Trust, packaged, release, resolved
from dhallmark.module.steps import Builder, Project, Signer


@object_type
class Dhallmark:
    """From Dhall to signed, reproducible, verified Helm charts and the deploy tree that uses them."""

    base_image: Annotated[str, Doc("A Debian 13 image, by digest, that the CI image is built in.")] = ""
    base_archive: Annotated[
        dagger.File | None, Doc("The same as an OCI archive, for an engine that reaches no registry that has it.")
    ] = None
    tools: Annotated[
        dagger.Directory | None, Doc("Programs that the tool chain built: helm for the image, the others for the lab.")
    ] = None
    built_image: Annotated[dagger.Directory | None, Doc("A CI image that was built before: what `image` gave.")] = None
    published_image: Annotated[
        str, Doc("The CI image as `publish_image` pushed it, REGISTRY/REPOSITORY@sha256:…: nothing is built then.")
    ] = ""
    mirrors: Annotated[
        list[str], Doc("Debian mirrors as NAME=URL (debian, debian-security). Those of the base image otherwise.")
    ] = field(default_factory=list)
    pip_index: Annotated[str | None, Doc("URL of the Python package index. pip's default otherwise.")] = None
    ca_bundle: Annotated[dagger.File | None, Doc("Certificates (PEM) to trust while the image is built.")] = None
    image_ca_bundle: Annotated[
        dagger.File | None,
        Doc("Certificates (PEM) that the image itself is to trust beside Debian's; part of its digest."),
    ] = None
    image_lock: Annotated[
        dagger.File | None, Doc("The CI image's lock, as `lock_image` or `image` gave it. The module's own otherwise.")
    ] = None
    relock: Annotated[
        bool, Doc("Where Debian's mirrors no longer have a locked version, lock what they have now: another digest.")
    ] = False
    module_source: Annotated[dagger.Directory | None, Doc("dhallmark's own source. The module's otherwise.")] = None

    @function
    def builder(self) -> dagger.Container:
        """The container that fetches and builds the CI image."""
        if self.base_archive is not None:
            base = dag.container().import_(self.base_archive)
        elif self.base_image:
            base = dag.container().from_(self.base_image)
        else:
            raise ValueError(
                "no image: give --published-image or --built-image, or what it is built in: "
                "--base-image (Debian 13, by digest) or --base-archive"
            )
        return image.builder(base, source=self._own_source(), ca_bundle=self.ca_bundle, pip_index=self.pip_index)

    @function
    def image(
        self,
    ) -> Annotated[dagger.Directory, Doc("image.tar (an OCI archive), sbom.spdx.json, digest, lock.json.")]:
        """Build the CI image from its lock. The same source and lock give the same digest in any engine."""
        return image.build(
            self.builder(),
            tools=self._tools(),
            mirrors=self.mirrors,
            image_ca=self.image_ca_bundle,
            lock=self.image_lock,
            relock=self.relock,
        )

    @fresh
    async def lock_image(self) -> Annotated[dagger.File, Doc("lock.json, for --image-lock.")]:
        """Lock the CI image's Debian packages as the mirrors have them now."""
        return await image.lock_anew(self.builder(), mirrors=self.mirrors, lock=self.image_lock).sync()

    @function
    async def ci_image(self) -> dagger.Container:
        """The CI image as a container: dhall, helm, git, in-toto and dhallmark."""
        if self.published_image:
            return image.pull(self.published_image)
        built = self.built_image or self.image()
        return image.load(built.file("image.tar"), digest=(await built.file("digest").contents()).strip())

    @fresh
    async def publish_image(
        self,
        *,
        to: Annotated[str, Doc("Where the image goes: HOST/REPOSITORY:TAG.")],
        token: Token,
        trust_config: TrustConfig = None,
        sigstore: Sigstore = None,
        sigstore_host: SigstoreHost = HOST,
        registry: Registry = None,
        registry_host: RegistryHost = HOST,
        registry_config: RegistryConfig = None,
        plain_http: PlainHttp = False,
    ) -> Annotated[str, Doc("The image by digest, and its tag.")]:
        """Sign the CI image and its SBOM, push them, and set the tag last."""
        built = self.built_image or self.image()
        job = Job(
            container=await self.ci_image(),
            bindings=bindings(bind(sigstore, sigstore_host), bind(registry, registry_host)),
        )
        published = image.publish(
            job,
            built,
            to=to,
            token=token,
            trust_config=trust_config,
            credentials=registry_config,
            plain_http=plain_http,
        )
        return await published.stdout()

    @function
    async def lab(
        self,
        *,
        packages: Annotated[dagger.Directory | None, Doc("Dhall packages to serve as packages.dhallmark.test.")] = None,
    ) -> Lab:
        """A local Sigstore and registries, to try a release without any account."""
        return Lab(image=await self.ci_image(), tools=self._tools(), packages=packages)

    @function
    async def plan(
        self,
        *,
        source: Source,
        config: ConfigPath = "dhallmark.yaml",
        shard: ShardOption = None,
        allow_dirty: AllowDirty = False,
    ) -> Annotated[dagger.Directory, Doc("A build directory with plan.json.")]:
        """Say which charts a release is made of, and from which commit."""
        return steps.plan(await self._project(source, config, shard=shard, allow_dirty=allow_dirty))

    @function
    async def resolve(
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
        project = await self._project(source, config, shard=shard, allow_dirty=allow_dirty)
        project = project.with_bindings(bind(packages, packages_host))
        return steps.recorded(project, "resolve", build or steps.plan(project))

    @function
    async def render(
        self,
        *,
        source: Source,
        config: ConfigPath = "dhallmark.yaml",
        build: ResolvedBuild = None,
        shard: ShardOption = None,
        allow_dirty: AllowDirty = False,
        packages: Packages = None,
        packages_host: PackagesHost = PACKAGES_HOST,
    ) -> Annotated[dagger.Directory, Doc("The build directory with the charts.")]:
        """Render the normal forms to charts; no Dhall and no network."""
        project = await self._project(source, config, shard=shard, allow_dirty=allow_dirty)
        project = project.with_bindings(bind(packages, packages_host))
        return steps.recorded(project, "render", build or resolved(project))

    @function
    async def merge(
        self,
        *,
        source: Source,
        shards: Annotated[list[dagger.Directory], Doc("The shards' build directories, as render left them.")],
        config: ConfigPath = "dhallmark.yaml",
    ) -> Annotated[dagger.Directory, Doc("The build directory of an undivided run, byte for byte.")]:
        """Merge what shards resolved and rendered, on this engine or on others."""
        return steps.merge(await self._project(source, config), shards)

    @function
    async def package(
        self,
        *,
        source: Source,
        config: ConfigPath = "dhallmark.yaml",
        build: RenderedBuild = None,
        allow_dirty: AllowDirty = False,
        packages: Packages = None,
        packages_host: PackagesHost = PACKAGES_HOST,
    ) -> Annotated[dagger.Directory, Doc("The build directory with archives and an OCI layout.")]:
        """Pack the charts into Helm and Flux artifacts with reproducible digests."""
        project = await self._project(source, config, allow_dirty=allow_dirty)
        project = project.with_bindings(bind(packages, packages_host))
        return await packaged(project, build)

    @fresh
    async def push(
        self,
        *,
        source: Source,
        build: PackagedBuild,
        config: ConfigPath = "dhallmark.yaml",
        registry: Registry = None,
        registry_host: RegistryHost = HOST,
        registry_config: RegistryConfig = None,
    ) -> Annotated[dagger.Directory, Doc("The build directory with what was pushed.")]:
        """Push the artifacts, by digest, to the staging repositories; no tag is set."""
        project = (await self._project(source, config)).with_bindings(bind(registry, registry_host))
        return await steps.push(project, build, credentials=registry_config).sync()

    @function
    async def attest(
        self,
        *,
        source: Source,
        build: StagedBuild,
        builder_id: BuilderId,
        invocation_id: InvocationId = None,
        config: ConfigPath = "dhallmark.yaml",
        allow_dirty: AllowDirty = False,
    ) -> Annotated[dagger.Directory, Doc("The build directory with unsigned statements.")]:
        """Write links, provenance and signature statements, and check the policy on them."""
        project = await self._project(source, config, allow_dirty=allow_dirty)
        return steps.attest(project, build, builder=Builder(id=builder_id, invocation=invocation_id))

    @fresh
    async def sign(
        self,
        *,
        source: Source,
        build: AttestedBuild,
        token: OptionalToken = None,
        key: Key = None,
        key_password: KeyPassword = None,
        config: ConfigPath = "dhallmark.yaml",
        trust_config: TrustConfig = None,
        sigstore: Sigstore = None,
        sigstore_host: SigstoreHost = HOST,
    ) -> Annotated[dagger.Directory, Doc("The build directory with Sigstore bundles.")]:
        """Sign all statements with one short-lived certificate, or with one key."""
        signer = Signer(token=token, key=key, key_password=key_password)
        project = (await self._project(source, config)).with_bindings(bind(sigstore, sigstore_host))
        return await steps.sign(project, build, signer=signer, trust_config=trust_config).sync()

    @fresh
    async def publish(
        self,
        *,
        source: Source,
        build: SignedBuild,
        config: ConfigPath = "dhallmark.yaml",
        trusted_root: OptionalTrustedRoot = None,
        registry: Registry = None,
        registry_host: RegistryHost = HOST,
        registry_config: RegistryConfig = None,
    ) -> Annotated[dagger.Directory, Doc("The build directory with publish.json.")]:
        """Attach the statements, read them back, verify, copy to where consumers read, and set the tags last."""
        project = (await self._project(source, config)).with_bindings(bind(registry, registry_host))
        return await steps.publish(project, build, trusted_root=trusted_root, credentials=registry_config).sync()

    @function
    async def gitops(
        self,
        *,
        source: Source,
        build: PublishedBuild,
        config: ConfigPath = "dhallmark.yaml",
        tree: Tree = None,
        trusted_root: OptionalTrustedRoot = None,
    ) -> Annotated[dagger.Directory, Doc("environments/<env>/…, consumers/<env>/…, docs/<env>/…")]:
        """Write the deploy tree, and what Flux and other consumers need to check it."""
        return steps.gitops(await self._project(source, config), build, tree=tree, trusted_root=trusted_root)

    @fresh
    async def verify(
        self,
        *,
        references: References,
        policy: PolicyFile,
        trusted_root: TrustedRoot,
        policy_files: PolicyFiles = None,
        tree: Tree = None,
        plain_http: PlainHttp = False,
        registry: Registry = None,
        registry_host: RegistryHost = HOST,
    ) -> str:
        """Verify artifacts in a clean container; fails unless everything is accepted."""
        registries = bindings(bind(registry, registry_host))
        verifier = await self._verifier(policy, policy_files, trusted_root, registries, plain_http=plain_http)
        return await proof.verify(verifier, references=references, tree=tree).stdout()

    @fresh
    async def controls(
        self,
        *,
        reference: Annotated[str, Doc("The good artifact: REGISTRY/REPOSITORY@sha256:…")],
        policy: PolicyFile,
        trusted_root: TrustedRoot,
        policy_files: PolicyFiles = None,
        only: Annotated[list[str] | None, Doc("The controls to run, by id. All of them otherwise.")] = None,
        consumers: Annotated[
            list[str] | None, Doc("The consumers to ask, by name. dhallmark and cosign otherwise.")
        ] = None,
        flux: Annotated[dagger.File | None, Doc("Your OCIRepository: Flux is asked as it says.")] = None,
        kyverno: Annotated[dagger.File | None, Doc("Your policy for Kyverno: Kyverno is asked by it.")] = None,
        subject_name: SubjectName = None,
        plain_http: PlainHttp = False,
        registry: Registry = None,
        registry_host: RegistryHost = HOST,
    ) -> Annotated[dagger.Directory, Doc("report.html, report.json, …, and one JSON report for each control.")]:
        """Show that tampered copies are refused, each in a container of its own; fails unless every one is."""
        registries = bindings(bind(registry, registry_host))
        verifier = await self._verifier(policy, policy_files, trusted_root, registries, plain_http=plain_http)
        panel = Panel(tools=self._tools(), consumers=tuple(consumers or ()), flux=flux, kyverno=kyverno)
        await start(verifier.bindings)
        return await proof.controls(
            verifier, reference=reference, only=only or [], panel=panel, subject_name=subject_name or ""
        )

    @fresh
    async def prove(
        self,
        *,
        manifests: Manifests,
        environment: Annotated[str, Doc("Its name, such as sandbox: it is part of the proof.")],
        policy: PolicyFile,
        trusted_root: TrustedRoot,
        policy_files: PolicyFiles = None,
        flux: Annotated[list[str] | None, Doc("Minor versions of Flux: 2.8, 2.9. The newest otherwise.")] = None,
        source_controller: Annotated[bool, Doc("Run the tools' source-controller itself, too.")] = False,
        after: Annotated[
            dagger.Directory | None,
            Doc("Signed proofs of earlier environments, as <environment>.sigstore.json: all must stand."),
        ] = None,
        proved_by: Annotated[list[str] | None, Doc("Identities of the policy that may sign those.")] = None,
        published: Annotated[dagger.File | None, Doc("publish.json of the release that all of it is of.")] = None,
        plain_http: PlainHttp = False,
        registry: Registry = None,
        registry_host: RegistryHost = HOST,
    ) -> Annotated[dagger.Directory, Doc("proof.json, report.html, …, and evidence/proof.json, to be signed.")]:
        """Prove manifests with a real API server and Flux's own code; fails unless all of it is as it must be."""
        registries = bindings(bind(registry, registry_host))
        verifier = await self._verifier(policy, policy_files, trusted_root, registries, plain_http=plain_http)
        question = gitops.Question(
            manifests=manifests,
            environment=environment,
            tools=self._tools(),
            flux=tuple(flux or ()),
            source_controller=source_controller,
            after=after,
            proved_by=tuple(proved_by or ()),
            published=published,
        )
        return await gitops.prove(verifier, question)

    @fresh
    async def status(
        self,
        *,
        manifests: Manifests,
        kubeconfig: Annotated[dagger.Secret, Doc("A kubeconfig with a token or a certificate: no plug-in is run.")],
        context: Annotated[str, Doc("The context of it that is meant. Its current one otherwise.")] = "",
        trusted_root: OptionalTrustedRoot = None,
    ) -> str:
        """Say whether the verification that Git says is in force in a cluster; fails unless all of it is."""
        job = Job(container=await self.ci_image())
        return await gitops.status(
            job, manifests=manifests, kubeconfig=kubeconfig, context=context, trusted_root=trusted_root
        )

    @fresh
    async def audit(
        self,
        *,
        policy: PolicyFile,
        trusted_root: TrustedRoot,
        refs: AuditReferences = None,
        policy_files: PolicyFiles = None,
        tree: AuditTree = None,
        materials: Materials = None,
        images: Images = None,
        require: Require = "equivalent",
        subject_name: SubjectName = None,
        accept_any: AcceptAny = False,
        plain_http: PlainHttp = False,
        registry: Registry = None,
        registry_host: RegistryHost = HOST,
    ) -> Annotated[dagger.Directory, Doc("audit.json, audit.html, audit.junit.xml, audit.sarif, rebuild.json, …")]:
        """Rebuild what was published in the image that its record names, without a network, and compare it here."""
        registries = bindings(bind(registry, registry_host))
        verifier = await self._verifier(policy, policy_files, trusted_root, registries, plain_http=plain_http)
        question = Question(
            references=refs or [],
            tree=tree,
            materials=materials,
            images=images,
            require=require,
            subject_name=subject_name or "",
        )
        await start(verifier.bindings)
        return await audits.audit(verifier, question, accept_any=accept_any)

    @fresh
    async def release(
        self,
        *,
        source: Source,
        builder_id: BuilderId,
        trusted_root: TrustedRoot,
        token: OptionalToken = None,
        key: Key = None,
        key_password: KeyPassword = None,
        config: ConfigPath = "dhallmark.yaml",
        invocation_id: InvocationId = None,
        allow_dirty: AllowDirty = False,
        trust_config: TrustConfig = None,
        sigstore: Sigstore = None,
        sigstore_host: SigstoreHost = HOST,
        registry: Registry = None,
        registry_host: RegistryHost = HOST,
        registry_config: RegistryConfig = None,
        packages: Packages = None,
        packages_host: PackagesHost = PACKAGES_HOST,
        controls: Controls = None,
        tree: Tree = None,
    ) -> Released:
        """Do all steps in order, from the plan to verified artifacts, refused controls and the deploy tree."""

        signer = Signer(token=token, key=key, key_password=key_password)

        async def given() -> Signer:
            return signer

        project = await self._project(source, config, allow_dirty=allow_dirty)
        project = project.with_bindings(
            bind(packages, packages_host), bind(registry, registry_host), bind(sigstore, sigstore_host)
        )
        trust = Trust(signer=given, trust_config=trust_config, trusted_root=trusted_root, credentials=registry_config)
        return await release(
            project,
            trust,
            builder=Builder(id=builder_id, invocation=invocation_id),
            panel=Panel(tools=self._tools()),
            only=controls,
            tree=tree,
        )

    async def _project(
        self, source: dagger.Directory, config: str, *, shard: str | None = None, allow_dirty: bool = False
    ) -> Project:
        return Project(image=await self.ci_image(), source=source, config=config, shard=shard, allow_dirty=allow_dirty)

    async def _verifier(
        self,
        policy: dagger.File,
        beside: dagger.Directory | None,
        trusted_root: dagger.File,
        registries: tuple[Binding, ...],
        *,
        plain_http: bool,
    ) -> Verifier:
        return Verifier(
            image=await self.ci_image(),
            policy=policy,
            beside=beside,
            trusted_root=trusted_root,
            plain_http=plain_http,
            bindings=registries,
        )

    def _tools(self) -> dagger.Directory:
        if self.tools is None:
            raise ValueError("no tools: give --tools, the folder with the programs of the tool chain")
        return self.tools

    def _own_source(self) -> dagger.Directory:
        return self.module_source or dag.current_module().source()
