"""Two small signed artifacts in a lab, manifests that name them, and the proof's programs."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from dhallmark.digest import Digest
from dhallmark.lab.session import Lab
from dhallmark.lab.signer import LabSigner
from dhallmark.oci.client import Attachment, Registry
from dhallmark.oci.descriptor import BUNDLE_V0_3, Descriptor, build_manifest, bundle_annotations, split_repository
from dhallmark.statement import COSIGN_SIGN_V1, Statement, Subject

_MADE = itertools.count(1)
ISSUER = "https://token.actions.githubusercontent.com"
WORKFLOW = "https://github.com/acme/platform/.github/workflows/release.yml@refs/heads/main"
POLICY = f"""\
schemaVersion: 1
identities:
  release:
    issuer: {ISSUER}
    subject: {WORKFLOW}
statements:
  - predicateType: {COSIGN_SIGN_V1}
    identities: [release]
"""
FLUX_CONFIG = "application/vnd.cncf.flux.config.v1+json"
FLUX_CONTENT = "application/vnd.cncf.flux.content.v1.tar+gzip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A signed artifact in the lab, and where its manifests are to be written."""

    lab: Lab
    repository: str
    digest: Digest
    folder: Path
    policy: Path

    @property
    def trusted_root(self) -> Path:
        return Path(self.lab.trusted_root())

    def source(self, **changes: object) -> dict[str, Any]:
        """The OCIRepository for it, as it should be, with `changes` to its spec; None takes a key away."""
        spec: dict[str, Any] = {
            "interval": "1m",
            "url": f"oci://{self.repository}",
            "ref": {"digest": str(self.digest)},
            "insecure": True,
            "verify": {
                "provider": "cosign",
                "matchOIDCIdentity": [{"issuer": f"^{ISSUER}$", "subject": f"^{WORKFLOW}$"}],
                "trustedRootSecretRef": {"name": "sigstore-trusted-root"},
            },
        }
        spec = {key: value for key, value in (spec | changes).items() if value is not None}
        return {
            "apiVersion": "source.toolkit.fluxcd.io/v1",
            "kind": "OCIRepository",
            "metadata": {"name": "web", "namespace": "flux-system"},
            "spec": spec,
        }

    def write(self, *objects: Mapping[str, Any], name: str = "web.yaml") -> Path:
        """Objects as the manifests of an environment; its source and its trust root where none are given."""
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "sigstore-trusted-root", "namespace": "flux-system"},
            "stringData": {"trusted_root.json": self.trusted_root.read_text()},
        }
        kustomization = {
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
            "kind": "Kustomization",
            "metadata": {"name": "web", "namespace": "flux-system"},
            "spec": {"interval": "5m", "prune": True, "sourceRef": {"kind": "OCIRepository", "name": "web"}},
        }
        wanted = objects or (secret, self.source(), kustomization)
        self.folder.mkdir(exist_ok=True)
        (self.folder / name).write_text("".join(f"---\n{json.dumps(one, indent=2)}\n" for one in wanted))
        return self.folder

    def sign(self, payload: bytes, *, claims: Mapping[str, str] | None = None) -> bytes:
        """A bundle by the release's identity, or by another of the lab's."""
        return self.lab.call(anyio.run, LabSigner(self.lab.directory).sign, payload, "github", dict(claims or {}))

    def inside(self, *words: str | Path) -> tuple[int, Any, str]:
        """Run `dhallmark` in the lab's network: its exit code, its JSON, and its standard error."""
        import sys

        command = [sys.executable, "-m", "dhallmark", *map(str, words), "--output", "json"]
        done = self.lab.run(command, check=False, timeout=300)
        return done.returncode, json.loads(done.stdout or "null"), done.stderr


def archive(greeting: str) -> bytes:
    """A tar file with one manifest, in the same bytes each time."""
    text = f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: web\ndata:\n  greeting: {greeting}\n".encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo("configmap.yaml")
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text))
    return gzip.compress(buffer.getvalue(), mtime=0)


def push_signed(lab: Lab, repository: str, greeting: str) -> Digest:
    """Push an artifact of Flux's kind, signed as cosign does, under the tag `latest`."""
    host, path = split_repository(repository)

    async def main() -> Digest:
        content, config = archive(greeting), b"{}"
        manifest = build_manifest(
            config=Descriptor.of(config, FLUX_CONFIG), layers=[Descriptor.of(content, FLUX_CONTENT)]
        )
        async with Registry(host, plain_http=True) as registry:
            for blob in (config, content):
                await registry.push_blob(path, blob)
            pushed = await registry.push_manifest(path, manifest.content, manifest.media_type, "latest")
            statement = Statement.build(
                predicate_type=COSIGN_SIGN_V1, subjects=[Subject(repository, pushed.digest)], predicate={}
            )
            bundle = await LabSigner(lab.directory).sign(statement.payload, "github", {})
            annotations = bundle_annotations(predicate_type=COSIGN_SIGN_V1, created=0)
            attachment = Attachment(artifact_type=BUNDLE_V0_3, layer=bundle, annotations=annotations)
            await registry.attach_all(path, pushed.descriptor, [attachment])
        return pushed.digest

    return lab.call(anyio.run, main)


@pytest.fixture(scope="session")
def make_signed(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Signed]:
    """Makes a signed artifact in a repository of its own."""

    def make(*, greeting: str = "hello", policy: str = POLICY) -> Signed:
        folder = tmp_path_factory.mktemp("environment")
        repository = f"{lab.registry}/prove-{next(_MADE)}/prod/web"
        (folder / "policy.yaml").write_text(policy)
        return Signed(
            lab=lab,
            repository=repository,
            digest=push_signed(lab, repository, greeting),
            folder=folder / "manifests",
            policy=folder / "policy.yaml",
        )

    return make
