"""What of a policy each consumer is asked: no more and no less than it can say."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.unit.controls.consumers.conftest import ISSUER, PUBLIC_KEY, RELEASE, SIGNATURE, SUBJECT

from dhallmark.config.policy import Policy
from dhallmark.consumer import Target
from dhallmark.controls.consumers import cosign, flux, make_consumer
from dhallmark.controls.consumers.program import Done
from dhallmark.digest import Digest
from dhallmark.gitops.write.kyverno import image_policy
from dhallmark.reasons import Reason
from dhallmark.verdict import Verdict

KEYED = {"identities": {"release": {"key": "key.pem"}}, "evidence": {"logEntries": 0}}
OTHER = {"issuer": "https://gitlab.com", "subject": "https://gitlab.com/acme"}
TRUST = {"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1", "tlogs": [], "ctlogs": []}

Asked = list[tuple[Sequence[str], bytes, Mapping[str, str]]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What the programs were asked. They answer nothing that can be read."""
    calls: Asked = []

    async def run(
        _: str, arguments: Sequence[str], *, home: Path, stdin: bytes = b"", variables: Mapping[str, str] | None = None
    ) -> Done:
        calls.append((tuple(arguments), stdin, dict(variables or {})))
        return Done(1, b"", "")

    monkeypatch.setattr(cosign, "run_program", run)
    monkeypatch.setattr(flux, "run_program", run)
    return calls


def ask(name: str, policy: Policy, **more: Any) -> Verdict:  # noqa: ANN401
    folder = policy.origin.folder
    (folder / "trusted_root.json").write_text(json.dumps(TRUST))
    target = Target(
        repository="127.0.0.1:5000/web",
        digest=Digest("sha256:" + "ab" * 32),
        trusted_root=folder / "trusted_root.json",
        policy=folder / "policy.yaml",
        plain_http=True,
        **more,
    )
    return anyio.run(make_consumer(name).verify, target)


@pytest.mark.parametrize(
    ("parts", "flags"),
    [
        ({}, [f"--certificate-oidc-issuer={ISSUER}", f"--certificate-identity={SUBJECT}"]),
        (
            {"identities": {"release": {"issuerRegExp": "https://a|b", "subjectRegExp": "x"}}},
            ["--certificate-oidc-issuer-regexp=^(?:https://a|b)$", "--certificate-identity-regexp=^(?:x)$"],
        ),
        (KEYED, ["--key={folder}/key.pem", "--insecure-ignore-tlog"]),
        (
            {"evidence": {"timestamps": 1, "scts": 0}},
            [
                f"--certificate-oidc-issuer={ISSUER}",
                f"--certificate-identity={SUBJECT}",
                "--insecure-ignore-sct",
                "--use-signed-timestamps",
            ],
        ),
    ],
)
def test_cosign_gets_identity_and_evidence_as_flags(
    policy: Callable[..., Policy], asked: Asked, parts: dict[str, Any], flags: list[str]
) -> None:
    made = policy(**parts)
    assert ask("cosign", made).reason is Reason.CONSUMER_UNREADABLE
    folder = made.origin.folder
    ((arguments, _, _),) = asked
    assert list(arguments) == [
        "verify",
        f"--trusted-root={folder}/trusted_root.json",
        *(flag.format(folder=folder) for flag in flags),
        "--allow-http-registry",
        "127.0.0.1:5000/web@sha256:" + "ab" * 32,
    ]


def test_a_tag_is_asked_about_as_a_tag(policy: Callable[..., Policy], asked: Asked) -> None:
    ask("cosign", policy(), tag="1.0")
    ask("flux-1.9", policy(), tag="1.0")
    assert asked[0][0][-1] == "127.0.0.1:5000/web:1.0"
    assert json.loads(asked[1][1])["source"]["spec"]["ref"] == {"tag": "1.0"}


def test_flux_1_9_gets_one_matcher_and_a_secret_with_the_trust_root(
    policy: Callable[..., Policy], asked: Asked
) -> None:
    ask("flux-1.9", policy())
    ((_, stdin, variables),) = asked
    question = json.loads(stdin)
    verify = question["source"]["spec"]["verify"]
    assert [set(matcher) for matcher in verify["matchOIDCIdentity"]] == [{"issuer", "subject"}]
    assert question["secrets"] == {verify["trustedRootSecretRef"]["name"]: {"trusted_root.json": json.dumps(TRUST)}}
    assert not variables


