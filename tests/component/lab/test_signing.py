"""What is signed in the lab, real verifiers accept; what Fulcio must refuse, it refuses."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.x509 import ObjectIdentifier, UnrecognizedExtension
from sigstore.dsse import DigestSet, Statement, StatementBuilder, Subject
from sigstore.errors import VerificationError
from sigstore.models import Bundle, ClientTrustConfig, TrustedRoot
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext
from sigstore.verify import Verifier
from sigstore.verify.policy import Identity

from dhallmark.lab.session import Lab

GITHUB = "https://token.actions.githubusercontent.com"
WORKFLOW = "https://github.com/acme/platform/.github/workflows/release.yml@refs/heads/main"


def image(lab: Lab, registry: str, name: str, folder: Path) -> tuple[str, str]:
    """Repository and digest of an artifact that was just pushed."""
    (folder / "content").write_text(name)
    lab.run(["tar", "-cf", folder / "layer.tar", "-C", folder, "content"])
    repository = f"{registry}/{name}"
    lab.run(["crane", "append", "-f", folder / "layer.tar", "-t", f"{repository}:1"])
    return repository, lab.run(["crane", "digest", f"{repository}:1"]).stdout.strip()


def statement(digest: str) -> Statement:
    subject = Subject(name="artifact", digest=DigestSet({"sha256": digest.removeprefix("sha256:")}))
    return (
        StatementBuilder()
        .subjects([subject])
        .predicate_type("https://sigstore.dev/cosign/sign/v1")
        .predicate({})
        .build()
    )


def sign(lab: Lab, token: str, digest: str, *, authority: str | None = None) -> Bundle:
    """Sign as sigstore-python's users do, with the lab's trust config alone."""

    def run() -> Bundle:
        config = ClientTrustConfig.from_json(lab.trust_config(authority).read_text())
        with SigningContext.from_trust_config(config).signer(IdentityToken(token)) as signer:
            return signer.sign_dsse(statement(digest))

    return lab.call(run)


def verify(lab: Lab, bundle: Bundle, *, identity: str, issuer: str, authority: str | None = None) -> dict[str, object]:
    verifier = Verifier(trusted_root=TrustedRoot.from_file(str(lab.trusted_root(authority))))
    _, payload = verifier.verify_dsse(bundle, Identity(identity=identity, issuer=issuer))
    body = json.loads(payload)
    assert isinstance(body, dict)
    return body


DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("issuer", "url", "identity"),
    [
        ("github", GITHUB, WORKFLOW),
        ("github-other", f"{GITHUB}/other-enterprise", WORKFLOW),
        ("gitlab", "https://gitlab.com", "https://gitlab.com/acme/platform//.gitlab-ci.yml@refs/heads/main"),
        (
            "gitlab-other",
            "https://gitlab.other.test",
            "https://gitlab.other.test/acme/platform//.gitlab-ci.yml@refs/heads/main",
        ),
        ("email", "https://accounts.dhallmark.test", "someone@example.com"),
    ],
)
def test_sigstore_accepts_what_each_issuer_signs(lab: Lab, issuer: str, url: str, identity: str) -> None:
    bundle = sign(lab, lab.token(issuer), DIGEST)
    body = verify(lab, bundle, identity=identity, issuer=url)
    assert body["subject"] == [{"name": "artifact", "digest": {"sha256": "a" * 64}}]
    with pytest.raises(VerificationError):
        verify(lab, bundle, identity=identity, issuer="https://elsewhere.test")
    with pytest.raises(VerificationError):
        verify(lab, bundle, identity=f"{identity}-evil", issuer=url)


def test_claims_become_extensions_of_the_certificate(lab: Lab) -> None:
    bundle = sign(lab, lab.token(claims={"repository": "acme/other", "sha": "c" * 40}), DIGEST)

    def text(number: int) -> bytes:
        oid = ObjectIdentifier(f"1.3.6.1.4.1.57264.1.{number}")
        value = bundle.signing_certificate.extensions.get_extension_for_oid(oid).value
        assert isinstance(value, UnrecognizedExtension)
        return value.value[2:]  # after the tag and the length of a UTF8String

    assert text(12) == b"https://github.com/acme/other"
    assert text(13) == b"c" * 40
    assert text(21) == b"https://github.com/acme/other/actions/runs/7000000001/attempts/1"


def test_another_authority_is_not_trusted(lab: Lab) -> None:
    bundle = sign(lab, lab.token(), DIGEST, authority="other")
    assert verify(lab, bundle, identity=WORKFLOW, issuer=GITHUB, authority="other")
    with pytest.raises(VerificationError):
        verify(lab, bundle, identity=WORKFLOW, issuer=GITHUB)


@pytest.mark.parametrize(
    "make",
    [
        lambda lab: lab.token(claims={"aud": "elsewhere"}),
        lambda lab: lab.token(claims={"exp": int(time.time()) - 60}),
        lambda lab: lab.token(claims={"nbf": int(time.time()) + 3600}),
        lambda lab: lab.token(claims={"iss": "https://stranger.test"}),
        lambda lab: lab.token(signed_by="github-other"),
        lambda lab: lab.token(without=("job_workflow_ref",)),
        lambda lab: lab.token("email", claims={"email_verified": False}),
        lambda _: "e30.e30.e30",
    ],
    ids=["audience", "expired", "not-yet", "issuer", "forged", "claim-missing", "unverified-email", "garbage"],
)
def test_fulcio_refuses_a_bad_token(lab: Lab, make: Callable[[Lab], str]) -> None:
    """Asked directly: sigstore-python would refuse some of these itself."""
    status, answer = _ask_fulcio(lab, make(lab))
    assert 400 <= status < 500, answer
    assert "certificates" not in answer


def test_fulcio_gives_a_good_token_a_certificate(lab: Lab) -> None:
    """The twin of the test above: the same request with nothing wrong in it."""
    status, answer = _ask_fulcio(lab, lab.token())
    assert status == 200, answer
    assert "certificates" in answer


def _ask_fulcio(lab: Lab, token: str) -> tuple[int, str]:
    from base64 import b64encode

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    from dhallmark.lab.pki import signing_key

    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(signing_key(), hashes.SHA256())
    body = {
        "credentials": {"oidcIdentityToken": token},
        "certificateSigningRequest": b64encode(request.public_bytes(serialization.Encoding.PEM)).decode(),
    }
    url = f"{lab.model.fulcio_url('main')}/api/v2/signingCert"
    done = lab.run(["curl", "-s", "-w", "\n%{http_code}", "-d", "@-", url], stdin=json.dumps(body))
    answer, _, status = done.stdout.rpartition("\n")
    return int(status), answer


@pytest.mark.parametrize("kind", ["registry", "registry_fallback"])
def test_cosign_signs_and_verifies_in_both_registries(lab: Lab, kind: str, tmp_path: Path) -> None:
    registry = getattr(lab, kind)
    repository, digest = image(lab, registry, "lab/cosign", tmp_path)
    (tmp_path / "token").write_text(lab.token())
    lab.run(
        ["cosign", "sign", "--yes", f"--identity-token={tmp_path / 'token'}",
         f"--signing-config={lab.signing_config()}", f"--trusted-root={lab.trusted_root()}", f"{repository}@{digest}"]
    )  # fmt: skip

    def cosign(*, issuer: str, root: Path) -> int:
        return lab.run(
            ["cosign", "verify", f"--trusted-root={root}", f"--certificate-identity={WORKFLOW}",
             f"--certificate-oidc-issuer={issuer}", f"{repository}@{digest}"],
            check=False,
        ).returncode  # fmt: skip

    assert cosign(issuer=GITHUB, root=lab.trusted_root()) == 0
    assert cosign(issuer=f"{GITHUB}/other-enterprise", root=lab.trusted_root()) != 0
    assert cosign(issuer=GITHUB, root=lab.trusted_root("other")) != 0


def test_the_registries_differ_in_the_referrers_api(lab: Lab, tmp_path: Path) -> None:
    answers = {}
    for registry in (lab.registry, lab.registry_fallback):
        _, digest = image(lab, registry, "lab/referrers", tmp_path)
        url = f"http://{registry}/v2/lab/referrers/referrers/{digest}"
        answers[registry] = lab.run(["curl", "-s", "-w", "\n%{http_code}", url]).stdout.rpartition("\n")
    body, _, status = answers[lab.registry]
    assert status == "200"
    assert json.loads(body)["mediaType"] == "application/vnd.oci.image.index.v1+json"
    assert answers[lab.registry_fallback][2] == "404"


def test_cosign_reads_the_trust_files_that_dhallmark_writes(lab: Lab, tmp_path: Path) -> None:
    """cosign makes the same trusted root and signing config of the lab's keys, up to times and names."""
    certs, model = lab.paths, lab.model
    rekor_key = tmp_path / "rekor.pub"
    lab.run(["openssl", "pkey", "-in", certs.key("rekor"), "-pubout", "-out", rekor_key])
    start = json.loads(lab.trusted_root().read_bytes())["tlogs"][0]["publicKey"]["validFor"]["start"]
    lab.run(
        ["cosign", "trusted-root", "create",
         f"--fulcio=url={model.fulcio_url('main')},certificate-chain={certs.certificates('fulcio-main')}",
         f"--rekor=url={model.rekor_url},public-key={rekor_key},start-time={start}",
         f"--ctfe=url={model.ctlog_url('main')},public-key={certs.certificates('ctlog-main')},start-time={start}",
         f"--tsa=url={model.timestamp_url},certificate-chain={certs.certificates('timestamp')}",
         f"--out={tmp_path / 'root.json'}"]
    )  # fmt: skip
    theirs, ours = (json.loads(path.read_bytes()) for path in (tmp_path / "root.json", lab.trusted_root()))
    assert theirs == ours
