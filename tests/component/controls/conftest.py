"""A small artifact, a real registry with a proxy before it, and prepared cases to judge."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import anyio
import pytest
from tests.component.ports import free_port

from dhallmark.control import Group
from dhallmark.controls.case import Case, Side
from dhallmark.controls.faults import Fault
from dhallmark.controls.forge import Original, SignedStatement, attach_bundle
from dhallmark.controls.forging.authorities import Forgers
from dhallmark.controls.forging.bundle import Forger
from dhallmark.controls.forging.legacy import legacy_signature, legacy_tag
from dhallmark.controls.layout import Layout
from dhallmark.controls.prepare import merge_trust
from dhallmark.controls.proxy import Proxy
from dhallmark.controls.registry import false_blobs, fill, link_blobs, start_registry
from dhallmark.digest import Digest
from dhallmark.identity import Identity, SubjectKind
from dhallmark.oci.descriptor import OCI_INDEX, Descriptor, Manifest, build_manifest
from dhallmark.package.model import HELM_CONFIG, HELM_CONTENT
from dhallmark.statement import COSIGN_SIGN_V1, LINK_V0_3, SLSA_PROVENANCE_V1, Statement, Subject

CONFIG, CHART = b"{}", b"a chart"
POLICY = """\
schemaVersion: 1
identities:
  release:
    issuer: https://token.actions.githubusercontent.com
    subject: https://github.com/acme/platform/.github/workflows/release.yml@refs/heads/main
statements:
  - predicateType: https://sigstore.dev/cosign/sign/v1
    identities: [release]
"""

Serve = Callable[..., AbstractAsyncContextManager[str]]


def small_artifact(layer: bytes = CHART, *, bundles: int = 4) -> tuple[Layout, Manifest]:
    """An artifact of one layer, with so many things attached that look like bundles."""
    layout = Layout()
    for blob in (CONFIG, layer):
        layout.add_blob(blob)
    manifest = build_manifest(
        config=Descriptor.of(CONFIG, "application/x"), layers=[Descriptor.of(layer, "application/y")]
    )
    layout.add_manifest(manifest)
    for number in range(bundles):
        attach_bundle(layout, manifest, b'{"bundle": %d}' % number)
    return layout, manifest


@pytest.fixture(scope="session")
def make_artifact() -> Callable[..., tuple[Layout, Manifest]]:
    """`small_artifact`, for tests that cannot import a neighbour."""
    return small_artifact


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Serves a layout as the repository `mutant`, behind faults, and a sound one as `good`; gives host and port."""

    @asynccontextmanager
    async def serving(
        mutant: Layout, *, good: Layout | None = None, faults: Sequence[Fault] = ()
    ) -> AsyncIterator[str]:
        layouts = {"good": good or mutant, "mutant": mutant}
        for name, layout in layouts.items():
            layout.write(tmp_path / name)
        link_blobs(tmp_path / "blobs", {name: tmp_path / name for name in layouts})
        port = free_port()
        registry = start_registry(port, tmp_path / "blobs", user=None)
        try:
            for name, layout in layouts.items():
                fill(port, name, layout, tagged=next(iter(layout.manifests)))
            proxy = Proxy(
                upstream=port, repository="mutant", faults=faults, blobs=false_blobs(mutant), tags=mutant.tags
            )
            async with anyio.create_task_group() as group:
                yield f"127.0.0.1:{await group.start(proxy.serve, 0)}"
                group.cancel_scope.cancel()
        finally:
            registry.kill()
            registry.wait()

    return serving


@pytest.fixture
def make_case(tmp_path: Path) -> Callable[..., Path]:
    """Writes a case whose two sides are the same artifact, which nobody signed."""

    def make(*, faults: Sequence[Fault] = (), by_tag: bool = False) -> Path:
        layout, manifest = small_artifact()
        folder = tmp_path / "cases" / "S1"
        for name in ("good", "mutant"):
            side = Side(folder / name)
            layout.write(side.artifact)
            side.policy.parent.mkdir(parents=True)
            side.policy.write_text(POLICY)
            side.trusted_root.write_text("{}")
        digest = Digest(manifest.digest)
        Case(
            id="S1",
            group=Group.SIGNATURE,
            title="a title",
            flaw="a flaw",
            reference=f"registry.example/web@{digest}",
            subject_name="registry.example/web",
            good=digest,
            mutant=digest,
            faults=tuple(faults),
            by_tag=by_tag,
            expect={},
        ).write(folder)
        return folder

    return make


REPOSITORY = "https://github.com/acme/platform"
WORKFLOW = f"{REPOSITORY}/.github/workflows/release.yml"
REVISION = "5d1e3ad2c5b8b9e1c9a4c1f2d3e4f5a6b7c8d9e0"
RELEASED = "registry.example/acme/prod/web"
WHOLE_POLICY = f"""\
schemaVersion: 1
identities:
  release:
    issuer: https://token.actions.githubusercontent.com
    subject: {WORKFLOW}@refs/heads/main
statements:
  - predicateType: {COSIGN_SIGN_V1}
    identities: [release]
  - predicateType: {SLSA_PROVENANCE_V1}
    identities: [release]
  - predicateType: {LINK_V0_3}
    identities: [release]
    steps: [render, package, publish]
source:
  repository: {REPOSITORY}
builders: [{WORKFLOW}]
"""
SMALL_POLICY = POLICY


def _chart() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, text in {
            "web/Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.2.3\n",
            "web/x.yaml": "{}\n",
        }.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return gzip.compress(buffer.getvalue(), mtime=0)


