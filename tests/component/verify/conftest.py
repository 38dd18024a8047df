"""A small release by hand: one chart, signed in the lab with every statement that a policy asks for."""

from __future__ import annotations

import gzip
import io
import itertools
import tarfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
import pytest

from dhallmark.config.load import load_policy
from dhallmark.config.policy import Policy
from dhallmark.consumer import Target
from dhallmark.digest import Digest
from dhallmark.lab.session import Lab
from dhallmark.lab.signer import LabSigner
from dhallmark.oci.client import Attachment, Registry
from dhallmark.oci.concurrently import concurrently
from dhallmark.oci.descriptor import BUNDLE_V0_3, Descriptor, build_manifest, bundle_annotations, split_repository
from dhallmark.package.model import HELM_CONFIG, HELM_CONTENT
from dhallmark.statement import COSIGN_SIGN_V1, LINK_V0_3, SLSA_PROVENANCE_V1, Statement, Subject
from dhallmark.verify.claimed import claimed_type
from dhallmark.verify.trust import TrustRoot

T = TypeVar("T")

_MADE = itertools.count(1)
REPOSITORY = "https://github.com/acme/platform"
BUILDER = "https://github.com/acme/platform/.github/workflows/release.yml"
REVISION = "5d1e3ad2c5b8b9e1c9a4c1f2d3e4f5a6b7c8d9e0"
POLICY = f"""\
schemaVersion: 1
identities:
  release:
    issuer: https://token.actions.githubusercontent.com
    subject: https://github.com/acme/platform/.github/workflows/release.yml@refs/heads/main
statements:
  - predicateType: {COSIGN_SIGN_V1}
    identities: [release]
  - predicateType: {SLSA_PROVENANCE_V1}
    identities: [release]
  - predicateType: {LINK_V0_3}
    identities: [release]
    steps: [resolve, render, package, publish]
source:
  repository: {REPOSITORY}
builders: [{BUILDER}]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One published artifact and what it is to be checked against."""

    lab: Lab
    target: Target
    policy: Policy
    trust: TrustRoot
    statements: Mapping[str, bytes]
    """The signed payloads, by a short name."""
    bundles: Mapping[str, bytes]

    def sign(self, payload: bytes, *, issuer: str = "github", claims: Mapping[str, str] | None = None) -> bytes:
        """A bundle by the release's identity in the lab, or by another."""
        return self.lab.call(
            anyio.run, LabSigner(self.lab.directory).sign, payload, issuer, {"sha": REVISION, **(claims or {})}
        )

    @property
    def host(self) -> str:
        """The registry that it is in."""
        return split_repository(self.target.repository)[0]

    def use(self, action: Callable[[Registry], Awaitable[T]]) -> T:
        """Run `action` with a client of the release's registry, inside the lab's network."""

        async def main() -> T:
            async with Registry(self.host, plain_http=True) as registry:
                return await action(registry)

        return self.lab.call(anyio.run, main)

    async def push_chart(self, registry: Registry, repository: str, replicas: int) -> Digest:
        """Push the release's chart, or one that differs in its replicas from the good one's 3."""
        return await push_chart(registry, repository, chart_archive(replicas))

    async def push_chart_in_lab(self, repository: str, replicas: int) -> Digest:
        """`push_chart`, for those who are in the lab's network already."""
        async with Registry(self.host, plain_http=True) as registry:
            return await self.push_chart(registry, repository, replicas)

    async def attach(self, registry: Registry, repository: str, digest: Digest, bundle: bytes) -> None:
        await attach(registry, repository, digest, bundle)


