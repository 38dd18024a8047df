"""The proof of an environment: its manifests at a real API server, and Flux's own word on good and bad artifacts.

1. Every manifest is applied with strict field validation, for each version of Flux with the definitions of that
   version, and read back (`apply`): a key that is dropped, at whatever path, is found here.
2. Of each source the artifact that it names is read from its registry; the policy must accept it (`controls.prepare`).
3. Copies of that artifact are made that must be refused: unsigned, by another identity, of another issuer, tampered.
4. Flux's verification code is asked about them with the `verify` block as the API server has it: the good artifact
   before and after each bad one, so that an outage is no refusal (`controls.run`).
5. A source-controller that is given works on the stored objects itself, and its conditions are read (`controller`).

Nothing that was not looked at counts: no source, no control, no answer is `indeterminate`.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread

from dhallmark.consumer import Target
from dhallmark.control import Control
from dhallmark.controls.case import GOOD, MUTANT, Case, Side
from dhallmark.controls.catalogue import select
from dhallmark.controls.consumers.dialect import FLUX_1_8, FLUX_1_9
from dhallmark.controls.prepare import merge_trust, prepare_controls
from dhallmark.controls.report import Finding, Report, Status
from dhallmark.controls.run import run_controls
from dhallmark.digest import Digest
from dhallmark.errors import Error, RegistryError, UnavailableError, UsageError, VerdictError
from dhallmark.gitops.lint.fields import Flux
from dhallmark.kubernetes.crds import definitions_of
from dhallmark.kubernetes.source_controller import PROGRAM
from dhallmark.oci.client import Registry
from dhallmark.oci.descriptor import split_repository
from dhallmark.progress import Progress, Silent
from dhallmark.prove import conditions
from dhallmark.prove.cluster import IsolationError, ask
from dhallmark.prove.manifests import Manifest, Manifests
from dhallmark.prove.sources import (
    Source,
    beside,
    check_trusted_root,
    check_verify,
    find_sources,
    public_keys,
    write_configuration,
)
from dhallmark.reasons import Reason
from dhallmark.verdict import Check, Outcome, Verdict

CONSUMERS: Final[Mapping[Flux, str]] = {Flux.V2_8: FLUX_1_8, Flux.V2_9: FLUX_1_9}
"""The verification code of each version of Flux."""
CONTROLS: Final = ("S1", "C1", "C2", "S2-repacked", "S6")
"""What must be refused: unsigned, wrong identity, wrong issuer, tampered, signed for another."""
PUSHED: Final = "S2-repacked"
"""What is pushed over the good artifact: it has another digest."""
SHOWN: Final = ("S1", "C1", "C2", PUSHED)
"""What a source-controller is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """A source-controller that is to run."""

    program: str
    """Its path."""
    version: str
    """As whoever named it says."""
    substitution: str = ""
    """What of it is not what is released, in a sentence; empty where nothing is known to differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be proved."""

    environment: str
    manifests: Manifests
    policy: Path
    trusted_root: Path
    flux: Sequence[Flux] = (Flux.V2_9,)
    definitions: Sequence[Mapping[str, Any]] = ()
    """CustomResourceDefinitions beside Flux's."""
    controller: Controller | None = None
    programs: Mapping[Flux, str] = field(default_factory=dict)
    """The program of each version's verification code, where it is not the one on PATH."""
    plain_http: bool = False
    registry_ca: Path | None = None
    lab: Path | None = None
    """Directory of a lab with whose keys bad artifacts are signed; keys made for the occasion otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proved:
    """One artifact that the proof is about."""

    source: str
    """Such as `OCIRepository flux-system/web`."""
    repository: str
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What came of it."""

    question: Question
    verdict: Verdict
    proved: tuple[Proved, ...]
    findings: tuple[tuple[str, Finding], ...]
    """Each control with each version of Flux, and the source that it was about."""
    kubernetes: str
    """The API server's version; empty where it did not answer."""
    unproved: tuple[str, ...]
    """What is among the manifests and nothing is proved of, in sentences."""
    asserted: tuple[tuple[str, bool], ...] = ()
    """What was asserted of the controller, by name, and whether it held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """A source whose artifact was read, and its bad copies."""

    source: Source
    digest: Digest
    folder: Path
    """Of prepared controls."""


@dataclass(slots=True)
class _Proving:
    question: Question
    folder: Path
    progress: Progress
    stored: dict[Flux, list[Mapping[str, Any] | None]] = field(default_factory=dict)
    kubernetes: str = ""
    findings: list[tuple[str, Finding]] = field(default_factory=list)
    asserted: list[tuple[str, bool]] = field(default_factory=list)

    async def run(self) -> Proof:
        sources = find_sources(self.question.manifests)
        parts = [await self._applied(flux) for flux in self.question.flux]
        prepared: list[_Prepared] = []
        for source in sources:
            verdict, ready = await self._prepare(source, len(prepared))
            if ready is not None:
                prepared.append(ready)
            else:
                parts.append(verdict)
        judged = [await self._verified(flux, sources, prepared) for flux in self.question.flux]
        # Of what no API server took, nothing can be asked; that it took none is told above.
        parts += [one for one in judged if one.parts or not sources]
        if self.question.controller is not None and prepared:
            parts.append(await self._controlled(self.question.controller, prepared))
        return Proof(
            question=self.question,
            verdict=Verdict.of(f"environment {self.question.environment}", parts=parts),
            proved=tuple(
                Proved(source=one.source.manifest.subject, repository=one.source.repository, digest=one.digest)
                for one in prepared
            ),
            findings=tuple(self.findings),
            kubernetes=self.kubernetes,
            unproved=tuple(_unproved(self.question.manifests, sources)),
            asserted=tuple(self.asserted),
        )

    # The API server

    async def _applied(self, flux: Flux) -> Verdict:
        """Every manifest at an API server with the definitions of `flux`."""
        objects = _appliable(self.question.manifests)
        subject = f"manifests at an API server with the definitions of Flux {flux.value}"
        self.progress.start(f"apply, Flux {flux.value}", total=None)
        try:
            answer = await ask(
                "apply",
                {"objects": [one.body for one in objects]},
                flux=flux,
                definitions=self.question.definitions,
            )
        except UnavailableError as error:
            return Verdict.of(subject, checks=[_unavailable("API server", error)])
        finally:
            self.progress.done(f"apply, Flux {flux.value}", summary=f"{len(objects)} objects")
        self.kubernetes = str(answer["kubernetes"])
        applied = answer["applied"]
        self.stored[flux] = [one["stored"] for one in applied]
        parts = [
            Verdict.of(one.subject, checks=[one.located(_check(body)) for body in result["checks"]])
            for one, result in zip(objects, applied, strict=True)
        ]
        return Verdict.of(subject, parts=parts)

    def _stored_as(self, flux: Flux, source: Source) -> Mapping[str, Any] | None:
        """What an API server stored of a source; None where it did not take it."""
        objects = _appliable(self.question.manifests)
        stored = self.stored.get(flux)
        return stored[objects.index(source.manifest)] if stored else None

    # The artifacts

    async def _prepare(self, source: Source, number: int) -> tuple[Verdict, _Prepared | None]:
        """Read the artifact that a source names, and make what must be refused."""
        subject = f"{source.manifest.subject}: the artifact that it names"
        folder = self.folder / f"controls-{number}"
        try:
            digest = source.digest or await self._resolve(source)
            target = Target(
                repository=source.repository,
                digest=digest,
                trusted_root=self.question.trusted_root,
                policy=self.question.policy,
                plain_http=self._plain(source),
            )
            await prepare_controls(
                target,
                _controls(),
                into=folder,
                lab=self.question.lab,
                registry_ca=self.question.registry_ca,
                progress=self.progress,
            )
        except VerdictError as error:
            # The artifact's own verdict: what is wrong with it is told there.
            return Verdict.of(subject, parts=[error.verdict]), None
        except RegistryError as error:
            check = Check(name="registry", reason=Reason.REGISTRY_UNAVAILABLE, detail=error.message)
            return Verdict.of(subject, checks=[source.manifest.located(check)]), None
        return Verdict.of(subject), _Prepared(source=source, digest=digest, folder=folder)

    async def _resolve(self, source: Source) -> Digest:
        host, path = split_repository(source.repository)
        async with Registry(host, plain_http=self._plain(source), ca=self.question.registry_ca) as registry:
            return await registry.resolve(path, source.tag)

    def _plain(self, source: Source) -> bool:
        return self.question.plain_http or source.insecure

    # Flux's own code

    async def _verified(self, flux: Flux, sources: Sequence[Source], prepared: Sequence[_Prepared]) -> Verdict:
        """What Flux's verification code says of every source as it is stored."""
        consumer = CONSUMERS[flux]
        parts = []
        ready = {one.source.manifest.subject: one for one in prepared}
        for source in sources:
            stored = self._stored_as(flux, source)
            if stored is None:
                continue  # refused by the API server, which is told above
            verify = source.manifest.located(check_verify(source, stored))
            root = check_trusted_root(source, self.question.trusted_root.read_bytes())
            checks = [verify, *([source.manifest.located(root)] if root is not None else [])]
            here = ready.get(source.manifest.subject)
            if verify.reason is None and here is not None:
                checks += await self._judged(flux, here, stored)
            parts.append(Verdict.of(source.manifest.subject, checks=checks))
        return Verdict.of(f"Flux {flux.value}, its own verification code ({consumer})", parts=parts)

    async def _judged(self, flux: Flux, prepared: _Prepared, stored: Mapping[str, Any]) -> list[Check]:
        consumer = CONSUMERS[flux]
        program = self.question.programs.get(flux, "")
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            await anyio.Path(folder).chmod(0o755)
            report = await run_controls(
                prepared.folder,
                controls=_controls(),
                consumers=[f"{consumer}={program}" if program else consumer],
                configurations={consumer: write_configuration(Path(folder), prepared.source, stored)},
                progress=self.progress,
            )
        self.findings += [(prepared.source.manifest.subject, finding) for finding in report.findings]
        return [prepared.source.manifest.located(check) for check in checks_of(report)]

    # The controller itself

    async def _controlled(self, controller: Controller, prepared: Sequence[_Prepared]) -> Verdict:
        flux = self.question.flux[-1]
        shown = [(one, self._stored_as(flux, one.source)) for one in prepared]
        asked = [(one, stored) for one, stored in shown if stored is not None and stored["spec"].get("verify")]
        subject = f"{PROGRAM} {controller.version}, the controller itself"
        if not asked:
            return Verdict.of(subject)
        self.progress.start(PROGRAM, total=None)
        request = {
            "program": controller.program,
            "trusted_root": str(await anyio.to_thread.run_sync(self._believed, [one for one, _ in asked])),
            "sources": [_shown(one, stored) for one, stored in asked],
        }
        try:
            answer = await ask("controller", request, flux=flux, definitions=self.question.definitions)
        except UnavailableError as error:
            return Verdict.of(subject, checks=[_unavailable(PROGRAM, error)])
        finally:
            self.progress.done(PROGRAM, summary=f"{len(asked)} sources")
        parts = []
        for (one, _), statuses in zip(asked, answer["sources"], strict=True):
            checks = conditions.judge(statuses, good=one.digest, expected=_expected(one), pushed=PUSHED)
            name = one.source.manifest.subject
            self.asserted += [(f"{name}/{check.name}", check.reason is None) for check in checks]
            parts.append(Verdict.of(name, checks=[one.source.manifest.located(check) for check in checks]))
        return Verdict.of(subject, parts=parts)

    def _believed(self, prepared: Sequence[_Prepared]) -> Path:
        """A trust root that holds those of all sources: a deployment has one for all that name none."""
        roots = [_side(one, CONTROLS[0], GOOD).trusted_root.read_bytes() for one in prepared]
        path = self.folder / "trusted_root.json"
        path.write_bytes(reduce(merge_trust, roots))
        return path


