"""`attest`: from recorded steps to unsigned statements that the policy has accepted.

What the policy would refuse is never signed (ADR 1, point 6), so nothing that could be signed is left behind when
it refuses.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dhallmark.config.load import load_config, load_policy
from dhallmark.config.model import Config
from dhallmark.config.policy import Policy
from dhallmark.errors import FormatError, InputError, Location, VerdictError
from dhallmark.files import directory_atomic, write_atomic
from dhallmark.identity import KeyIdentity, Signatory
from dhallmark.package.model import Artifacts
from dhallmark.package.package import load_artifacts
from dhallmark.render.closure import load_closure
from dhallmark.steps.artifacts import hash_names, open_view
from dhallmark.steps.functionary import sign_links
from dhallmark.steps.link import Link, read_links
from dhallmark.steps.provenance import Builder
from dhallmark.steps.schema import validate_statement
from dhallmark.steps.source import SourceState, read_source, require_committed
from dhallmark.steps.statements import (
    BUNDLES,
    LINKS,
    STATEMENTS,
    final_reference,
    link_statement,
    make_statements,
    release_sources,
)
from dhallmark.steps.tools import tool_versions
from dhallmark.verdict import Outcome, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Attested:
    """What `attest` made."""

    source: SourceState
    statements: tuple[str, ...]
    """Paths below the build directory, sorted."""
    verdict: Verdict
    """Accepted; one part for each artifact."""


def attest(*, config: Path, build: Path, builder: Builder, allow_dirty: bool = False) -> Attested:
    """Sign the links for in-toto, write `statements/`, and check the policy on them.

    Statements and bundles of an older run are removed first. Raises InputError for a source that is not the commit's
    or not the recorded one, FormatError for steps that are no chain, VerdictError where the policy does not accept the
    release; then there are no statements.
    """
    for stale in (STATEMENTS, BUNDLES):
        if (build / stale).exists():
            shutil.rmtree(build / stale)
    settings = load_config(config)
    root = config.resolve().parent
    source = read_source(root, allow_dirty=allow_dirty, repository=settings.source.repository, build=build)
    links = sign_links(build, readme=f"{settings.project} {settings.version}")
    artifacts, closure = load_artifacts(build), load_closure(build)
    sources = release_sources(settings, config_file=config.name, closure=closure)
    require_same_sources(root, build, sources=sources, resolve=links[0])
    source = require_committed(root, sources, state=source, allow_dirty=allow_dirty)
    require_same_release(artifacts, settings, source)
    statements = make_statements(
        build=build,
        config=settings,
        config_file=config.name,
        artifacts=artifacts,
        closure=closure,
        links=links,
        source=source,
        builder=builder,
        tools=tool_versions(closure, settings),
    )
    payloads = {name: statement.payload for name, statement in sorted(statements.items())}
    verdict = judge(payloads, config=settings, policy=load_policy(root / settings.policy), build=build, root=root)
    require_accepted(verdict)
    with directory_atomic(build / STATEMENTS) as folder:
        for name, payload in payloads.items():
            write_atomic(folder / name.removeprefix(f"{STATEMENTS}/"), payload)
    return Attested(source=source, statements=tuple(payloads), verdict=verdict)


def judge(payloads: Mapping[str, bytes], *, config: Config, policy: Policy, build: Path, root: Path) -> Verdict:
    """The policy's verdict on the unsigned statements `payloads` (by path), with one part for each artifact.

    `root` is the project's folder, where the layout is that will be attached.

    A statement that belongs to no artifact of the release is refused: nothing else may be signed with it. So is a link
    that is not what its step recorded: consumers that look at subjects alone would deploy whatever it names.
    Raises FormatError for these, and for one that does not fit its schema; InputError for a layout that is not there.
    """
    from dhallmark.verify.unsigned import evaluate_unsigned

    layout = _read_layout(config, policy, root=root)
    for name, payload in payloads.items():
        validate_statement(payload, file=str(build / name))
    artifacts = load_artifacts(build)
    links = {name: payload for name, payload in payloads.items() if name.startswith(f"{LINKS}/")}
    _require_recorded_links(links, build=build)
    rest = set(payloads) - set(links)
    parts = []
    for artifact in artifacts.artifacts:
        own = {name: payloads[name] for name in sorted(rest) if name.startswith(f"{STATEMENTS}/{artifact.slug}/")}
        rest -= set(own)
        reference = final_reference(config, artifact)
        parts.append(evaluate_unsigned(own | links, policy, artifact, build=build, name=reference, layout=layout))
    if rest:
        raise FormatError(
            "the statement is about no artifact of this release",
            where=Location(file=str(build / min(rest))),
            hint="run `dhallmark attest` again",
        )
    return Verdict.of(f"{artifacts.project} {artifacts.version} (unsigned)", parts=parts)


def _read_layout(config: Config, policy: Policy, *, root: Path) -> bytes | None:
    """The bundle of the layout that the release will be judged by, if it has one. Raises InputError."""
    if policy.layout is None:
        return None
    attached = config.publish.layout
    path = policy.origin.folder / policy.layout.file if policy.layout.file else root / attached if attached else None
    try:
        return path.read_bytes() if path is not None else None
    except OSError as error:
        raise InputError(f"the layout cannot be read: {error.strerror}", where=Location(file=str(path))) from error


def _require_recorded_links(links: Mapping[str, bytes], *, build: Path) -> None:
    recorded = {f"{LINKS}/{link.name}.json": link_statement(link).payload for link in read_links(build)}
    for name in sorted(links.keys() | recorded.keys()):
        if links.get(name) != recorded.get(name):
            raise FormatError(
                "the statement is not the link that the step recorded",
                where=Location(file=str(build / name)),
                hint="run `dhallmark attest` again",
            )


def require_accepted(verdict: Verdict) -> None:
    """Raise VerdictError, about the worst part, unless the release is accepted."""
    if verdict.outcome is not Outcome.ACCEPTED:
        worst = next((part for part in verdict.parts if part.outcome is verdict.outcome), verdict)
        raise VerdictError(worst, hint="nothing was signed; see the policy file, and `dhallmark attest --output json`")


def allow_by(policy: Policy) -> Callable[[Signatory], None]:
    """A function that raises VerdictError for who may not sign every kind of statement of the policy.

    Raises ConfigError for a key of the policy that cannot be read.
    """
    from dhallmark.verify.identities import IdentityMatcher
    from dhallmark.verify.refusal import Refusal

    matcher = IdentityMatcher.of(policy)

    def allow(signatory: Signatory) -> None:
        for rule in policy.statements:
            try:
                matcher.require(signatory, rule.identities)
            except Refusal as refusal:
                who = f"key {signatory.fingerprint}" if isinstance(signatory, KeyIdentity) else signatory.subject
                raise VerdictError(
                    Verdict.of(who, checks=[refusal.check("identity")]),
                    hint="nothing was signed: the policy does not let this signer sign a release",
                ) from refusal

    return allow


def require_same_sources(root: Path, build: Path, *, sources: tuple[str, ...], resolve: Link) -> None:
    """Raise InputError unless the step `resolve` recorded exactly `sources`, as they are now."""
    with open_view(root, build) as view:
        found = hash_names(view, sources)
    for name in sorted(found.keys() | resolve.materials.keys()):
        if found.get(name) != resolve.materials.get(name):
            raise InputError(
                "the file is not the one that step resolve read",
                where=Location(file=name),
                hint="run the steps again",
            )


def require_same_release(artifacts: Artifacts, config: Config, source: SourceState) -> None:
    """Raise FormatError for artifacts of another project, version or commit."""
    expected = (config.project, config.version, source.commit_time)
    if (artifacts.project, artifacts.version, artifacts.source_date_epoch) != expected:
        raise FormatError(
            "the artifacts were packaged for another version or commit",
            where=Location(file="package/artifacts.json"),
            hint="run the steps again",
        )