def chart_archive(replicas: int) -> bytes:
    """A chart with one ConfigMap, in the same bytes each time."""
    files = {
        "web/Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.2.3\n",
        "web/templates/000-configmap-web.yaml": (
            f'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: web\ndata:\n  replicas: "{replicas}"\n'
        ),
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return gzip.compress(buffer.getvalue(), mtime=0)


def _link(name: str, materials: Mapping[str, Digest], products: Mapping[str, Digest]) -> bytes:
    return Statement.build(
        predicate_type=LINK_V0_3,
        subjects=[Subject(path, digest) for path, digest in products.items()],
        predicate={
            "name": name,
            "command": ["dhallmark", name],
            "materials": [{"name": path, "digest": {"sha256": digest.hex}} for path, digest in materials.items()],
            "byproducts": {},
            "environment": {},
        },
    ).payload


def make_statements(*, reference: str, manifest: Digest, archive: Digest) -> dict[str, bytes]:
    """The statements of a release of one chart, by a short name."""
    source = {"web.dhall": Digest.of(b"source")}
    normal = {"build/resolve/normal/prod/web.dhallb": Digest.of(b"normal")}
    chart = {"build/render/prod/web/Chart.yaml": Digest.of(b"chart")}
    packed = {"build/package/prod/web-1.2.3.tgz": archive, f"build/package/oci/blobs/sha256/{manifest.hex}": manifest}
    published = {"build/publish/prod/web.json": manifest}
    subject = Subject(reference, manifest)
    provenance = {
        "buildDefinition": {
            "buildType": "https://dhallmark.dev/build/v1",
            "externalParameters": {"environment": "prod"},
            "internalParameters": {"dirty": False},
            "resolvedDependencies": [{"name": "source", "uri": f"git+{REPOSITORY}", "digest": {"gitCommit": REVISION}}],
        },
        "runDetails": {"builder": {"id": BUILDER}},
    }
    return {
        "signature": Statement.build(predicate_type=COSIGN_SIGN_V1, subjects=[subject], predicate={}).payload,
        "provenance": Statement.build(
            predicate_type=SLSA_PROVENANCE_V1,
            subjects=[Subject("web-1.2.3.tgz", archive), subject],
            predicate=provenance,
        ).payload,
        "resolve": _link("resolve", source, normal),
        "render": _link("render", normal, chart),
        "package": _link("package", {**chart, **source}, packed),
        "publish": _link("publish", packed, published),
    }


async def push_chart(registry: Registry, repository: str, archive: bytes, *, tag: str = "") -> Digest:
    """Push a chart; returns its manifest's digest."""
    config = b'{"apiVersion":"v2","name":"web","version":"1.2.3"}'
    manifest = build_manifest(config=Descriptor.of(config, HELM_CONFIG), layers=[Descriptor.of(archive, HELM_CONTENT)])
    for blob in (config, archive):
        await registry.push_blob(repository, blob)
    await registry.push_manifest(repository, manifest.content, manifest.media_type, tag or manifest.digest)
    return manifest.digest


async def attach(registry: Registry, repository: str, digest: Digest, bundle: bytes) -> None:
    """Attach a bundle as cosign and dhallmark do."""
    subject = (await registry.get_manifest(repository, digest)).descriptor
    await registry.attach_all(
        repository,
        subject,
        [
            Attachment(
                artifact_type=BUNDLE_V0_3,
                layer=bundle,
                annotations=bundle_annotations(predicate_type=claimed_type(bundle) or "", created=0),
            )
        ],
    )


@pytest.fixture(scope="session", params=["api", "index"])
def release(request: pytest.FixtureRequest, lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """The good release, in the registry with the referrers API and in the one without."""
    host = lab.registry if request.param == "api" else lab.registry_fallback
    # pytest makes the fixture again where tests for one registry follow those for the other: in a place of its own
    # then, since what was attached to the earlier one is still there.
    repository = f"{host}/verify-{next(_MADE)}/prod/web"
    archive = chart_archive(3)
    policy = tmp_path_factory.mktemp("policy") / "policy.yaml"
    policy.write_text(POLICY)
    signer = LabSigner(lab.directory)

    async def main() -> tuple[Digest, dict[str, bytes], dict[str, bytes]]:
        _, path = split_repository(repository)
        async with Registry(host, plain_http=True) as registry:
            digest = await push_chart(registry, path, archive, tag="1.2.3")
            statements = make_statements(reference=repository, manifest=digest, archive=Digest.of(archive))
            sign = [partial(signer.sign, payload, "github", {"sha": REVISION}) for payload in statements.values()]
            bundles = dict(zip(statements, await concurrently(sign), strict=True))
            for bundle in bundles.values():
                await attach(registry, path, digest, bundle)
        return digest, statements, bundles

    digest, statements, bundles = lab.call(anyio.run, main)
    return Release(
        lab=lab,
        target=Target(
            repository=repository,
            digest=digest,
            trusted_root=Path(lab.trusted_root()),
            policy=policy,
            plain_http=True,
        ),
        policy=load_policy(policy),
        trust=TrustRoot.load(lab.trusted_root()),
        statements=statements,
        bundles=bundles,
    )
