"""The steps of a release, each as one job in the CI image. Pure descriptions: the engine runs what is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import dagger

from dhallmark.module.job import BUILD, SOURCE, Binding, Job, bindings

RecordedStep = Literal["resolve", "render", "package"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What is released, and the image that does it."""

    image: dagger.Container
    source: dagger.Directory
    """The whole checkout, with `.git`."""
    config: str
    """Path of `dhallmark.yaml` in the checkout."""
    allow_dirty: bool = False
    shard: str | None = None
    bindings: tuple[Binding, ...] = field(default=())
    """Services that every job can reach."""

    def job(self, build: dagger.Directory | None = None, *, git: bool = False) -> Job:
        """A job over the source and `build`. Without `git` a commit that changes no file changes no job."""
        source = self.source if git else self.source.without_directory(".git")
        job = Job(container=self.image.with_workdir(SOURCE), bindings=self.bindings).mounted(SOURCE, source)
        return job.directory(BUILD, build) if build is not None else job

    def options(self) -> list[str]:
        """What every command is told."""
        return ["--config", f"{SOURCE}/{self.config}", "--build", BUILD]

    def part(self) -> list[str]:
        """Which shard."""
        return [] if self.shard is None else ["--shard", self.shard]

    def with_bindings(self, *more: Binding | None) -> Project:
        """The project with further services."""
        return replace(self, bindings=(*self.bindings, *bindings(*more)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """What the provenance says of the builder. A container has nothing of the CI's environment."""

    id: str
    invocation: str | None = None

    def options(self) -> list[str]:
        """As `attest` takes them."""
        return ["--builder-id", self.id, *(["--invocation-id", self.invocation] if self.invocation else [])]


def plan(project: Project) -> dagger.Directory:
    """`dhallmark plan`: a new build directory with `plan.json`."""
    arguments = ["plan", *project.options(), *project.part()]
    if project.allow_dirty:
        arguments.append("--allow-dirty")
    return project.job(git=True).run(arguments).directory(BUILD)


def recorded(project: Project, step: RecordedStep, build: dagger.Directory, *, epoch: str = "") -> dagger.Directory:
    """`dhallmark step NAME`: the step under in-toto's eyes. `epoch` is the SOURCE_DATE_EPOCH of what it makes."""
    # Git says which files are the project's; the later steps have the record of what was read.
    job = project.job(build, git=step == "resolve")
    if epoch:
        job = job.variable("SOURCE_DATE_EPOCH", epoch)
    return job.run(["step", step, *project.options(), *project.part()]).directory(BUILD)


def merge(project: Project, shards: Sequence[dagger.Directory]) -> dagger.Directory:
    """`dhallmark merge`: the build directories of shards as that of an undivided run."""
    job = project.job()
    places = [f"/shards/{number}" for number in range(1, len(shards) + 1)]
    for place, shard in zip(places, shards, strict=True):
        job = job.mounted(place, shard)
    arguments = ["merge", *places, "--into", BUILD, "--config", f"{SOURCE}/{project.config}"]
    return job.run(arguments).directory(BUILD)


async def commit_time(project: Project) -> str:
    """Seconds since 1970 of the commit that is checked out."""
    container = project.job(git=True).container
    git = ["git", "-c", "safe.directory=*", "show", "--no-patch", "--format=%ct", "HEAD"]
    return (await container.with_exec(git).stdout()).strip()


def push(project: Project, build: dagger.Directory, *, credentials: dagger.Secret | None) -> dagger.Directory:
    """`dhallmark step publish`: the artifacts go to the staging repositories."""
    job = project.job(build).authorised(credentials)
    return job.run(["step", "publish", *project.options()], fresh=True).directory(BUILD)


def attest(project: Project, build: dagger.Directory, *, builder: Builder) -> dagger.Directory:
    """`dhallmark attest`: statements, and the policy on them before anything is signed."""
    arguments = ["attest", *project.options(), *builder.options()]
    if project.allow_dirty:
        arguments.append("--allow-dirty")
    return project.job(build, git=True).run(arguments).directory(BUILD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Who signs: whom an OIDC token names, or a managed key. Exactly one of them."""

    token: dagger.Secret | None = None
    key: dagger.Secret | None = None
    key_password: dagger.Secret | None = None

    def __post_init__(self) -> None:
        if (self.token is None) == (self.key is None):
            raise ValueError("give either a token or a key to sign with")
        if self.key_password is not None and self.key is None:
            raise ValueError("a key's password is given, and no key")

    def enter(self, job: Job) -> tuple[Job, list[str]]:
        """The job with the secrets as files in memory, for it alone; and the options that name them."""
        options: list[str] = []
        for option, name, secret in (
            ("--token-file", "id-token", self.token),
            ("--key", "key.pem", self.key),
            ("--key-password-file", "key-password", self.key_password),
        ):
            if secret is not None:
                job, path = job.secret(name, secret)
                options += [option, path]
        return job, options


def sign(
    project: Project, build: dagger.Directory, *, signer: Signer, trust_config: dagger.File | None
) -> dagger.Directory:
    """`dhallmark sign`: every statement with one certificate, or one key."""
    job, options = signer.enter(project.job(build))
    arguments = ["sign", *project.options(), *options]
    if trust_config is not None:
        job = job.file("/trust/trust_config.json", trust_config)
        arguments += ["--trust-config", "/trust/trust_config.json"]
    return job.run(arguments, fresh=True).directory(BUILD)


def publish(
    project: Project,
    build: dagger.Directory,
    *,
    trusted_root: dagger.File | None,
    credentials: dagger.Secret | None,
    phase: Literal["all", "stage", "promote"] = "all",
) -> dagger.Directory:
    """`dhallmark publish`: attach, read back, verify, copy, and set the tags last; or one phase of it."""
    job = project.job(build).authorised(credentials)
    arguments = ["publish", *project.options(), "--phase", phase]
    if trusted_root is not None:
        job = job.file("/trust/trusted_root.json", trusted_root)
        arguments += ["--trusted-root", "/trust/trusted_root.json"]
    return job.run(arguments, fresh=True).directory(BUILD)


def gitops(
    project: Project,
    build: dagger.Directory,
    *,
    tree: dagger.Directory | None,
    trusted_root: dagger.File | None = None,
) -> dagger.Directory:
    """`dhallmark gitops write`: the deploy tree and what consumers need, over what is there."""
    job = project.job(build)
    job = job.directory("/deploy", tree) if tree is not None else job
    arguments = ["gitops", "write", *project.options(), "--to", "/deploy"]
    if trusted_root is not None:
        job = job.file("/trust/trusted_root.json", trusted_root)
        arguments += ["--trusted-root", "/trust/trusted_root.json"]
    return job.run(arguments).directory("/deploy")


def report(project: Project, build: dagger.Directory) -> dagger.Container:
    """`dhallmark report`: the table of verdicts on standard output, release.json in the build directory."""
    return project.job(build).variable("COLUMNS", "180").run(["report", "--build", BUILD])
