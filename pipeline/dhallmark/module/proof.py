"""Verification and controls: containers that hold the verifier, the trust root, the policy, the artifact; no more."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio
import dagger
from dagger import dag

from dhallmark.module.job import Binding, Job

FIRST_CONTROLS = ("S1", "S2", "S6", "C1", "C2", "P1")
"""Unsigned, tampered, replayed, wrong identity, wrong issuer, wrong predicate."""
_POLICY, _ROOT, _CASES, _LAB, _TOOLS = "/policy.yaml", "/trusted_root.json", "/cases", "/lab", "/opt/tools"
_AT_ONCE = 4
"""Containers at a time: an engine has other work, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """What a verdict is reached with."""

    image: dagger.Container
    policy: dagger.File
    trusted_root: dagger.File
    plain_http: bool = False
    bindings: tuple[Binding, ...] = field(default=())
    """The registry, where it is a service."""

    def job(self) -> Job:
        """A clean container: no source, no build directory, no credential."""
        job = Job(container=self.image, bindings=self.bindings)
        return job.file(_POLICY, self.policy).file(_ROOT, self.trusted_root)

    def options(self) -> list[str]:
        """What every command is told."""
        plain = ["--plain-http"] if self.plain_http else []
        return ["--policy", _POLICY, "--trusted-root", _ROOT, *plain]


def verify(
    verifier: Verifier, *, references: Sequence[str], tree: dagger.Directory | None = None, record: str | None = None
) -> dagger.Container:
    """`dhallmark verify`, which fails unless everything is accepted. `record` takes the verdicts as JSON."""
    job = verifier.job()
    arguments = ["verify", *verifier.options(), *(part for one in references for part in ("--ref", one))]
    if tree is not None:
        job = job.mounted("/tree", tree)
        arguments += ["--tree", "/tree"]
    if record is not None:
        arguments += ["--record", record]
    return job.run(arguments, fresh=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forge:
    """The lab that signs mutants, and the programs of the consumers that judge them."""

    lab: dagger.Directory
    binding: Binding
    tools: dagger.Directory


class ControlError(Exception):
    """A control was not refused as it must be, or there was no telling."""


async def controls(
    verifier: Verifier, *, reference: str, only: Sequence[str], forge: Forge, subject_name: str = ""
) -> dagger.Directory:
    """Prepare the controls of the artifact `reference`, then judge each in a container of its own.

    Gives a folder with one report for each control. Raises ControlError, which names them, where any of them failed.
    """
    chosen = [part for one in only for part in ("--only", one)]
    listing = verifier.job().run(["controls", "--list", *chosen], output="/list.json").file("/list.json")
    names = [str(control["id"]) for control in json.loads(await listing.contents())["controls"]]
    job = verifier.job().bound(forge.binding).directory(_LAB, forge.lab)
    arguments = ["controls", "--ref", reference, *verifier.options(), "--lab", _LAB, *chosen]
    if subject_name:
        arguments += ["--subject-name", subject_name]
    prepared = job.run([*arguments, "--prepare-only", "--into", _CASES], fresh=True).directory(_CASES)
    prepared = await prepared.sync()

    reports: dict[str, dagger.File] = {}
    failed: dict[str, str] = {}
    limit = anyio.CapacityLimiter(_AT_ONCE)

    async def judge(name: str) -> None:
        async with limit:
            container = await _judge(verifier.image, prepared, name, tools=forge.tools).sync()
            reports[name] = container.file("/report.json")
            if await container.exit_code() != 0:
                failed[name] = await reports[name].contents() or await container.stderr()

    async with anyio.create_task_group() as group:
        for name in names:
            group.start_soon(judge, name)
    if failed:
        raise ControlError("\n".join(f"control {name}: {report}" for name, report in sorted(failed.items())))
    folder = dag.directory()
    for name, report in sorted(reports.items()):
        folder = folder.with_file(f"{name}.json", report)
    return folder


def _judge(
    image: dagger.Container, prepared: dagger.Directory, name: str, *, tools: dagger.Directory
) -> dagger.Container:
    """One control in a container that holds this case alone; it cuts itself off from the network first."""
    case = dag.directory().with_directory("/", prepared, include=["controls.json", f"{name}/**"])
    container = image.with_mounted_directory(_CASES, case).with_mounted_directory(_TOOLS, tools)
    container = container.with_env_variable("PATH", f"{_TOOLS}:${{PATH}}", expand=True)
    return Job(container=container).run(
        ["controls", "--prepared", _CASES, "--only", name],
        fresh=True,
        output="/report.json",
        expect=dagger.ReturnType.ANY,
        # `unshare --net` needs it; what runs is this project's own verifier on a case without secrets.
        privileged=True,
    )
