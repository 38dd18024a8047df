"""Verification and controls: containers that hold the verifier, the trust root, the policy, the artifact; no more."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import anyio
import dagger
from dagger import dag

from dhallmark.module.job import Binding, Job

_POLICIES, _ROOT, _CASES, _TOOLS = "/policy", "/trusted_root.json", "/cases", "/opt/tools"
_POLICY = f"{_POLICIES}/policy.yaml"
_AT_ONCE = 4
"""Containers at a time: an engine has other work, too."""
_CONFIGURATIONS, _REPORTS, _MADE, _REPORT = "/configurations", "/reports", "/made", "/report.json"
_REFUSED = "security.insecure is not allowed"
"""What an engine says whose administrator forbids `insecure_root_capabilities` (BuildKit, util/entitlements)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """What a verdict is reached with."""

    image: dagger.Container
    policy: dagger.File
    trusted_root: dagger.File
    beside: dagger.Directory | None = None
    """What the policy names, by the paths in it."""
    plain_http: bool = False
    bindings: tuple[Binding, ...] = field(default=())
    """The registry, where it is a service."""

    def job(self) -> Job:
        """A clean container: no source, no build directory, no credential."""
        folder = (self.beside or dag.directory()).with_file("policy.yaml", self.policy)
        job = Job(container=self.image, bindings=self.bindings).mounted(_POLICIES, folder)
        return job.file(_ROOT, self.trusted_root)

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


def with_tools(job: Job, tools: dagger.Directory) -> Job:
    """A job with the programs of `tools` on its PATH."""
    container = job.container.with_mounted_directory(_TOOLS, tools)
    return replace(job, container=container.with_env_variable("PATH", f"{_TOOLS}:${{PATH}}", expand=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """Who judges controls: consumers, the programs that they are, and how the user has set them up."""

    tools: dagger.Directory
    """The programs of the consumers, and the registry that they are shown mutants by."""
    consumers: tuple[str, ...] = ()
    """The command's own choice where it is empty."""
    flux: dagger.File | None = None
    kyverno: dagger.File | None = None

    def seated(self, container: dagger.Container) -> tuple[Job, list[str]]:
        """A job with all of that in `container`, and the options that say so."""
        job = with_tools(Job(container=container), self.tools)
        options = [part for one in self.consumers for part in ("--consumer", one)]
        for name, file in (("flux", self.flux), ("kyverno", self.kyverno)):
            if file is not None:
                job = job.file(f"{_CONFIGURATIONS}/{name}.yaml", file)
                options += [f"--{name}", f"{_CONFIGURATIONS}/{name}.yaml"]
        return job, options


class ControlError(Exception):
    """A control was not refused as it must be, or there was no telling."""


async def controls(
    verifier: Verifier, *, reference: str, only: Sequence[str] | None, panel: Panel, subject_name: str = ""
) -> dagger.Directory:
    """Prepare the controls of the artifact `reference`, then judge each in a container of its own.

    Gives a folder with one report of all, as `report.json`, `report.html` and `report.junit.xml`, those on single
    controls in `each/`, and a statement that can be signed, `evidence/test-result.json`. Raises ControlError with the
    report where any of them failed.
    """
    chosen = ["--first"] if only is None else [part for one in only for part in ("--only", one)]
    listing = verifier.job().run(["controls", "--list", *chosen], output="/list.json").file("/list.json")
    names = [str(control["id"]) for control in json.loads(await listing.contents())["controls"]]
    arguments = ["controls", "--ref", reference, *verifier.options(), *chosen]
    if subject_name:
        arguments += ["--subject-name", subject_name]
    prepared = verifier.job().run([*arguments, "--prepare-only", "--into", _CASES], fresh=True).directory(_CASES)
    prepared = await prepared.sync()

    reports: dict[str, dagger.File] = {}
    limit = anyio.CapacityLimiter(_AT_ONCE)

    async def judge(name: str) -> None:
        async with limit:
            reports[name] = await _judge(verifier.image, prepared, name, panel=panel)

    async with anyio.create_task_group() as group:
        for name in names:
            group.start_soon(judge, name)
    folder = dag.directory()
    for name, report in sorted(reports.items()):
        folder = folder.with_file(f"{name}.json", report)
    return await _collect(verifier, prepared, folder, chosen=chosen, panel=panel)


async def _judge(image: dagger.Container, prepared: dagger.Directory, name: str, *, panel: Panel) -> dagger.File:
    """The report on one control, by a container that holds this case alone and cuts itself off from everything else."""
    case = dag.directory().with_directory("/", prepared, include=["controls.json", f"{name}/**"])
    job, options = panel.seated(image.with_mounted_directory(_CASES, case))
    run = partial(
        job.run,
        ["controls", "--prepared", _CASES, "--case", name, *options],
        fresh=True,
        output=_REPORT,
        expect=dagger.ReturnType.ANY,
    )
    try:
        # Namespaces need it; what runs is this project's own program, on a case without secrets.
        container = await run(privileged=True).sync()
    except dagger.QueryError as error:
        if _REFUSED not in str(error):
            raise
        # Without it, the command says itself what it lacks: `indeterminate(isolation.unavailable)`.
        container = await run().sync()
    return container.file(_REPORT)


async def _collect(
    verifier: Verifier, prepared: dagger.Directory, reports: dagger.Directory, *, chosen: Sequence[str], panel: Panel
) -> dagger.Directory:
    """What `reports` come to, and they themselves. Raises ControlError."""
    job, options = panel.seated(verifier.job().container)
    job = job.mounted(_CASES, prepared).mounted(_REPORTS, reports)
    arguments = ["controls", "--prepared", _CASES, "--reports", _REPORTS, "--policy", _POLICY, *chosen, *options]
    arguments += ["--statement", f"{_MADE}/evidence/test-result.json"]
    for form, name in (("json", "report.json"), ("html", "report.html"), ("junit", "report.junit.xml")):
        arguments += ["--report", f"{form}={_MADE}/{name}"]
    done = await job.variable("COLUMNS", "180").run(arguments, fresh=True, expect=dagger.ReturnType.ANY).sync()
    if await done.exit_code() != 0:
        raise ControlError((await done.stdout()) + (await done.stderr()))
    return done.directory(_MADE).with_directory("each", reports)
