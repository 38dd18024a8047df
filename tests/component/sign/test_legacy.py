"""Signatures that cosign 2 really writes at `.sig` and `.att` tags, judged by policies that allow them."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import anyio
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from dhallmark.config.load import load_policy
from dhallmark.digest import Digest
from dhallmark.lab import pki
from dhallmark.lab.session import Lab
from dhallmark.oci.client import Registry
from dhallmark.oci.descriptor import OCI_MANIFEST, fallback_tag, split_repository
from dhallmark.reasons import Reason
from dhallmark.statement import COSIGN_SIGN_V1
from dhallmark.verdict import Outcome, Verdict
from dhallmark.verify.artifact import examine
from dhallmark.verify.trust import TrustRoot

pytestmark = pytest.mark.component

T = TypeVar("T")
Json = dict[str, Any]

WORKFLOW = "https://github.com/acme/platform/.github/workflows/release.yml@refs/heads/main"
ISSUER = "https://token.actions.githubusercontent.com"
PREDICATE = "https://example.org/review/v1"
_STAMPED = "{logEntries: 0, timestamps: 1}"
_KEYLESS = f"{{issuer: {ISSUER}, subject: {WORKFLOW}}}"
_POLICY = """\
schemaVersion: 1
identities:
  release: {identity}
statements:
  - {{predicateType: {predicate}, identities: [release]}}
formats: [{formats}]
evidence: {evidence}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """An artifact in a registry of the lab, and a folder with the key `key.pub` that may sign it."""

    lab: Lab
    repository: str
    digest: Digest
    folder: Path

    @property
    def pinned(self) -> str:
        return f"{self.repository}@{self.digest}"

    def cosign2(self, *words: str | Path) -> None:
        """cosign 2, which logs nothing (the lab's log is of version 2) and has each signature timestamped."""
        command, *rest = words
        environment = [
            "env", "COSIGN_PASSWORD=x",
            f"SIGSTORE_CT_LOG_PUBLIC_KEY_FILE={self.lab.paths.certificates('ctlog-main')}",
            f"SIGSTORE_ROOT_FILE={self.lab.paths.certificates('fulcio-main')}",
        ]  # fmt: skip
        options = ["--yes", "--tlog-upload=false", "--timestamp-server-url", self.lab.model.timestamp_url]
        self.lab.run([*environment, "cosign2", command, *options, *rest, self.pinned])

    def sign(self) -> None:
        self.cosign2("sign", "--key", self.folder / "cosign.key")

    def sign_keyless(self) -> None:
        token = self.folder / "token"
        token.write_text(self.lab.token())
        self.cosign2("sign", "--identity-token", token, "--fulcio-url", self.lab.model.fulcio_url("main"))

    def attest(self) -> None:
        predicate = self.folder / "predicate.json"
        predicate.write_text('{"reviewer": "someone"}')
        self.cosign2(
            "attest", "--key", self.folder / "cosign.key", "--predicate", predicate, "--type", PREDICATE
        )  # fmt: skip

    def judge(
        self,
        identity: str = "{key: key.pub}",
        *,
        predicate: str = COSIGN_SIGN_V1,
        formats: str = "bundle, legacy",
        evidence: str = _STAMPED,
        name: str = "",
    ) -> Verdict:
        """The verdict by a policy of one rule."""
        path = self.folder / "policy.yaml"
        path.write_text(_POLICY.format(identity=identity, predicate=predicate, formats=formats, evidence=evidence))
        policy, trust = load_policy(path), TrustRoot.load(self.lab.trusted_root())
        return self.use(
            lambda registry: examine(
                registry, self.repository, self.digest, name=name or self.repository, policy=policy, trust=trust
            )
        )

    def use(self, action: Callable[[Registry], Awaitable[T]]) -> T:
        async def main() -> T:
            async with Registry(split_repository(self.repository)[0], plain_http=True) as registry:
                return await action(registry)

        return self.lab.call(anyio.run, main)

    def change(self, change: Callable[[Json], object], *, tag: str = ".sig") -> None:
        """Change the manifest at a legacy tag, as whoever may write there can."""
        path = split_repository(self.repository)[1]

        async def main(registry: Registry) -> None:
            reference = fallback_tag(self.digest) + tag
            body = json.loads((await registry.get_manifest(path, reference)).content)
            change(body)
            await registry.push_manifest(path, json.dumps(body).encode(), OCI_MANIFEST, reference)

        self.use(main)


