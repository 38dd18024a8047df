"""Our own cases, of the kinds that the public suite has: made here, written in its layout, judged by its protocol."""

from __future__ import annotations

import base64
import copy
import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dhallmark.conformance.__main__ import main
from dhallmark.digest import Digest
from dhallmark.errors import ExitCode
from dhallmark.statement import Statement, Subject

if TYPE_CHECKING:
    from tests.conformance.conftest import Case
    from tests.unit.verify.conftest import Instance

Json = dict[str, Any]
CLIENT = Path(__file__).with_name("client")
ARTIFACT = b"what was signed\n"
PAYLOAD = Statement.build(
    predicate_type="https://example.test/predicate/v1", subjects=[Subject("a.txt", Digest.of(ARTIFACT))], predicate={}
).payload
REKOR_V2 = {"kind": ("hashedrekord", "0.0.2")}
KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_KEY = ec.generate_private_key(ec.SECP256R1())
SUBJECT = "https://github.com/acme/platform/.github/workflows/release.yml@refs/heads/main"


def entry(bundle: Json) -> Json:
    found: Json = bundle["verificationMaterial"]["tlogEntries"][0]
    return found


def flip(holder: Json, key: str) -> None:
    content = bytearray(base64.b64decode(holder[key]))
    content[-1] ^= 1
    holder[key] = base64.b64encode(bytes(content)).decode()


def version(number: str) -> Callable[[Json], None]:
    """Turn a bundle into one of an older version, with its chain of one certificate."""

    def change(bundle: Json) -> None:
        bundle["mediaType"] = f"application/vnd.dev.sigstore.bundle+json;version={number}"
        material = bundle["verificationMaterial"]
        if number in ("0.1", "0.2"):
            material["x509CertificateChain"] = {"certificates": [material.pop("certificate")]}

    return change


def checkpoint(change: Callable[[list[str], list[str]], None]) -> Callable[[Json], None]:
    """Change the lines of the checkpoint: those of its text, and those of its signatures."""

    def apply(bundle: Json) -> None:
        holder = entry(bundle)["inclusionProof"]["checkpoint"]
        text, _, signatures = holder["envelope"].partition("\n\n")
        lines, signed = text.split("\n"), signatures.splitlines()
        change(lines, signed)
        holder["envelope"] = "\n".join(lines) + "\n\n" + "".join(f"{line}\n" for line in signed)

    return apply


WITNESS = f"\u2014 witness.test {base64.b64encode(b'wits' + b's' * 64).decode()}"
OWN_NAME = f"\u2014 rekor.unit.test {base64.b64encode(b'else' + b's' * 64).decode()}"


@dataclass(frozen=True, kw_only=True)
class Made:
    """How a case is made."""

    message: bool = True
    """A message signature, or else a statement."""
    how: Json = field(default_factory=dict)
    stamp: Json | None = None
    change: Callable[[Json], object] = lambda _: None
    root: Callable[[Json], object] = lambda _: None
    key: ec.EllipticCurvePrivateKey | None = None
    """Whose public key the client is given."""
    artifact: bytes = ARTIFACT
    identity: str = SUBJECT


V2: Json = {"how": REKOR_V2, "stamp": {}}