async def prove(question: Question, *, progress: Progress | None = None) -> Proof:
    """Prove what `question` asks for. Raises InputError, UsageError, and what preparing controls raises."""
    for flux in question.flux:
        if flux not in CONSUMERS:
            raise UsageError(f"no verification code of Flux {flux.value} is known")
    with tempfile.TemporaryDirectory(prefix="dhallmark-prove-", ignore_cleanup_errors=True) as folder:
        await anyio.Path(folder).chmod(0o755)  # cases are judged by users who are nobody here
        return await _Proving(question, Path(folder), progress or Silent()).run()


def checks_of(report: Report) -> list[Check]:
    """The checks that a run of controls with one consumer amounts to, with the consumer's own words."""
    checks = []
    for finding in report.findings:
        reason = {Status.FAILED: Reason.CONTROL_FAILED, Status.INDETERMINATE: Reason.CONTROL_UNANSWERED}.get(
            finding.status
        )
        name = f"{finding.case.id} {finding.case.title}"
        said = finding.explanation or f"{finding.mutant}, in its own words: {finding.mutant.words}"
        detail = f"{finding.case.id}: {said}"
        checks.append(Check(name=name, reason=reason, detail=detail, evidence={"consumer": finding.consumer}))
    if report.findings and all(
        answer.outcome is Outcome.ACCEPTED for one in report.findings for answer in (one.before, one.after)
    ):
        checks.insert(0, Check(name="the good artifact", detail="accepted before and after each of the others"))
    if not report.findings:
        checks.append(Check(name="controls", reason=Reason.NOTHING_CHECKED, detail="no control could be made"))
    return checks


