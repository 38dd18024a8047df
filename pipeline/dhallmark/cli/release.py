"""`dhallmark release`: all steps in order, by the same functions that the single commands call.

plan → resolve → render → package → push to staging → attest (and the policy on it) → sign → stage → controls →
promote → verify → deploy tree → report. Any step that fails ends the release; tags are moved by `publish` alone.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import anyio
from cyclopts import Parameter

from dhallmark import strictjson
from dhallmark.cli.gitops import TRUSTED_ROOT, consumers_trust, still_verifies
from dhallmark.cli.options import (
    SIGNING,
    AllowDirty,
    BuilderId,
    BuildFolder,
    ConfigFile,
    MoveTag,
    RegistryCa,
    SigningOptions,
)
from dhallmark.cli.output import progress, relay
from dhallmark.cli.plan import plan as write_plan
from dhallmark.cli.publish import publish as publish_signed
from dhallmark.cli.result import Result
from dhallmark.cli.signing import open_signing
from dhallmark.cli.trust import trust_root
from dhallmark.config.load import load_config, load_policy
from dhallmark.config.model import Config
from dhallmark.config.policy import Policy
from dhallmark.consumer import Target
from dhallmark.digest import Digest
from dhallmark.errors import ExitCode, VerdictError
from dhallmark.files import write_atomic
from dhallmark.gitops.write.deployment import Basis, Deployment, plan_deployment
from dhallmark.identity import Signatory
from dhallmark.oci.client import Registry
from dhallmark.oci.concurrently import concurrently
from dhallmark.package.package import load_artifacts
from dhallmark.publish.bundles import AttachedLayout
from dhallmark.publish.model import FILE as PUBLISHED
from dhallmark.publish.model import Publication, Published
from dhallmark.report.assemble import check_commands, control_lines, released
from dhallmark.report.model import FILE, ControlLine, Released, Report
from dhallmark.report.table import render
from dhallmark.sign.signer import CONCURRENCY, SignedRelease
from dhallmark.steps.attest import Attested
from dhallmark.steps.attest import attest as attest_release
from dhallmark.steps.ci import detect_builder
from dhallmark.steps.provenance import Builder
from dhallmark.steps.run import run_step
from dhallmark.verify.artifact import verify_artifact
from dhallmark.verify.identities import managed_keys
from dhallmark.verify.trust import TrustRoot


@dataclass(frozen=True, slots=True, kw_only=True)
class _Release:
    """What a release is made with; every step gets it from here."""

    config_file: Path
    build: Path
    config: Config
    policy: Policy
    trust: bytes
    """A trusted_root.json."""
    registry_ca: Path | None

    @property
    def root(self) -> Path:
        return self.config_file.parent

    @property
    def policy_file(self) -> Path:
        return self.root / self.config.policy

    @property
    def trusted_root_file(self) -> Path:
        return self.build / TRUSTED_ROOT


def release(
    *,
    config: ConfigFile = Path("dhallmark.yaml"),
    build: BuildFolder = Path("build"),
    deploy: Annotated[Path | None, Parameter(help="Working tree of the deploy repository, to be written.")] = None,
    trusted_root: Annotated[
        Path | None, Parameter(help="A Sigstore trusted_root.json. That of the instance that signs otherwise.")
    ] = None,
    signing: SigningOptions = SIGNING,
    builder_id: BuilderId = None,
    controls: Annotated[
        bool, Parameter(help="Show that tampered copies of the release are refused.", negative=())
    ] = False,
    allow_dirty: AllowDirty = False,
    move_tag: MoveTag = False,
    registry_ca: RegistryCa = None,
) -> Result:
    """Do all steps of a release in order, and close with what was made, where it is, and how to check it.

    In a GitHub Actions or GitLab CI job the token is the job's own; --key signs without one. The exit code is that of
    the worst verdict.
    """
    # Whatever can be known to be wrong is found before anything is done.
    builder = Builder(id=builder_id) if builder_id else detect_builder(os.environ)
    settings = load_config(config)
    root = config.parent
    if settings.publish.layout is not None:
        AttachedLayout.read(root, settings.publish.layout)
    run = _Release(
        config_file=config,
        build=build,
        config=settings,
        policy=load_policy(root / settings.policy),
        trust=trust_root(
            settings,
            root=root,
            trusted_root=trusted_root,
            trust_config=signing.trust_config,
            keyed=signing.key is not None,
        ),
        registry_ca=registry_ca,
    )
    trust = TrustRoot.parse(run.trust)
    configured = root / settings.signing.trust_config if settings.signing.trust_config else None
    with open_signing(signing, concurrency=CONCURRENCY) as sign:
        attested = _make(run, builder=builder, allow_dirty=allow_dirty)
        signed = sign(build, signing.trust_config or configured, run.policy)
    return _finish(run, attested, signed, trust, deploy=deploy, controls=controls, move_tag=move_tag)


def _finish(
    run: _Release,
    attested: Attested,
    signed: SignedRelease[Signatory],
    trust: TrustRoot,
    *,
    deploy: Path | None,
    controls: bool,
    move_tag: bool,
) -> Result:
    """From bundles to the closing report. With `controls`, these must pass before anything is promoted."""
    settings = run.config
    write_atomic(run.trusted_root_file, run.trust)
    publish = partial(
        publish_signed,
        config=run.config_file,
        build=run.build,
        trusted_root=run.trusted_root_file,
        move_tag=move_tag,
        registry_ca=run.registry_ca,
    )
    publish(phase="stage")
    findings = anyio.run(_controls, run) if controls else None
    publish(phase="promote")
    publication = Publication.parse((run.build / PUBLISHED).read_bytes(), file=str(run.build / PUBLISHED))
    verified = anyio.run(_verify, run, publication, trust)
    deployment = _write_deployment(run, deploy) if deploy is not None else None
    report = Report(
        project=settings.project,
        version=settings.version,
        revision=attested.source.revision,
        artifacts=verified,
        controls=findings,
        tree=_changed(deployment),
        foreign=deployment.tree.change.foreign if deployment is not None else (),
        checks=check_commands(
            publication.artifacts,
            identity=signed.identity,
            key=_key_file(run.policy, signed.identity),
            policy=run.policy_file,
            trusted_root=run.trusted_root_file,
            tree=deploy,
            plain_http=settings.publish.plain_http,
        ),
    )
    write_atomic(run.build / FILE, strictjson.dump(report.to_json()))
    return Result(data=report.to_json(), text=render(report), exit_code=report.exit_code)


def _key_file(policy: Policy, signer: Signatory) -> Path | None:
    """The public key of the policy that the release was signed with; None for an identity."""
    names = [name for name, key in managed_keys(policy).items() if key.identity == signer]
    found = policy.identities[names[0]].key if names else None
    return None if found is None else policy.origin.folder / found


def _make(run: _Release, *, builder: Builder, allow_dirty: bool) -> Attested:
    """From the source to staged artifacts and unsigned statements that the policy accepts."""
    write_plan(config=run.config_file, build=run.build, allow_dirty=allow_dirty)
    ca = ["--registry-ca", str(run.registry_ca)] if run.registry_ca else []
    for name in ("resolve", "render", "package"):
        run_step(name, config=run.config_file, build=run.build, write=relay())
    run_step("publish", config=run.config_file, build=run.build, words=ca, write=relay())
    listener = progress()
    listener.start("attest")
    attested = attest_release(config=run.config_file, build=run.build, builder=builder, allow_dirty=allow_dirty)
    listener.done("attest", summary=f"{len(attested.statements)} statements, accepted by the policy")
    return attested


async def _verify(run: _Release, publication: Publication, trust: TrustRoot) -> tuple[Released, ...]:
    """What the verifier says of every artifact, read afresh from where consumers read, by the digest of its tag."""
    place = run.config.publish
    listener = progress()
    listener.start("verify", total=len(publication.artifacts))
    async with Registry(place.registry, plain_http=place.plain_http, ca=run.registry_ca) as registry:

        async def one(published: Published) -> Released:
            verdict = await verify_artifact(registry, _target(run, published), run.policy, trust)
            listener.advance("verify")
            return released(published, verdict)

        found = await concurrently([partial(one, published) for published in publication.artifacts])
    listener.done("verify", summary=f"{len(found)} artifacts")
    return tuple(found)


def _target(run: _Release, published: Published) -> Target:
    return Target(
        repository=published.repository,
        digest=Digest(published.digest),
        trusted_root=run.trusted_root_file,
        policy=run.policy_file,
        plain_http=run.config.publish.plain_http,
    )


async def _controls(run: _Release) -> tuple[ControlLine, ...]:
    """The first controls, on tampered copies of one staged artifact. Raises VerdictError unless all are refused."""
    from dhallmark.controls.catalogue import FIRST
    from dhallmark.controls.consumers import BUILT_IN
    from dhallmark.controls.prepare import prepare_controls
    from dhallmark.controls.run import run_controls

    place = run.config.publish
    first = load_artifacts(run.build).artifacts[0]
    staged = Target(
        repository=f"{place.registry}/{place.staging}/{first.repository}",
        digest=first.manifest_digest,
        trusted_root=run.trusted_root_file,
        policy=run.policy_file,
        subject_name=f"{place.registry}/{place.repository}/{first.repository}",
        plain_http=place.plain_http,
    )
    with tempfile.TemporaryDirectory(prefix="dhallmark-controls-") as folder:
        prepared = Path(folder) / "prepared"
        await prepare_controls(staged, FIRST, into=prepared, registry_ca=run.registry_ca, progress=progress())
        report = await run_controls(prepared, controls=FIRST, consumers=BUILT_IN, progress=progress())
    if report.exit_code is not ExitCode.OK:
        raise VerdictError(report.verdict(), hint="nothing was promoted; read what each consumer said")
    return control_lines(report)


def _write_deployment(run: _Release, deploy: Path) -> Deployment:
    listener = progress()
    listener.start("deploy repository")
    trust = consumers_trust(run.config, root=run.root, build=run.build)
    basis = Basis(config=run.config, policy=run.policy, policy_file=run.policy_file.read_bytes(), trust=trust)
    deployment = plan_deployment(basis, build=run.build, to=deploy, keep=still_verifies(run.policy, trust))
    deployment.apply()
    listener.done("deploy repository", summary=f"{len(deployment.files)} files changed")
    return deployment


def _changed(deployment: Deployment | None) -> tuple[str, ...] | None:
    return None if deployment is None else tuple(sorted(one.path for one in deployment.files))