def cases(now: datetime) -> dict[str, Made]:
    """Each case by its name. `now` is when it is made: a certificate lives for minutes, a run of all tests longer."""
    return {
        "happy-path-v0.1": Made(change=version("0.1")),
        "happy-path-v0.2": Made(change=version("0.2")),
        "happy-path-v0.3": Made(change=version("0.3")),
        "happy-path-dsse": Made(message=False),
        "happy-path-intoto": Made(message=False, how={"kind": ("intoto", "0.0.2")}, change=version("0.2")),
        "intoto-with-timestamp": Made(
            message=False, how={"kind": ("intoto", "0.0.2")}, stamp={"attributes": False, "pieces": True}
        ),
        "dsse-in-hashedrekord": Made(message=False, how={"kind": ("hashedrekord", "0.0.1")}),
        "promise-alone-v0.1": Made(change=lambda b: [version("0.1")(b), entry(b).pop("inclusionProof")]),
        "promise-alone-v0.2_fail": Made(change=lambda b: [version("0.2")(b), entry(b).pop("inclusionProof")]),
        "identity_fail": Made(identity="https://github.com/acme/platform/.github/workflows/other.yml@refs/heads/main"),
        "another-artifact_fail": Made(artifact=b"another"),
        "another-subject_fail": Made(message=False, artifact=b"another"),
        "signature_fail": Made(change=lambda b: flip(b["messageSignature"], "signature")),
        "message-digest_fail": Made(change=lambda b: flip(b["messageSignature"]["messageDigest"], "digest")),
        "promise_fail": Made(change=lambda b: flip(entry(b)["inclusionPromise"], "signedEntryTimestamp")),
        "integrated-time-in-future_fail": Made(how={"integrated": now + timedelta(days=400)}),
        "integrated-time-before-certificate_fail": Made(how={"integrated": now - timedelta(hours=1)}),
        "negative-index_fail": Made(change=lambda b: entry(b).update(logIndex="-1")),
        "unknown-version_fail": Made(change=version("99.9")),
        "rekor2-happy-path": Made(**V2),
        "rekor2-dsse-happy-path": Made(message=False, **V2),
        "rekor2-dsse-0.0.2": Made(message=False, how={"kind": ("dsse", "0.0.2")}, stamp={}),
        "rekor2-no-timestamp_fail": Made(how=REKOR_V2),
        "rekor2-timestamp-with-incorrect-time_fail": Made(how=REKOR_V2, stamp={"at": now - timedelta(minutes=30)}),
        "rekor2-cosigned": Made(**V2, change=checkpoint(lambda _, signed: signed.append(WITNESS))),
        "rekor2-origin-not-first": Made(**V2, change=checkpoint(lambda _, signed: signed.insert(0, WITNESS))),
        "rekor2-two-signatures-of-origin": Made(**V2, change=checkpoint(lambda _, signed: signed.insert(0, OWN_NAME))),
        "rekor2-no-signature-of-the-log_fail": Made(**V2, change=checkpoint(lambda _, s: s.__setitem__(0, WITNESS))),
        "rekor2-no-origin_fail": Made(**V2, change=checkpoint(lambda text, _: text.__delitem__(0))),
        "rekor2-no-size_fail": Made(**V2, change=checkpoint(lambda text, _: text.__delitem__(1))),
        "rekor2-no-root-hash_fail": Made(**V2, change=checkpoint(lambda text, _: text.__delitem__(2))),
        "rekor2-other-origin_fail": Made(how={**REKOR_V2, "origin": "other.test"}, stamp={}),
        "tlog-validity-ends-at-signing": Made(
            how={"integrated": now}, root=lambda r: r["tlogs"][0]["publicKey"]["validFor"].update(end=now.isoformat())
        ),
        "tlog-validity-ended_fail": Made(
            how={"integrated": now},
            root=lambda r: r["tlogs"][0]["publicKey"]["validFor"].update(end=(now - timedelta(seconds=1)).isoformat()),
        ),
        "tlog-validity-without-start_fail": Made(root=lambda r: r["tlogs"][0]["publicKey"]["validFor"].pop("start")),
        "tsa-validity-ends-at-signing": Made(
            how=REKOR_V2,
            stamp={"at": now},
            root=lambda r: r["timestampAuthorities"][0]["validFor"].update(end=now.isoformat()),
        ),
        "tsa-validity-ended_fail": Made(
            how=REKOR_V2,
            stamp={"at": now},
            root=lambda r: r["timestampAuthorities"][0]["validFor"].update(
                end=(now - timedelta(seconds=1)).isoformat()
            ),
        ),
        "ct-log-unknown_fail": Made(root=lambda r: r.update(ctlogs=[])),
        "managed-key-happy-path": Made(how={"key": KEY}, key=KEY),
        "managed-key-dsse": Made(message=False, how={"key": KEY}, key=KEY),
        "managed-key-in-intoto-without-payload": Made(
            message=False,
            how={
                "key": KEY,
                "kind": ("intoto", "0.0.2"),
                "body": lambda body: body["spec"]["content"]["envelope"].pop("payload"),
            },
            key=KEY,
        ),
        "managed-key-without-log": Made(
            how={"key": KEY, "kind": None},
            key=KEY,
            root=lambda r: [r.pop(name) for name in list(r) if name != "mediaType"],
        ),
        "managed-key-wrong-key_fail": Made(how={"key": KEY}, key=OTHER_KEY),
        "managed-key-no-key_fail": Made(how={"key": KEY}),
        "managed-key-for-a-certificate_fail": Made(key=KEY),
    }