def _controls() -> tuple[Control, ...]:
    return select(cases=CONTROLS)


def _side(prepared: _Prepared, control: str, side: str) -> Side:
    return Side(prepared.folder / control / side)


def _shown(prepared: _Prepared, stored: Mapping[str, Any]) -> dict[str, Any]:
    """What the controller is shown of a source."""
    source = prepared.source
    root = source.secret_named("trustedRootSecretRef")
    keys = source.secret_named("secretRef")
    secrets = {keys: public_keys(source.secrets[keys])} if keys in source.secrets else {}
    if root:
        # With the authorities that the bad artifacts are signed by: those must fail for their flaw.
        secrets[root] = {"trusted_root.json": _side(prepared, CONTROLS[0], GOOD).trusted_root.read_text()}
    shown = {"good": {"layout": str(_side(prepared, CONTROLS[0], GOOD).artifact), "digest": str(prepared.digest)}}
    for name, case in _cases(prepared).items():
        shown[name] = {"layout": str(_side(prepared, name, MUTANT).artifact), "digest": str(case.mutant)}
    return {"object": stored, "secrets": secrets, "shown": shown, "pushed": PUSHED}


def _cases(prepared: _Prepared) -> dict[str, Case]:
    """The cases that the controller is shown, without those that cannot be made of this artifact."""
    read = {name: Case.read(prepared.folder / name) for name in SHOWN}
    return {name: case for name, case in read.items() if not case.not_applicable}


