"""Signatures in the older format, made by cosign 2 with a key: who takes them, and what is said of a wrong one."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
from tests.component.ports import free_port

from dhallmark.consumer import Target
from dhallmark.controls.consumers import make_consumer
from dhallmark.controls.layout import Layout
from dhallmark.controls.registry import fill, link_blobs, start_registry
from dhallmark.digest import Digest
from dhallmark.oci.descriptor import Manifest
from dhallmark.reasons import Reason
from dhallmark.verdict import Outcome, Verdict

pytestmark = pytest.mark.component

POLICY = {
    "schemaVersion": 1,
    "identities": {"release": {"key": "key.pem"}},
    "statements": [{"predicateType": "https://sigstore.dev/cosign/sign/v1", "identities": ["release"]}],
    "evidence": {"logEntries": 0},
    "formats": ["legacy"],
}
ROOT = {"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}
READERS = ("cosign2", "flux-1.8", "flux-1.9")


@dataclass(frozen=True, slots=True)
class Signed:
    """A repository with a signed artifact and one that nobody signed."""

    folder: Path
    host: str
    digest: Digest
    unsigned: Digest

    def ask(self, consumer: str, digest: Digest, *, key: str) -> Verdict:
        place = self.folder / key
        place.mkdir(exist_ok=True)
        (place / "key.pem").write_bytes((self.folder / f"{key}.pub").read_bytes())
        (place / "policy.yaml").write_text(json.dumps(POLICY))
        (place / "trusted_root.json").write_text(json.dumps(ROOT))
        target = Target(
            repository=f"{self.host}/web",
            digest=digest,
            trusted_root=place / "trusted_root.json",
            policy=place / "policy.yaml",
            plain_http=True,
        )
        return anyio.run(make_consumer(consumer).verify, target)


@pytest.fixture(scope="module")
def signed(
    make_artifact: Callable[..., tuple[Layout, Manifest]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Signed]:
    folder = tmp_path_factory.mktemp("legacy")
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "COSIGN_PASSWORD": "", "DOCKER_CONFIG": str(folder)}

    def cosign2(*arguments: str) -> None:
        subprocess.run(["cosign2", *arguments], env=environment, cwd=folder, check=True, capture_output=True)

    layouts = {}
    for name, layer in (("good", b"a chart"), ("bare", b"another chart")):
        layout, manifest = make_artifact(layer, bundles=0)
        layout.write(folder / name)
        layouts[name] = (layout, Digest(manifest.digest))
    link_blobs(folder / "blobs", {name: folder / name for name in layouts})
    port = free_port()
    registry = start_registry(port, folder / "blobs", user=None)
    try:
        for layout, digest in layouts.values():
            fill(port, "web", layout, tagged=digest)
        for name in ("release", "stranger"):
            cosign2("generate-key-pair", f"--output-key-prefix={name}")
        (good, bare) = (layouts["good"][1], layouts["bare"][1])
        cosign2(
            *["sign", "--key=release.key", "--tlog-upload=false", "--yes", "--allow-http-registry"],
            f"127.0.0.1:{port}/web@{good}",
        )
        yield Signed(folder, f"127.0.0.1:{port}", good, bare)
    finally:
        registry.kill()
        registry.wait()


@pytest.mark.parametrize("consumer", READERS)
def test_a_signature_below_a_tag_is_taken(signed: Signed, consumer: str) -> None:
    verdict = signed.ask(consumer, signed.digest, key="release")
    assert verdict.outcome is Outcome.ACCEPTED, verdict.checks


@pytest.mark.parametrize("consumer", READERS)
def test_another_key_is_refused(signed: Signed, consumer: str) -> None:
    assert signed.ask(consumer, signed.digest, key="stranger").reason is Reason.SIGNATURE_INVALID


@pytest.mark.parametrize(
    ("consumer", "reason"),
    # With keys, Flux keeps to itself what it found.
    [("cosign2", Reason.SIGNATURE_NONE), ("flux-1.9", Reason.SIGNATURE_INVALID)],
)
def test_an_artifact_without_one_is_refused(signed: Signed, consumer: str, reason: Reason) -> None:
    assert signed.ask(consumer, signed.unsigned, key="release").reason is reason