MakeArtifact = Callable[[], Artifact]


@pytest.fixture(params=["registry", "registry_fallback"])
def artifact(request: pytest.FixtureRequest, lab: Lab, tmp_path: Path) -> Artifact:
    """An artifact that nobody has signed yet."""
    key = pki.signing_key()
    (tmp_path / "key.pem").write_bytes(pki.private_pem(key))
    (tmp_path / "key.pub").write_bytes(pki.public_pem(key))
    (tmp_path / "stranger.pub").write_bytes(pki.public_pem(pki.signing_key()))
    lab.run(
        ["env", "COSIGN_PASSWORD=x", "cosign2", "import-key-pair", "--key", tmp_path / "key.pem",
         "--output-key-prefix", tmp_path / "cosign"]
    )  # fmt: skip
    (tmp_path / "content").write_text(str(tmp_path))
    lab.run(["tar", "-cf", tmp_path / "layer.tar", "-C", tmp_path, "content"])
    name = hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]
    repository = f"{getattr(lab, request.param)}/legacy/{name}"
    lab.run(["crane", "append", "-f", tmp_path / "layer.tar", "-t", f"{repository}:1"])
    digest = Digest(lab.run(["crane", "digest", f"{repository}:1"]).stdout.strip())
    return Artifact(lab=lab, repository=repository, digest=digest, folder=tmp_path)


def test_signatures_by_key_and_by_identity_count_where_the_policy_allows_them(artifact: Artifact) -> None:
    artifact.sign()
    verdict = artifact.judge()
    assert verdict.outcome is Outcome.ACCEPTED, verdict.to_json()
    assert artifact.judge(formats="legacy").outcome is Outcome.ACCEPTED
    assert artifact.judge("{key: stranger.pub}").reason is Reason.SIGNATURE_INVALID
    assert artifact.judge(_KEYLESS).reason is not None
    assert artifact.judge(formats="bundle").reason is Reason.SIGNATURE_NONE
    assert artifact.judge(evidence="{logEntries: 1, timestamps: 1}").reason is Reason.LOG_ENTRY_MISSING
    assert artifact.judge(name="registry.example/another").reason is Reason.SUBJECT_NAME

    artifact.sign_keyless()
    for identity in (_KEYLESS, "{key: key.pub}"):
        assert artifact.judge(identity).outcome is Outcome.ACCEPTED, identity
    stranger = _KEYLESS.replace("acme", "evil")
    assert artifact.judge(stranger).reason is Reason.IDENTITY_SUBJECT_MISMATCH


def test_an_attestation_counts_by_its_predicate_type(artifact: Artifact) -> None:
    artifact.attest()
    assert artifact.judge(predicate=PREDICATE).outcome is Outcome.ACCEPTED
    assert artifact.judge().reason is Reason.STATEMENT_MISSING
    assert artifact.judge("{key: stranger.pub}", predicate=PREDICATE).reason is Reason.SIGNATURE_INVALID


def test_an_artifact_that_nobody_signed_has_no_signature(artifact: Artifact) -> None:
    for formats in ("bundle", "legacy", "bundle, legacy"):
        verdict = artifact.judge(formats=formats)
        assert (verdict.outcome, verdict.reason) == (Outcome.REJECTED, Reason.SIGNATURE_NONE)


def _annotation(name: str, value: str | None) -> Callable[[Json], object]:
    def change(manifest: Json) -> None:
        annotations = manifest["layers"][0]["annotations"]
        annotations.pop(name)
        if value is not None:
            annotations[name] = value

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_annotation("dev.sigstore.cosign/rfc3161timestamp", None), Reason.TIMESTAMP_MISSING),
        (_annotation("dev.sigstore.cosign/rfc3161timestamp", "{}"), Reason.TIMESTAMP_MISSING),
        (
            _annotation("dev.cosignproject.cosign/signature", base64.b64encode(b"none").decode()),
            Reason.SIGNATURE_INVALID,
        ),
        (lambda manifest: manifest["layers"].clear(), Reason.SIGNATURE_NONE),
        (lambda manifest: manifest["layers"][0].update(mediaType="text/plain"), Reason.SIGNATURE_NONE),
        (lambda manifest: manifest.pop("layers"), Reason.FORMAT_UNSUPPORTED),
    ],
)
def test_a_changed_signature_is_refused(artifact: Artifact, change: Callable[[Json], object], reason: Reason) -> None:
    artifact.sign()
    assert artifact.judge().outcome is Outcome.ACCEPTED
    artifact.change(change)
    verdict = artifact.judge()
    assert (verdict.outcome is Outcome.ACCEPTED, verdict.reason) == (False, reason)


