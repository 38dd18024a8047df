"""The policy that is written for Kyverno, in Kyverno's own program: about the sources that are written for Flux."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
import yaml
from tests.unit.gitops.write.conftest import CONFIG, published

from dhallmark.config.load import load_policy, parse_config
from dhallmark.controls.consumers.program import Done, run_program
from dhallmark.controls.consumers.tuf_mirror import serving_trust
from dhallmark.controls.forge import Original
from dhallmark.controls.registry import fill, link_blobs, start_registry
from dhallmark.gitops.lint.fields import Flux
from dhallmark.gitops.write.kyverno import trust_by_mirror
from dhallmark.gitops.write.model import Trust, checks_of
from dhallmark.gitops.write.write import plan_consumers
from dhallmark.kubernetes.crds import definitions_of

pytestmark = pytest.mark.component

Source = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Written:
    """What was written for consumers of an artifact that a registry has."""

    deploy: Path
    trusted_root: bytes

    def sources(self, consumer: str, file: str) -> list[Source]:
        documents = yaml.safe_load_all((self.deploy / f"consumers/prod/{consumer}/{file}").read_text())
        return [one for one in documents if one["kind"] == "OCIRepository"]

    def judged(self, source: Source, home: Path) -> str:
        """What Kyverno says of a source: `pass`, `fail`, `error`, or nothing where it has nothing to say."""
        policy = yaml.safe_load((self.deploy / "consumers/prod/kyverno/policy.yaml").read_text())
        with serving_trust(self.trusted_root) as mirror:
            for attestor in policy["spec"]["attestors"]:
                assert attestor["cosign"]["trustedRoot"]["value"] == self.trusted_root.decode()
                # Kyverno asks a TUF mirror as well, whatever the policy's own trust root says.
                trust_by_mirror(attestor, trusted_root=self.trusted_root.decode(), mirror=mirror.url, root=mirror.root)
            (home / "policy.yaml").write_text(json.dumps(policy))
            (home / "source.yaml").write_text(json.dumps(source))
            crds = [one for one in definitions_of(Flux.V2_9).objects if one["spec"]["names"]["kind"] == "OCIRepository"]
            (home / "crds.yaml").write_text(yaml.safe_dump_all(crds))
            words = [
                f"--crd-paths={home / 'crds.yaml'}",
                "--registry",
                "--policy-report",
                "--output-format=json",
                "--remove-color",
                "-v=1",
            ]
            arguments = ["apply", str(home / "policy.yaml"), f"--resource={home / 'source.yaml'}", *words]

            async def main() -> Done:
                return await run_program("kyverno", arguments, home=home)

            done = anyio.run(main)
        results = json.loads(done.stdout).get("results") or []
        assert len(results) <= 1, results
        return str(results[0]["result"]) if results else ""


@pytest.fixture(scope="module")
def written(make_original: Callable[..., Original], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    folder, original = tmp_path_factory.mktemp("kyverno"), make_original()
    original.layout.write(folder / "artifact")
    link_blobs(folder / "blobs", {"artifact": folder / "artifact"})
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    host = f"127.0.0.1:{port}"
    publication = published()
    artifacts = tuple(
        one.model_copy(
            update={
                "repository": one.repository.replace("registry.example", host),
                "digest": str(original.digest),
            }
        )
        for one in publication.artifacts
    )
    (folder / "policy.yaml").write_bytes(original.policy)
    checks = checks_of(
        parse_config(
            CONFIG.replace("registry: registry.example", f"registry: '{host}', plainHttp: true").encode()
            + b"  consumers: [flux, flux-helm, kyverno]\n",
            file="dhallmark.yaml",
        ),
        load_policy(folder / "policy.yaml"),
        publication.model_copy(update={"artifacts": artifacts}),
        environment="prod",
        trust=Trust.of(original.trusted_root, named=True),
        policy_file=original.policy,
        file="publish.json",
    )
    plan_consumers([checks], folder / "deploy").apply(folder / "deploy")
    registry = start_registry(port, folder / "blobs", user=None)
    try:
        for repository in checks.repositories:
            fill(port, repository.partition("/")[2], original.layout, tagged=original.digest)
        yield Written(folder / "deploy", original.trusted_root)
    finally:
        registry.kill()
        registry.wait()


def test_what_is_written_for_flux_is_let_in(written: Written, tmp_path: Path) -> None:
    sources = [*written.sources("flux", "source.yaml"), *written.sources("flux-helm", "sources.yaml")]
    assert len(sources) == 3
    for source in sources:
        assert written.judged(source, tmp_path) == "pass", source


CHANGES: dict[str, Source] = {
    "another digest": {"ref": {"digest": "sha256:" + "0" * 64}},
    "a tag": {"ref": {"tag": "1.4.0"}},
    "no reference": {"ref": {}},
}


@pytest.mark.parametrize("how", CHANGES)
def test_a_source_of_the_release_that_is_not_as_signed_is_refused(written: Written, tmp_path: Path, how: str) -> None:
    (source,) = written.sources("flux", "source.yaml")
    changed = {**source, "spec": {**source["spec"], **CHANGES[how]}}
    assert written.judged(changed, tmp_path) in {"fail", "error"}
    assert written.judged(source, tmp_path) == "pass"


def test_other_sources_are_none_of_its_business(written: Written, tmp_path: Path) -> None:
    (source,) = written.sources("flux", "source.yaml")
    other = {"interval": "10m", "url": "oci://ghcr.io/stefanprodan/manifests/podinfo", "ref": {"semver": "6.x"}}
    assert written.judged({**source, "spec": other}, tmp_path) not in {"fail", "error"}
