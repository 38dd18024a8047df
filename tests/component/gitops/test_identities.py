"""Identities that survive a bump of a pinned workflow, and let in nobody else: by dhallmark, and by Flux's own code
with the source that was written for it."""

from __future__ import annotations

import gzip
import io
import json
import re
import socket
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
from tests.component.controls.conftest import small_artifact
from tests.unit.gitops.write.conftest import CONFIG, published

from dhallmark.config.load import load_policy, parse_config
from dhallmark.consumer import Target
from dhallmark.controls.consumers import make_consumer
from dhallmark.controls.consumers.dialect import DHALLMARK, FLUX_1_9
from dhallmark.controls.forge import attach_bundle
from dhallmark.controls.forging.authorities import Forgers
from dhallmark.controls.forging.bundle import Forger
from dhallmark.controls.layout import Layout
from dhallmark.controls.prepare import merge_trust
from dhallmark.controls.registry import fill, link_blobs, start_registry
from dhallmark.digest import Digest
from dhallmark.gitops.write.model import Trust, checks_of
from dhallmark.gitops.write.write import plan_consumers
from dhallmark.identity import Identity, SubjectKind
from dhallmark.lookalikes import lookalikes
from dhallmark.reasons import Reason
from dhallmark.statement import COSIGN_SIGN_V1, Statement, Subject
from dhallmark.verdict import Outcome, Verdict

pytestmark = pytest.mark.component

