"""Signing against a real Sigstore: what comes out is verified by others, and every fault says what it is."""

from __future__ import annotations

import base64
import json
import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, tzinfo
from pathlib import Path

import anyio
import pytest
import sigstore.sign
from sigstore.models import Bundle, ClientTrustConfig
from sigstore.verify import Verifier
from sigstore.verify.policy import Identity as IdentityPolicy

from dhallmark.digest import Digest
from dhallmark.errors import ConfigError, FormatError, SigningError
from dhallmark.identity import Identity
from dhallmark.lab.session import Lab
from dhallmark.sign.services import open_services
from dhallmark.sign.signer import ReleaseSigner, SignedRelease, sign_release
from dhallmark.sign.token import check_token
from dhallmark.statement import COSIGN_SIGN_V1, SLSA_PROVENANCE_V1, Statement, Subject

pytestmark = pytest.mark.component

_SUBJECT = "https://github.com/acme/platform/.github/workflows/release.yml@refs/heads/main"
_ISSUER = "https://token.actions.githubusercontent.com"
_ARTIFACT = Digest.of(b"artifact")


def statement(name: str) -> bytes:
    return Statement.build(
        predicate_type=COSIGN_SIGN_V1, subjects=[Subject(f"registry.example/{name}", _ARTIFACT)], predicate={}
    ).payload


@pytest.fixture
def build(tmp_path: Path) -> Path:
    folder = tmp_path / "build"
    for name in ("dev/web/sign", "dev/api/sign", "links/render"):
        path = folder / "statements" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(statement(name))
    return folder


def sign(lab: Lab, build: Path, **options: object) -> SignedRelease[Identity]:
    arguments: dict[str, object] = {"token": lab.token(), "trust_config": lab.trust_config(), "timeout": 10.0} | options
    return lab.call(anyio.run, lambda: sign_release(build, **arguments))  # type: ignore[arg-type]


@contextmanager
def without(lab: Lab, service: str) -> Iterator[None]:
    lab.stop_service(service)
    try:
        yield
    finally:
        lab.start_service(service)


