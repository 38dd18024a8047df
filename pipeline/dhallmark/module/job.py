"""One run of the `dhallmark` command in a container: what is mounted, bound and set is decided here."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import dagger

SOURCE = "/src"
BUILD = "/build"
_SECRETS = "/run/secrets"


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A service, and the names under which containers reach it."""

    service: dagger.Service
    names: tuple[str, ...]


def bind(service: dagger.Service | None, *names: str) -> Binding | None:
    """A binding, where there is a service."""
    return None if service is None else Binding(service=service, names=names)


def bindings(*optional: Binding | None) -> tuple[Binding, ...]:
    """Those that there are."""
    return tuple(one for one in optional if one is not None)


async def start(bound: Sequence[Binding]) -> None:
    """Keep services up until the session ends: between two jobs the engine would stop them, and a lab forgets."""
    for service in {await binding.service.id(): binding.service for binding in bound}.values():
        await service.start()


def nonce() -> str:
    """A text that no other call has: an engine does not take what is made with it from its cache."""
    return uuid.uuid4().hex


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A container that is about to run one command. Every method returns another job."""

    container: dagger.Container
    bindings: tuple[Binding, ...] = field(default=())

    def bound(self, *more: Binding | None) -> Job:
        """With services that the command can reach."""
        return replace(self, bindings=(*self.bindings, *bindings(*more)))

    def directory(self, path: str, directory: dagger.Directory) -> Job:
        """With `directory` to read and write at `path`."""
        return replace(self, container=self.container.with_directory(path, directory))

    def mounted(self, path: str, directory: dagger.Directory) -> Job:
        """With `directory` at `path`; what is written there is not part of any result."""
        return replace(self, container=self.container.with_mounted_directory(path, directory))

    def file(self, path: str, file: dagger.File) -> Job:
        """With `file` at `path`."""
        return replace(self, container=self.container.with_mounted_file(path, file))

    def secret(self, name: str, secret: dagger.Secret) -> tuple[Job, str]:
        """With a secret as a file in memory, for this command alone; and the file's path."""
        path = f"{_SECRETS}/{name}"
        return replace(self, container=self.container.with_mounted_secret(path, secret, mode=0o400)), path

    def authorised(self, credentials: dagger.Secret | None) -> Job:
        """With a registry's credentials, where the client looks for them."""
        if credentials is None:
            return self
        job, path = self.secret("docker/config.json", credentials)
        return job.variable("DOCKER_CONFIG", path.removesuffix("/config.json"))

    def variable(self, name: str, value: str) -> Job:
        """With an environment variable, which must not be secret."""
        return replace(self, container=self.container.with_env_variable(name, value))

    def run(
        self,
        arguments: Sequence[str],
        *,
        fresh: bool = False,
        output: str | None = None,
        expect: dagger.ReturnType | None = None,
        privileged: bool = False,
    ) -> dagger.Container:
        """The container after `dhallmark ARGUMENTS`.

        `fresh` runs it even where the same was run before. `output` is a file that takes the result, as JSON. `expect`
        says which exit codes are no error; otherwise it is 0 alone.
        """
        container = self.container
        for binding in self.bindings:
            for name in binding.names:
                container = container.with_service_binding(name, binding.service)
        if fresh:
            container = container.with_env_variable("DHALLMARK_NONCE", nonce())
        command = ["dhallmark", *arguments]
        if output is not None:
            command += ["--output", "json"]
        return container.with_exec(
            command,
            redirect_stdout=output or "",
            expect=dagger.ReturnType.SUCCESS if expect is None else expect,
            insecure_root_capabilities=privileged,
        )