def test_flux_1_8_is_deployed_with_the_trust_root(policy: Callable[..., Policy], asked: Asked) -> None:
    ask("flux-1.8", policy())
    ((_, stdin, variables),) = asked
    question = json.loads(stdin)
    assert "trustedRootSecretRef" not in question["source"]["spec"]["verify"]
    assert question["secrets"] == {}
    assert variables["TUF_MIRROR"].startswith("http://127.0.0.1:")
    assert {"TUF_ROOT", "TUF_ROOT_JSON", "SIGSTORE_ROOT_FILE"} < set(variables)


def test_flux_gets_public_keys_in_a_secret(policy: Callable[..., Policy], asked: Asked) -> None:
    ask("flux-1.9", policy(**KEYED))
    question = json.loads(asked[0][1])
    name = question["source"]["spec"]["verify"]["secretRef"]["name"]
    assert question["secrets"] == {name: {"0.pub": PUBLIC_KEY}}


@pytest.mark.parametrize(
    ("identities", "message"),
    [
        ({"release": RELEASE, "other": OTHER}, "do not fit into one matcher"),
        ({"release": RELEASE, "other": {"key": "key.pem"}}, "not both"),
    ],
)
def test_what_flux_cannot_say_is_not_asked(
    policy: Callable[..., Policy], asked: Asked, identities: dict[str, Any], message: str
) -> None:
    both = {"statements": [{**SIGNATURE, "identities": ["release", "other"]}], "identities": identities}
    verdict = ask("flux-1.9", policy(**both))
    assert verdict.reason is Reason.CONSUMER_UNAVAILABLE
    assert message in verdict.checks[0].detail
    assert not asked


def test_a_users_own_source_keeps_what_it_says_of_verification(
    policy: Callable[..., Policy], asked: Asked, tmp_path: Path
) -> None:
    own = tmp_path / "source.yaml"
    own.write_text(
        "kind: OCIRepository\nspec: {url: oci://elsewhere/x, interval: 5m, ref: {tag: v1}, verify: {provider: cosign, "
        "trustedRootSecretRef: {name: mine}}}\n"
    )
    ask("flux-1.9", policy(), configuration=own)
    question = json.loads(asked[0][1])
    spec = question["source"]["spec"]
    assert spec["url"] == "oci://127.0.0.1:5000/web"
    assert spec["ref"] == {"digest": "sha256:" + "ab" * 32}
    assert spec["verify"] == {"provider": "cosign", "trustedRootSecretRef": {"name": "mine"}}
    assert question["secrets"]["mine"] == {"trusted_root.json": json.dumps(TRUST)}


def test_kyverno_gets_the_signature_and_each_type(policy: Callable[..., Policy]) -> None:
    vsa = {
        "predicateType": "https://slsa.dev/verification_summary/v1",
        "identities": ["release", "other"],
        "threshold": 2,
        "summary": {"verifiers": ["https://v"]},
    }
    made = policy(identities={"release": RELEASE, "other": {"key": "key.pem"}}, statements=[SIGNATURE, vsa])
    spec = image_policy(made, by_tag=False)["spec"]
    assert [attestor["name"] for attestor in spec["attestors"]] == ["identity0", "identity1"]
    assert spec["attestors"][0]["cosign"]["keyless"] == {"identities": [RELEASE]}
    assert spec["attestors"][1]["cosign"]["key"] == {"data": PUBLIC_KEY}
    assert spec["attestations"] == [{"name": "type0", "intoto": {"type": vsa["predicateType"]}}]
    assert [validation["message"] for validation in spec["validations"]] == ["signature", "type0"]
    assert "[attestors.identity0]).all" not in spec["validations"][1]["expression"]
    assert ">= 2" in spec["validations"][1]["expression"]
    assert spec["validationConfigurations"]["verifyDigest"] is True
    assert image_policy(made, by_tag=True)["spec"]["validationConfigurations"]["verifyDigest"] is False


def test_kyverno_gets_anchored_expressions_and_the_evidence(policy: Callable[..., Policy]) -> None:
    made = policy(
        identities={"release": {"issuer": ISSUER, "subjectRegExp": "a|b"}},
        evidence={"logEntries": 0, "scts": 0, "timestamps": 1},
    )
    (attestor,) = image_policy(made, by_tag=False)["spec"]["attestors"]
    assert attestor["cosign"]["keyless"] == {"identities": [{"issuer": ISSUER, "subjectRegExp": "^(?:a|b)$"}]}
    assert attestor["cosign"]["ctlog"] == {"insecureIgnoreTlog": True, "insecureIgnoreSCT": True}
