"""Releases by a builder with a key, who may lie: what an auditor is shown in an OCI image layout.

Everything is made by the real steps. Where a builder lies, the last of them is told other bytes, and the signatures are
good all the same: that is what an audit is for, and what no verification sees.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
from cryptography.hazmat.primitives.asymmetric import ec

from dhallmark import strictjson
from dhallmark.cli.init import Platform, init
from dhallmark.config.load import load_config
from dhallmark.digest import Digest
from dhallmark.files import write_atomic
from dhallmark.oci.descriptor import (
    BUNDLE_V0_3,
    Attachment,
    Manifest,
    bundle_annotations,
)
from dhallmark.oci.layout import LayoutWriter, blob_path, read_manifest
from dhallmark.package.model import Artifact, Artifacts
from dhallmark.package.package import LAYOUT, materials_attachment, package
from dhallmark.plan import make_plan
from dhallmark.render.closure import load_closure
from dhallmark.render.render import render
from dhallmark.render.resolve import resolve
from dhallmark.sign.document import sign_document_with_key
from dhallmark.sign.key import PemKey, public_pem
from dhallmark.statement import COSIGN_SIGN_V1, Statement, Subject
from dhallmark.steps.provenance import Builder, Dependency, make_provenance
from dhallmark.steps.source import read_source
from dhallmark.steps.statements import _dependencies, final_reference, release_sources
from dhallmark.steps.tools import tool_versions
from dhallmark.verify.demands import KEYED

REPOSITORY = "https://github.com/acme/platform"
BUILDER = "https://ci.acme.example/release"
_POLICY = f"""\
schemaVersion: 1
identities:
  release: {{key: release.pub}}