def _link(name: str, materials: dict[str, Digest], products: dict[str, Digest]) -> Statement:
    return Statement.build(
        predicate_type=LINK_V0_3,
        subjects=[Subject(path, digest) for path, digest in products.items()],
        predicate={
            "name": name,
            "command": [name],
            "materials": [{"name": path, "digest": {"sha256": digest.hex}} for path, digest in materials.items()],
            "byproducts": {},
            "environment": {},
        },
    )


def _statements(manifest: Digest, archive: Digest) -> list[Statement]:
    subject = Subject(RELEASED, manifest)
    rendered = {"out/chart": Digest.of(b"chart")}
    packed = {"out/web-1.2.3.tgz": archive, "out/manifest": manifest}
    source = {"uri": f"git+{REPOSITORY}@refs/heads/main", "digest": {"gitCommit": REVISION}}
    provenance = {
        "buildDefinition": {
            "buildType": "https://dhallmark.dev/build/v1",
            "externalParameters": {"version": "1.2.3"},
            "internalParameters": {"dirty": False},
            "resolvedDependencies": [source],
        },
        "runDetails": {"builder": {"id": WORKFLOW}},
    }
    return [
        Statement.build(predicate_type=COSIGN_SIGN_V1, subjects=[subject], predicate={}),
        Statement.build(
            predicate_type=SLSA_PROVENANCE_V1,
            subjects=[Subject("web-1.2.3.tgz", archive), subject],
            predicate=provenance,
        ),
        _link("render", {"src/web.dhall": Digest.of(b"source")}, rendered),
        _link("package", rendered, packed),
        _link("publish", packed, {"out/published": manifest}),
    ]


def _with_another(layout: Layout, manifest: Manifest) -> Manifest:
    """An image index of `manifest` and of an image with two layers, in an index of its own."""
    layers = [b"one layer", b"another layer"]
    for blob in layers:
        layout.add_blob(blob)
    other = build_manifest(
        config=Descriptor.of(CONFIG, HELM_CONFIG), layers=[Descriptor.of(blob, HELM_CONTENT) for blob in layers]
    )
    inner = _index(other)
    outer = _index(inner, manifest)
    for one in (other, inner, outer):
        layout.add_manifest(one)
    return outer


def _index(*manifests: Manifest) -> Manifest:
    listed = [{"mediaType": one.media_type, "digest": one.digest, "size": len(one.content)} for one in manifests]
    return Manifest.of(
        json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}).encode(), OCI_INDEX
    )


def _sign_by_tag(layout: Layout, manifest: Manifest, forgers: Forgers, signer: Identity) -> Digest:
    signature, blobs = legacy_signature(forgers, signer, repository=RELEASED, digest=manifest.digest)
    for blob in blobs:
        layout.add_blob(blob)
    layout.add_manifest(signature)
    layout.tags[legacy_tag(manifest.digest)] = signature.digest
    return signature.digest


@pytest.fixture(scope="session")
def make_original() -> Callable[..., Original]:
    """Makes a released chart that somebody else's instance signed: by all statements that dhallmark makes, or, `small`,
    by cosign's alone, with a policy that asks for no more; by a workflow, or as `subject`, which is of that kind.

    As an `index` it is an image index of the chart and another image, and what is signed is the index. In the `legacy`
    format it has cosign's signature at a tag, and no bundle.
    """

    def make(
        *,
        small: bool = False,
        subject: str = "",
        kind: SubjectKind = SubjectKind.URI,
        index: bool = False,
        legacy: bool = False,
    ) -> Original:
        chart, layout = _chart(), Layout()
        for blob in (CONFIG, chart):
            layout.add_blob(blob)
        manifest = build_manifest(
            config=Descriptor.of(CONFIG, HELM_CONFIG), layers=[Descriptor.of(chart, HELM_CONTENT)]
        )
        layout.add_manifest(manifest)
        if index:
            manifest = _with_another(layout, manifest)
        user = Forgers.make()
        signer = Identity(
            issuer="https://token.actions.githubusercontent.com",
            subject=subject or f"{WORKFLOW}@refs/heads/main",
            subject_kind=kind,
            extensions={}
            if subject
            else {
                "buildSignerURI": f"{WORKFLOW}@refs/heads/main",
                "buildSignerDigest": REVISION,
                "sourceRepositoryURI": REPOSITORY,
                "sourceRepositoryDigest": REVISION,
                "sourceRepositoryRef": "refs/heads/main",
            },
        )
        statements = _statements(manifest.digest, Digest.of(chart))
        signed = [
            SignedStatement(bundle=Forger(user).bundle(one.payload, signer), statement=one, identity=signer)
            for one in statements[: 0 if legacy else 1 if small else None]
        ]
        for one in signed:
            attach_bundle(layout, manifest, one.bundle)
        older = {".sig": _sign_by_tag(layout, manifest, user, signer)} if legacy else {}
        forgers = Forgers.make()
        trusted_root = json.dumps(user.trusted_roots[0]).encode()
        for root in forgers.trusted_roots:
            trusted_root = merge_trust(trusted_root, json.dumps(root).encode())
        return Original(
            layout=layout,
            digest=manifest.digest,
            name=RELEASED,
            signed=tuple(signed),
            policy=(SMALL_POLICY if small else WHOLE_POLICY)
            .replace(f"{WORKFLOW}@refs/heads/main", f"{signer.subject}\n    subjectKind: {kind.value}")
            .encode()
            + (b"formats: [legacy]\n" if legacy else b""),
            beside={},
            trusted_root=trusted_root,
            forger=Forger(forgers),
            legacy=older,
        )

    return make