ISSUER = "https://token.actions.githubusercontent.com"
WORKFLOW = "https://github.com/acme/flows/.github/workflows/release.yml"
NAME = "registry.example/platform/prod/flux-acme"
OLD, NEW, FORK = "a" * 40, "b" * 40, "f" * 40
PINNED = {
    "issuer": ISSUER,
    "subjectRegExp": r"https://github\.com/acme/flows/\.github/workflows/release\.yml@[0-9a-f]{40}",
    "extensions": {"buildSignerDigest": [OLD, NEW]},
}
BRANCH = {"issuer": ISSUER, "subject": f"{WORKFLOW}@refs/heads/main"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Who signed one of the artifacts."""

    subject: str
    commit: str = FORK
    issuer: str = ISSUER

    def identity(self) -> Identity:
        kind = SubjectKind.URI if "://" in self.subject else SubjectKind.EMAIL
        extensions = {"buildSignerDigest": self.commit} if kind is SubjectKind.URI else {}
        return Identity(issuer=self.issuer, subject=self.subject, subject_kind=kind, extensions=extensions)


def commit_in(subject: str) -> str:
    """The commit that a workflow was called by, which Fulcio takes for the subject and the extension alike."""
    found = re.search(r"@([0-9a-f]{40})$", subject)
    return found[1] if found else ""


GOOD = {
    "the old pin": Signer(subject=f"{WORKFLOW}@{OLD}", commit=OLD),
    "the bumped pin": Signer(subject=f"{WORKFLOW}@{NEW}", commit=NEW),
}
ON_BRANCH = {
    "before a bump inside": Signer(subject=f"{WORKFLOW}@refs/heads/main", commit=OLD),
    "after a bump inside": Signer(subject=f"{WORKFLOW}@refs/heads/main", commit=NEW),
}
BAD = {
    "a fork's commit": Signer(subject=f"{WORKFLOW}@{FORK}"),
    "another issuer": Signer(subject=f"{WORKFLOW}@{NEW}", commit=NEW, issuer="https://token.actions.example"),
    **{
        f"{one.kind.value} {number}": Signer(subject=one.text, commit=commit_in(one.text) or NEW)
        for number, one in enumerate(lookalikes(f"{WORKFLOW}@{NEW}"))
    },
}
SIGNERS = GOOD | ON_BRANCH | BAD


@dataclass(frozen=True, slots=True)
class Served:
    """An artifact for each signer, in a registry, and the trust root of the instance that they all used."""

    host: str
    digests: dict[str, Digest]
    trusted_root: Path

    def ask(self, consumer: str, names: list[str], policy: Path, source: Path | None) -> dict[str, Verdict]:
        async def main() -> dict[str, Verdict]:
            return {name: await make_consumer(consumer).verify(self._target(name, policy, source)) for name in names}

        return anyio.run(main)

    def _target(self, name: str, policy: Path, source: Path | None) -> Target:
        return Target(
            repository=f"{self.host}/{repository_of(name)}",
            digest=self.digests[name],
            trusted_root=self.trusted_root,
            policy=policy,
            subject_name=NAME,
            plain_http=True,
            configuration=source,
        )


def repository_of(name: str) -> str:
    return f"signer-{list(SIGNERS).index(name)}"


def _layer() -> bytes:
    """Something that Flux can unpack once it is verified."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("base/nothing.yaml"))
    return gzip.compress(buffer.getvalue(), mtime=0)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder, forgers = tmp_path_factory.mktemp("identities"), Forgers.make()
    forger = Forger(forgers)
    layouts: dict[str, Layout] = {}
    digests: dict[str, Digest] = {}
    for name, signer in SIGNERS.items():
        layout, manifest = small_artifact(_layer(), bundles=0)
        digests[name] = Digest(manifest.digest)
        statement = Statement.build(
            predicate_type=COSIGN_SIGN_V1, subjects=[Subject(NAME, digests[name])], predicate={}
        )
        attach_bundle(layout, manifest, forger.bundle(statement.payload, signer.identity()))
        layout.write(folder / repository_of(name))
        layouts[name] = layout
    trusted_root = json.dumps(forgers.trusted_roots[0]).encode()
    for root in forgers.trusted_roots[1:]:
        trusted_root = merge_trust(trusted_root, json.dumps(root).encode())
    (folder / "trusted_root.json").write_bytes(trusted_root)
    link_blobs(folder / "blobs", {repository_of(name): folder / repository_of(name) for name in layouts})
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    registry = start_registry(port, folder / "blobs", user=None)
    try:
        for name, layout in layouts.items():
            fill(port, repository_of(name), layout, tagged=digests[name])
        yield Served(f"127.0.0.1:{port}", digests, folder / "trusted_root.json")
    finally:
        registry.kill()
        registry.wait()


def written_for(tmp_path: Path, identity: object, trusted_root: Path) -> tuple[Path, Path]:
    """A policy with one identity, and the source that is written from it for Flux."""
    statements = [{"predicateType": COSIGN_SIGN_V1, "identities": ["release"]}]
    policy = tmp_path / "policy.yaml"
    policy.write_text(json.dumps({"schemaVersion": 1, "identities": {"release": identity}, "statements": statements}))
    checks = checks_of(
        parse_config(CONFIG.encode(), file="dhallmark.yaml"),
        load_policy(policy),
        published(),
        environment="prod",
        trust=Trust.of(trusted_root.read_bytes()),
        policy_file=policy.read_bytes(),
        file="publish.json",
    )
    plan_consumers([checks], tmp_path / "deploy").apply(tmp_path / "deploy")
    return policy, tmp_path / "deploy/consumers/prod/flux/source.yaml"


@pytest.mark.parametrize("consumer", [DHALLMARK, FLUX_1_9])
@pytest.mark.parametrize(
    ("identity", "good"), [(PINNED, GOOD), (BRANCH, ON_BRANCH)], ids=["listed commits", "a branch"]
)
def test_a_bump_is_accepted_and_everybody_else_refused(
    served: Served, tmp_path: Path, consumer: str, identity: object, good: dict[str, Signer]
) -> None:
    policy, source = written_for(tmp_path, identity, served.trusted_root)
    verdicts = served.ask(consumer, list(SIGNERS), policy, source if consumer == FLUX_1_9 else None)
    accepted = {name for name, verdict in verdicts.items() if verdict.outcome is Outcome.ACCEPTED}
    # A near miss of a pinned workflow may be the very workflow on its branch: only the text of a signer counts.
    meant = {name for name, signer in SIGNERS.items() if signer in good.values()}
    assert accepted == meant
    reasons = {verdict.reason for name, verdict in verdicts.items() if name not in accepted}
    assert reasons <= {
        Reason.IDENTITY_SUBJECT_MISMATCH,
        Reason.IDENTITY_ISSUER_MISMATCH,
        Reason.IDENTITY_EXTENSION_MISMATCH,
        Reason.IDENTITY_SUBJECT_KIND,
    }