evidence: {{logEntries: 0, timestamps: 0}}
statements:
  - {{predicateType: https://sigstore.dev/cosign/sign/v1, identities: [release]}}
  - {{predicateType: https://slsa.dev/provenance/v1, identities: [release]}}
source: {{repository: {REPOSITORY}}}
builders: [{BUILDER}]
"""


@dataclass(frozen=True, kw_only=True)
class Lie:
    """What a builder does otherwise than it says; nothing by default."""

    layer: Callable[[bytes], bytes] = lambda layer: layer
    """Changes the archive that is published."""
    manifest: Callable[[dict[str, Any]], dict[str, Any]] = lambda body: body
    """Changes the manifest that is published."""
    materials: Callable[[bytes], bytes | None] = lambda materials: materials
    """Changes the materials bundle that is attached; nothing is attached where it gives None."""
    record_materials: bool = True
    """Whether the provenance names the bundle that is attached; the true one otherwise."""
    predicate: Callable[[dict[str, Any]], dict[str, Any]] = lambda predicate: predicate
    """Changes the provenance before it is signed."""


HONEST = Lie()


@dataclass(frozen=True, kw_only=True)
class Maker:
    """A project in a Git repository, and the builder that releases it."""

    folder: Path
    key: PemKey = field(default_factory=lambda: PemKey(ec.generate_private_key(ec.SECP256R1())))
    seeds: tuple[Path, ...] = ()
    """Folders of Dhall cache entries for remote imports."""

    @classmethod
    def new(cls, folder: Path, *, source: Path | None = None, seeds: tuple[Path, ...] = ()) -> Maker:
        """A new project as `dhallmark init` writes it, committed; or a copy of the folder `source`."""
        maker = cls(folder=folder, seeds=seeds)
        if source is None:
            init(
                directory=maker.root, project="platform", source=REPOSITORY, registry="registry.example",
                ci=Platform.GITHUB,
            )  # fmt: skip
        else:
            shutil.copytree(source, maker.root)
        maker.git("init", "--quiet", "--initial-branch=main")
        maker.commit("first")
        write_atomic(maker.policy, _POLICY)
        write_atomic(maker.policy.parent / "release.pub", public_pem(maker.key))
        return maker

    @property
    def root(self) -> Path:
        return self.folder / "project"

    @property
    def build(self) -> Path:
        return self.folder / "build"

    @property
    def policy(self) -> Path:
        """The auditor's."""
        return self.folder / "auditor" / "policy.yaml"

    def git(self, *words: str) -> str:
        date = "2026-01-02T03:04:05Z"
        who = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER")
               for key, value in (("NAME", "A"), ("EMAIL", "a@example"), ("DATE", date))}  # fmt: skip
        env = {**os.environ, **who, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        done = subprocess.run(
            ["git", *words], cwd=self.root, env=env, check=True, capture_output=True, text=True
        )  # fmt: skip
        return done.stdout.strip()

    def commit(self, message: str) -> str:
        """Commit everything; the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def make(self) -> Artifacts:
        """Resolve, render and package what is committed."""
        config = self.root / "dhallmark.yaml"
        plan = make_plan(load_config(config))
        anyio.run(lambda: resolve(plan, root=self.root, build=self.build, seeds=self.seeds))
        render(plan, root=self.root, build=self.build)
        state = read_source(self.root, allow_dirty=True)
        return package(plan, root=self.root, build=self.build, source_date_epoch=state.commit_time)

    def publish(self, into: Path, artifact: Artifact, *, lie: Lie = HONEST) -> Digest:
        """Write `artifact`, as `make` left it, with its signatures and materials into the OCI layout `into`."""
        true = read_manifest(self.build / LAYOUT, artifact.manifest_digest)
        config, layer = [blob_path(self.build / LAYOUT, blob.digest).read_bytes() for blob in true.blobs()]
        layer = lie.layer(layer)
        body = true.body()
        body["layers"] = [{**body["layers"][0], "digest": str(Digest.of(layer)), "size": len(layer)}]
        manifest = Manifest.of(strictjson.dump_compact(lie.manifest(body)), true.media_type)
        attachment = materials_attachment(self.artifacts, build=self.build)
        given = lie.materials(attachment.layer)
        bundle = self.artifacts.materials.digest
        if given is not None and lie.record_materials:
            bundle = Digest.of(given)
        changed = artifact.model_copy(
            update={
                "digest": str(manifest.digest),
                "archive": artifact.archive.model_copy(update={"sha256": Digest.of(layer).hex, "size": len(layer)}),
            }
        )
        writer = LayoutWriter(into)
        for blob in (config, layer, b"{}"):
            writer.add_blob(blob)
        writer.add_manifest(manifest, name=f"{artifact.slug}:{artifact.version}")
        attachments = [self._sign(statement) for statement in self._statements(changed, bundle=bundle, lie=lie)]
        if given is not None:
            attachments.append(replace(attachment, layer=given))
        for one in attachments:
            writer.add_blob(one.layer)
            writer.add_manifest(one.manifest(manifest.descriptor))
        writer.finish()
        return manifest.digest

    def write_tree(self, tree: Path) -> None:
        """A deploy tree of the release, as `dhallmark gitops write` writes it."""
        for artifact in self.artifacts.artifacts:
            if artifact.kind == "flux":
                continue
            chart = self.build / "render" / artifact.environment / artifact.name
            folder = tree / "environments" / artifact.environment
            if artifact.kind == "chart":
                folder = folder / "charts" / artifact.name
            prefix = folder.relative_to(tree).as_posix() + "/"
            for file in artifact.files:
                write_atomic(tree / file.name, (chart / file.name.removeprefix(prefix)).read_bytes())
            write_atomic(folder / "attestation.json", self.attestation(artifact))

    def attestation(self, artifact: Artifact) -> bytes:
        """The signed provenance of `artifact`: what stands beside it in a deploy tree."""
        _, provenance = self._statements(artifact, bundle=self.artifacts.materials.digest, lie=HONEST)
        return self._sign(provenance).layer

    @property
    def artifacts(self) -> Artifacts:
        from dhallmark.package.package import load_artifacts

        return load_artifacts(self.build)

    def artifact(self, name: str = "greeter", environment: str = "prod") -> Artifact:
        return next(one for one in self.artifacts.in_environment(environment) if one.name == name)

    def _statements(self, artifact: Artifact, *, bundle: Digest, lie: Lie) -> list[Statement]:
        settings = load_config(self.root / "dhallmark.yaml")
        closure = load_closure(self.build)
        reference = final_reference(settings, artifact)
        names = release_sources(settings, config_file="dhallmark.yaml", closure=closure)
        sources = {name: Digest.of_file(self.root / name) for name in names}
        provenance = make_provenance(
            artifact,
            artifacts=self.artifacts,
            source=read_source(self.root, allow_dirty=False, repository=REPOSITORY),
            repository=REPOSITORY,
            config="dhallmark.yaml",
            builder=Builder(
                id=BUILDER, image=Dependency(name="dhallmark-ci", uri="oci://dhallmark-ci", digest=Digest.of(b"image"))
            ),
            tools=tool_versions(closure, settings),
            dependencies=[
                *_dependencies(
                    artifact, config=settings, config_file="dhallmark.yaml", closure=closure, sources=sources
                ),
                Dependency(name="materials", digest=bundle),
            ],
            reference=reference,
        )
        told = Statement.build(
            predicate_type=provenance.predicate_type,
            subjects=provenance.subjects,
            predicate=lie.predicate(_copy(provenance.predicate)),
        )
        signature = Statement.build(
            predicate_type=COSIGN_SIGN_V1, subjects=[Subject(reference, artifact.manifest_digest)], predicate={}
        )
        return [signature, told]

    def _sign(self, statement: Statement) -> Attachment:
        signed = anyio.run(
            lambda: sign_document_with_key(
                statement.payload, key=self.key, trust_config=None, demands=KEYED, allow=lambda _: None
            )
        )
        annotations = bundle_annotations(predicate_type=statement.predicate_type, created=0)
        return Attachment(artifact_type=BUNDLE_V0_3, layer=signed.bundle, annotations=annotations)


def _copy(predicate: Mapping[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = strictjson.parse(strictjson.dump_compact(dict(predicate)))
    return body