def test_every_statement_becomes_a_bundle_by_one_certificate(lab: Lab, build: Path) -> None:
    release = sign(lab, build)
    assert release.bundles == (
        "bundles/dev/api/sign.sigstore.json",
        "bundles/dev/web/sign.sigstore.json",
        "bundles/links/render.sigstore.json",
    )
    assert (release.identity.subject, release.identity.issuer) == (_SUBJECT, _ISSUER)
    certificates = set()
    trusted_root = ClientTrustConfig.from_json(lab.trust_config().read_text()).trusted_root
    for name in release.bundles:
        body = json.loads((build / name).read_text())
        assert body["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
        certificates.add(body["verificationMaterial"]["certificate"]["rawBytes"])
        unsigned = build / name.replace("bundles", "statements").replace(".sigstore.json", ".json")
        bundle = Bundle.from_json((build / name).read_text())
        kind, payload = Verifier(trusted_root=trusted_root).verify_dsse(
            bundle, IdentityPolicy(identity=_SUBJECT, issuer=_ISSUER)
        )
        assert (kind, payload) == ("application/vnd.in-toto+json", unsigned.read_bytes())
        assert len(body["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"]) == 1
    assert len(certificates) == 1


def test_cosign_accepts_a_bundle(lab: Lab, build: Path, tmp_path: Path) -> None:
    artifact = tmp_path / "artifact"
    artifact.write_bytes(b"artifact")
    sign(lab, build)
    verify: list[str | Path] = [
        "cosign", "verify-blob-attestation", "--new-bundle-format", "--type", COSIGN_SIGN_V1,
        "--trusted-root", lab.trusted_root(), "--bundle", build / "bundles" / "dev" / "web" / "sign.sigstore.json",
        "--certificate-identity", _SUBJECT, "--certificate-oidc-issuer", _ISSUER, artifact,
    ]  # fmt: skip
    assert lab.run(verify, check=False).returncode == 0
    artifact.write_bytes(b"another")
    assert lab.run(verify, check=False).returncode == 1


def test_signing_again_replaces_the_bundles_as_a_whole(lab: Lab, build: Path) -> None:
    sign(lab, build)
    (build / "statements" / "dev" / "api" / "sign.json").unlink()
    release = sign(lab, build)
    assert len(release.bundles) == 2
    assert {str(path.relative_to(build)) for path in (build / "bundles").rglob("*.json")} == set(release.bundles)


def test_a_gitlab_token_signs_too(lab: Lab, build: Path) -> None:
    release = sign(lab, build, token=lab.token("gitlab"))
    assert release.identity.subject == "https://gitlab.com/acme/platform//.gitlab-ci.yml@refs/heads/main"


def test_many_statements_are_signed_at_once(lab: Lab, build: Path) -> None:
    for index in range(40):
        (build / "statements" / "dev" / f"{index}.json").write_bytes(statement(str(index)))
    assert len(sign(lab, build).bundles) == 43


def test_an_identity_that_is_refused_signs_nothing(lab: Lab, build: Path) -> None:
    seen: list[Identity] = []

    def refuse(identity: Identity) -> None:
        seen.append(identity)
        raise SigningError("not this one")

    sign(lab, build)
    before = _log_indexes(build)
    with pytest.raises(SigningError, match="not this one"):
        sign(lab, build, allow=refuse)
    assert [identity.subject for identity in seen] == [_SUBJECT]
    assert _log_indexes(build) == before, "the older bundles stay"
    sign(lab, build)
    assert min(_log_indexes(build)) == max(before) + 1, "the refused run left nothing in the log"


def _log_indexes(build: Path) -> set[int]:
    bundles = [json.loads(path.read_text()) for path in (build / "bundles").rglob("*.json")]
    return {int(bundle["verificationMaterial"]["tlogEntries"][0]["logIndex"]) for bundle in bundles}


def _unwhole(build: Path) -> None:
    (build / "statements" / "dev" / "web" / "sign.json").write_bytes(b"{}")


def _none(build: Path) -> None:
    for path in (build / "statements").rglob("*.json"):
        path.unlink()


@pytest.mark.parametrize("spoil", [_unwhole, _none])
def test_what_is_no_statement_is_not_signed(lab: Lab, build: Path, spoil: Callable[[Path], None]) -> None:
    spoil(build)
    with pytest.raises(FormatError):
        sign(lab, build)
    assert not (build / "bundles").exists()


_TOKENS: dict[str, tuple[Callable[[Lab], str], str]] = {
    "expired": (lambda lab: lab.token(claims={"exp": 1}), "expired"),
    "another audience": (lambda lab: lab.token(claims={"aud": "kubernetes"}), "audience"),
    "another issuer": (lambda lab: lab.token(claims={"iss": "https://issuer.example"}), "takes tokens of"),
    "a forged signature": (lambda lab: lab.token(signed_by="gitlab"), "signature is not by a key of the issuer"),
    "no subject": (lambda lab: lab.token(without=("sub",)), "lacks sub"),
    "no token at all": (lambda _: "hunter2-not-a-token", "OIDC token"),
}


@pytest.mark.parametrize("case", _TOKENS)
def test_a_bad_token_is_explained_and_never_shown(
    lab: Lab, build: Path, case: str, caplog: pytest.LogCaptureFixture
) -> None:
    make, message = _TOKENS[case]
    token = make(lab)
    caplog.set_level(logging.DEBUG)
    with pytest.raises(SigningError, match=message) as caught:
        sign(lab, build, token=token)
    assert not (build / "bundles").exists()
    _assert_hidden(token, caught.value, caplog.text)


def _assert_hidden(token: str, error: BaseException | None, log: str) -> None:
    secret = token.rpartition(".")[2]
    assert secret
    assert secret not in log
    seen: set[int] = set()
    pending = [error]
    while pending:
        one = pending.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        assert secret not in "".join(traceback.format_exception(one))
        assert secret not in repr(one.args)
        assert secret not in repr(vars(one))
        request = getattr(one, "request", None)
        assert request is None or secret not in repr(request.headers)
        pending += [one.__cause__, one.__context__]


@pytest.mark.parametrize(
    ("service", "message"),
    [
        ("fulcio-main", "Fulcio at .* gave no certificate"),
        ("rekor", "transparency log at .* took no entry"),
        ("timestamp", "timestamp authority at .* gave no timestamp"),
    ],
)
def test_a_service_that_is_away_is_named_and_nothing_is_written(
    lab: Lab, build: Path, service: str, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    token = lab.token()
    caplog.set_level(logging.DEBUG)
    with without(lab, service), pytest.raises(SigningError, match=message) as caught:
        sign(lab, build, token=token)
    _assert_hidden(token, caught.value, caplog.text)
    assert not (build / "bundles").exists()
    assert [path.name for path in build.iterdir()] == ["statements"], "nothing half-made is left"
    assert len(sign(lab, build).bundles) == 3, "the next run recovers"


def test_bundles_of_an_older_run_stay_when_a_new_one_fails(lab: Lab, build: Path) -> None:
    sign(lab, build)
    before = (build / "bundles" / "dev" / "web" / "sign.sigstore.json").read_bytes()
    with without(lab, "rekor"), pytest.raises(SigningError):
        sign(lab, build)
    assert (build / "bundles" / "dev" / "web" / "sign.sigstore.json").read_bytes() == before


def test_a_token_in_the_logs_would_be_found(lab: Lab, build: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The twin of the tests above: they look in a log that has something in it, for the right thing."""
    caplog.set_level(logging.DEBUG)
    token = lab.token()
    sign(lab, build, token=token)
    assert "urllib3" in caplog.text
    with pytest.raises(AssertionError):
        _assert_hidden(token, ValueError(token), "")


def test_a_trust_root_of_another_instance_does_not_pass(lab: Lab, build: Path, tmp_path: Path) -> None:
    """Signed by one instance, verified against another's root: found before anything is written."""
    config = json.loads(lab.trust_config().read_text())
    other = json.loads(lab.trust_config("other").read_text())
    config["trustedRoot"]["certificateAuthorities"] = other["trustedRoot"]["certificateAuthorities"]
    mixed = tmp_path / "mixed.json"
    mixed.write_text(json.dumps(config))
    with pytest.raises(SigningError, match="does not verify"):
        sign(lab, build, trust_config=mixed)
    assert not (build / "bundles").exists()


def test_a_certificate_that_the_ct_log_does_not_vouch_for_is_refused(lab: Lab, build: Path, tmp_path: Path) -> None:
    config = json.loads(lab.trust_config().read_text())
    config["trustedRoot"]["ctlogs"] = config["trustedRoot"]["tlogs"]
    mixed = tmp_path / "mixed.json"
    mixed.write_text(json.dumps(config))
    with pytest.raises(SigningError, match="certificate transparency"):
        sign(lab, build, trust_config=mixed)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"mediaType": "x"}', "TRUSTED_ROOT"])
def test_a_trust_config_that_is_none_is_refused_with_its_file(
    lab: Lab, build: Path, tmp_path: Path, content: str
) -> None:
    file = tmp_path / "trust.json"
    file.write_text(lab.trusted_root().read_text() if content == "TRUSTED_ROOT" else content)
    with pytest.raises(ConfigError) as caught:
        sign(lab, build, trust_config=file)
    assert caught.value.where is not None
    assert caught.value.where.file == str(file)


def test_a_certificate_that_expires_before_the_end_is_named(
    lab: Lab, build: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fulcio's certificates live ten minutes; the clock is the one thing that must be faked here."""

    class Later(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Later:
            return cls.fromtimestamp(datetime.now(tz).timestamp() + 11 * 60, tz)

    async def main() -> None:
        services = open_services(ClientTrustConfig.from_json(lab.trust_config().read_text()))
        signer = await ReleaseSigner.open(services, check_token(lab.token()))
        payload = statement("x")
        assert base64.b64encode(payload) in await signer.sign(payload)
        monkeypatch.setattr(sigstore.sign, "datetime", Later)
        with pytest.raises(SigningError, match="certificate expired at"):
            await signer.sign(payload)

    lab.call(anyio.run, main)


def test_the_signer_keeps_no_token(lab: Lab) -> None:
    token = lab.token()

    async def main() -> ReleaseSigner:
        services = open_services(ClientTrustConfig.from_json(lab.trust_config().read_text()))
        return await ReleaseSigner.open(services, check_token(token))

    signer = lab.call(anyio.run, main)
    seen: set[int] = set()
    pending: list[object] = [signer]
    while pending:
        one = pending.pop()
        if id(one) in seen or isinstance(one, type):
            continue
        seen.add(id(one))
        if isinstance(one, str | bytes):
            assert token not in str(one)
        elif isinstance(one, dict):
            pending += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple | set):
            pending += one
        else:
            pending.append(getattr(one, "__dict__", {}))
    assert len(seen) > 20


def test_provenance_is_signed_as_it_stands(lab: Lab, build: Path) -> None:
    """Not re-encoded: what the policy was evaluated on is what is signed."""
    odd = (
        b'{ "predicate":{"buildDefinition":{"buildType":"https://example.org/b","externalParameters":{"a":1}},'
        b'"runDetails":{"builder":{"id":"https://example.org/b"}}},"predicateType":"' + SLSA_PROVENANCE_V1.encode()
        + b'","subject":[{"digest":{"sha256":"' + _ARTIFACT.hex.encode() + b'"},"name":"\xc3\xa9"}],'
        b'"_type":"https://in-toto.io/Statement/v1"}\n'
    )  # fmt: skip
    (build / "statements" / "dev" / "web" / "provenance.json").write_bytes(odd)
    sign(lab, build)
    bundle = json.loads((build / "bundles" / "dev" / "web" / "provenance.sigstore.json").read_text())
    assert base64.b64decode(bundle["dsseEnvelope"]["payload"]) == odd