def _expected(prepared: _Prepared) -> dict[str, Reason]:
    """Why each bad artifact must be refused by the controller: as its verification code must."""
    found = {name: case.expect[FLUX_1_9].reason for name, case in _cases(prepared).items()}
    return {name: reason for name, reason in found.items() if reason is not None}


def _appliable(manifests: Manifests) -> list[Manifest]:
    """All objects but those that only a cluster with their keys can read."""
    return [one for one in manifests.objects if "sops" not in one.body]


def _unproved(manifests: Manifests, sources: Sequence[Source]) -> list[str]:
    said = [f"{name}: a file of Kustomize's; prove what it builds" for name in manifests.skipped]
    said += [f"{one.subject}: encrypted, so it was not applied" for one in manifests.objects if "sops" in one.body]
    said += [
        f"{one.subject}: Flux verifies no attestation of a {one.kind}; nothing is proved of what it brings"
        for one in beside(manifests)
    ]
    for source in sources:
        if source.secret_named("trustedRootSecretRef") and not source.secrets.get(
            source.secret_named("trustedRootSecretRef")
        ):
            said.append(
                f"{source.manifest.subject}: the Secret with its trust root is not among the manifests; "
                "it was proved with the one that was given"
            )
    return said


def _check(body: Mapping[str, Any]) -> Check:
    return Check(
        name=body["name"],
        reason=Reason(body["reason"]) if body["reason"] else None,
        detail=body["detail"],
        evidence=body["evidence"],
    )


def _unavailable(name: str, error: Error) -> Check:
    if isinstance(error, IsolationError):
        return Check(name=name, reason=Reason.ISOLATION_UNAVAILABLE, detail=error.message)
    words = getattr(error, "stderr", "")
    return Check(name=name, reason=Reason.CLUSTER_UNAVAILABLE, detail=f"{error.message}\n{words}".strip()[-2000:])


def find_controller(program: str) -> str:
    """The path of a source-controller. Raises UsageError."""
    found = shutil.which(program)
    if found is None:
        raise UsageError(f"there is no program {program!r}", hint="name it with --source-controller")
    return str(Path(found).absolute())


def controllers_of(flux: Flux) -> Mapping[str, str]:
    """The versions of the controllers whose definitions are used for a version of Flux."""
    return definitions_of(flux).controllers