def test_a_signature_of_another_artifact_does_not_count(artifact: Artifact) -> None:
    """Whoever may write tags can copy one (S6)."""
    artifact.sign()
    path = split_repository(artifact.repository)[1]
    lab, folder = artifact.lab, artifact.folder
    (folder / "content").write_text("another")
    lab.run(["tar", "-cf", folder / "layer.tar", "-C", folder, "content"])
    lab.run(["crane", "append", "-f", folder / "layer.tar", "-t", f"{artifact.repository}:2"])
    other = Digest(lab.run(["crane", "digest", f"{artifact.repository}:2"]).stdout.strip())

    async def replay(registry: Registry) -> None:
        signature = await registry.get_manifest(path, fallback_tag(artifact.digest) + ".sig")
        await registry.tag(path, signature.digest, fallback_tag(other) + ".sig")

    artifact.use(replay)
    stolen = Artifact(lab=lab, repository=artifact.repository, digest=other, folder=folder)
    assert stolen.judge().reason is Reason.SUBJECT_MISMATCH


def test_the_promise_of_a_first_version_log_is_a_time_and_an_entry(artifact: Artifact) -> None:
    """The lab's log is of the second version, which cosign 2 does not write to: the promise is made with its key."""
    artifact.sign_keyless()
    path = split_repository(artifact.repository)[1]

    async def document(registry: Registry) -> bytes:
        manifest = await registry.get_manifest(path, fallback_tag(artifact.digest) + ".sig")
        return await registry.get_blob(path, manifest.blobs()[1].digest)

    signed = artifact.use(document)

    def log(manifest: Json) -> None:
        annotations = manifest["layers"][0]["annotations"]
        del annotations["dev.sigstore.cosign/rfc3161timestamp"]
        annotations["dev.sigstore.cosign/bundle"] = _promise(artifact.lab, signed, annotations)

    artifact.change(log)
    verdict = artifact.judge(_KEYLESS, evidence="{logEntries: 1}")
    assert verdict.outcome is Outcome.ACCEPTED, verdict.to_json()
    done = artifact.lab.run(
        ["cosign2", "verify", "--offline", "--trusted-root", artifact.lab.trusted_root(),
         "--certificate-identity", WORKFLOW, "--certificate-oidc-issuer", ISSUER, artifact.pinned],
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr

    def forge(manifest: Json) -> None:
        annotations = manifest["layers"][0]["annotations"]
        body = json.loads(annotations["dev.sigstore.cosign/bundle"])
        body["Payload"]["integratedTime"] += 1
        annotations["dev.sigstore.cosign/bundle"] = json.dumps(body)

    artifact.change(forge)
    assert artifact.judge(_KEYLESS, evidence="{logEntries: 1}").reason is Reason.LOG_PROMISE


def _promise(lab: Lab, signed: bytes, annotations: dict[str, str]) -> str:
    """What a Rekor v1 log would have answered to cosign 2."""
    key = load_pem_private_key(lab.paths.key("rekor").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    certificate = base64.b64encode(annotations["dev.sigstore.cosign/certificate"].encode()).decode()
    entry = {
        "apiVersion": "0.0.1",
        "kind": "hashedrekord",
        "spec": {
            "data": {"hash": {"algorithm": "sha256", "value": hashlib.sha256(signed).hexdigest()}},
            "signature": {
                "content": annotations["dev.cosignproject.cosign/signature"],
                "publicKey": {"content": certificate},
            },
        },
    }
    payload = {
        "body": base64.b64encode(_canonical(entry)).decode(),
        "integratedTime": int(time.time()),
        "logID": hashlib.sha256(pki.public_der(key)).hexdigest(),
        "logIndex": 0,
    }
    promise = base64.b64encode(key.sign(_canonical(payload), ec.ECDSA(hashes.SHA256()))).decode()
    return json.dumps({"SignedEntryTimestamp": promise, "Payload": payload})


def _canonical(body: object) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