NAMES = tuple(cases(datetime.now(UTC)))


Make = Callable[[str], "Case"]


@pytest.fixture
def make(instance: Instance, case_in: type[Case], tmp_path: Path) -> Make:
    """Writes the files of the case of that name."""
    return lambda name: case_in(write(cases(datetime.now(UTC).replace(microsecond=0))[name], instance, tmp_path / name))


def write(case: Made, instance: Instance, folder: Path) -> Path:
    folder.mkdir()
    how = dict(case.how)
    stamp = case.stamp
    if stamp is not None:
        how["stamps"] = lambda content: [instance.stamp(content, **stamp)]
    bundle = instance.sign_message(ARTIFACT, **how) if case.message else instance.sign(PAYLOAD, **how)
    case.change(bundle)
    root = copy.deepcopy(instance.trusted_root())
    case.root(root)
    (folder / "bundle.sigstore.json").write_text(json.dumps(bundle))
    (folder / "trusted_root.json").write_text(json.dumps(root))
    (folder / "artifact").write_bytes(case.artifact)
    (folder / "identity").write_text(case.identity)
    if case.key is not None:
        pem = case.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (folder / "key.pub").write_bytes(pem)
    return folder


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("by", ["file", "digest"])
def test_a_case_is_judged_as_its_name_says(make: Make, name: str, by: str) -> None:
    case = make(name)
    artifact = str(case.artifact) if by == "file" else str(Digest.of_file(case.artifact))
    code = main(["verify-bundle", *case.options, artifact])
    assert (code == ExitCode.OK) is case.good


@pytest.mark.parametrize("name", ["happy-path-v0.3", "another-artifact_fail"])
def test_the_client_is_a_program(make: Make, tmp_path: Path, name: str) -> None:
    case = make(name)
    done = subprocess.run(
        [str(CLIENT), "verify-bundle", *case.options, str(case.artifact)],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ""},
    )
    assert done.returncode == (ExitCode.OK if case.good else ExitCode.REJECTED), done.stderr
    assert done.stdout == ""
    assert ("message.mismatch" in done.stderr) is not case.good
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--certificate-identity", "x"],
        ["--certificate-oidc-issuer", "x"],
        ["--key", "{key}", "--certificate-identity", "x", "--certificate-oidc-issuer", "y"],
    ],
)
def test_who_may_have_signed_must_be_said_in_one_way(
    make: Make, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    case = make("managed-key-happy-path")
    given = [option.format(key=case.folder / "key.pub") for option in options]
    bundle = ["--bundle", str(case.folder / "bundle.sigstore.json")]
    assert main(["verify-bundle", *bundle, *given, str(case.artifact)]) == ExitCode.USAGE
    assert capsys.readouterr().err


@pytest.mark.parametrize("missing", ["bundle.sigstore.json", "trusted_root.json", "artifact", "key.pub"])
def test_a_file_that_is_not_there_is_named(make: Make, missing: str, capsys: pytest.CaptureFixture[str]) -> None:
    case = make("managed-key-happy-path")
    arguments = ["verify-bundle", *case.options, str(case.artifact)]
    (case.folder / missing).unlink()
    assert main(arguments) == ExitCode.INPUT
    assert missing in capsys.readouterr().err


def test_a_file_may_have_the_name_of_a_digest(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = make("happy-path-v0.3")
    monkeypatch.chdir(tmp_path)
    name = str(Digest.of(ARTIFACT))
    Path(name).write_bytes(b"another")
    assert main(["verify-bundle", *case.options, name]) == ExitCode.REJECTED


def test_staging_has_a_trust_root_of_its_own(make: Make) -> None:
    case = make("happy-path-v0.3")
    (case.folder / "trusted_root.json").unlink()
    for instance_of in ([], ["--staging"]):
        assert main(["verify-bundle", *instance_of, *case.options, str(case.artifact)]) == ExitCode.REJECTED


@pytest.mark.parametrize("arguments", [[], ["verify"], ["sign"]])
def test_another_command_is_a_usage_error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == ExitCode.USAGE
    assert "usage" in capsys.readouterr().err
