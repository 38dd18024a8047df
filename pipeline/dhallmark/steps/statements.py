"""All unsigned statements of a release, from its build directory.

For each artifact the signature statement and the provenance; for the release one link statement per step. Paths below
the build directory: `statements/<environment>/<name>/{sign,provenance}.json` and `statements/links/<step>.json`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from dhallmark.config.model import Config
from dhallmark.digest import Digest
from dhallmark.package.model import Artifact, Artifacts
from dhallmark.render.closure import Closure, Import
from dhallmark.statement import COSIGN_SIGN_V1, LINK_V0_3, Statement, Subject
from dhallmark.steps.functionary import FUNCTIONARY_KEY, LAYOUT, LAYOUT_KEY
from dhallmark.steps.link import Link
from dhallmark.steps.provenance import Builder, Dependency, make_provenance
from dhallmark.steps.source import SourceState

STATEMENTS = "statements"
"""Folder of the unsigned statements in a build directory."""
LINKS = f"{STATEMENTS}/links"
"""Folder of the link statements, which all artifacts share."""
BUNDLES = "bundles"
"""Folder of the signed statements, by the same names."""


def final_reference(config: Config, artifact: Artifact) -> str:
    """The name of an artifact in its statements: its repository for consumers, with the registry, without tag."""
    return f"{config.publish.registry}/{config.publish.repository}/{artifact.repository}"


def make_statements(
    *,
    build: Path,
    config: Config,
    config_file: str,
    artifacts: Artifacts,
    closure: Closure,
    links: Sequence[Link],
    source: SourceState,
    builder: Builder,
    tools: Mapping[str, str],
) -> dict[str, Statement]:
    """The statements by their path below the build directory. Reads the signed layout from `build`, and nothing else.

    `config_file` is the name of `dhallmark.yaml` in the project. Raises FormatError.
    """
    sources = {name: Digest.from_hex(digests["sha256"]) for name, digests in links[0].materials.items()}
    byproducts = [
        Dependency(name=name, digest=Digest.of_file(build / name)) for name in (LAYOUT, LAYOUT_KEY, FUNCTIONARY_KEY)
    ]
    bundle = Dependency(name="materials", digest=artifacts.materials.digest, media_type=artifacts.materials.media_type)
    made: dict[str, Statement] = {}
    for artifact in artifacts.artifacts:
        reference = final_reference(config, artifact)
        folder = f"{STATEMENTS}/{artifact.slug}"
        made[f"{folder}/sign.json"] = Statement.build(
            predicate_type=COSIGN_SIGN_V1, subjects=[Subject(reference, artifact.manifest_digest)], predicate={}
        )
        made[f"{folder}/provenance.json"] = make_provenance(
            artifact,
            artifacts=artifacts,
            source=source,
            repository=config.source.repository,
            config=config_file,
            builder=builder,
            tools=tools,
            dependencies=[
                *_dependencies(artifact, config=config, config_file=config_file, closure=closure, sources=sources),
                bundle,
            ],
            byproducts=byproducts,
            reference=reference,
        )
    for link in links:
        made[f"{LINKS}/{link.name}.json"] = link_statement(link)
    return made


def link_statement(link: Link) -> Statement:
    """A link as a statement of type link/v0.3: its products are the subjects.

    Source: in-toto attestation framework, spec/predicates/link.md, whose "Converting to old-style links" gives the
    very link back.
    """
    return Statement.build(
        predicate_type=LINK_V0_3,
        subjects=[Subject(name, Digest.from_hex(digests["sha256"])) for name, digests in sorted(link.products.items())],
        predicate={
            "name": link.name,
            "command": list(link.command),
            "materials": [{"name": name, "digest": dict(digests)} for name, digests in sorted(link.materials.items())],
            "byproducts": dict(link.byproducts),
            "environment": dict(link.environment),
        },
    )


def release_sources(config: Config, *, config_file: str, closure: Closure) -> tuple[str, ...]:
    """Every file of the project that decides on the release, sorted: configuration, attached layout, local imports."""
    values = {application.chart.values for application in config.applications.values()}
    named = {config_file, config.policy, config.signing.trust_config, config.publish.layout, *values}
    local = {item.path for item in closure.imports}
    return tuple(sorted(name for name in named | local if name is not None))


def _dependencies(
    artifact: Artifact, *, config: Config, config_file: str, closure: Closure, sources: Mapping[str, Digest]
) -> list[Dependency]:
    """What an artifact was made from: its units' imports, the configuration, and their charts' values files."""
    applications = _applications(artifact, config)
    imports: dict[str, Import] = {}
    for application in applications:
        imports |= {item.id: item for item in closure.of_unit(artifact.environment, application)}
    plain = {config_file, *(config.applications[name].chart.values for name in applications)}
    local = {item.path: item for item in imports.values() if item.path is not None}
    found = [
        Dependency(name=name, digest=sources[name], annotations=_annotations(local.get(name)))
        for name in sorted({*filter(None, plain), *local})
    ]
    return [*found, *_remote(imports)]


def _remote(imports: Mapping[str, Import]) -> Iterator[Dependency]:
    for item in sorted(imports.values(), key=lambda item: item.id):
        if item.url is not None:
            yield Dependency(name=item.id, uri=item.url, digest=item.sha256, annotations=_annotations(item))


def _annotations(item: Import | None) -> dict[str, str] | None:
    return {"semanticHash": str(item.semantic_hash)} if item is not None else None


def _applications(artifact: Artifact, config: Config) -> list[str]:
    if artifact.application is not None:
        return [artifact.application]
    return [
        name
        for name, application in sorted(config.applications.items())
        if artifact.environment in (application.environments or config.environments)
    ]
