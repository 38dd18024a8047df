"""Keys and logs of the first version, of which the lab has none: what they are sent, and what comes of their answer.

The log is one in memory. It makes of a request what Rekor v1 makes of it: the entry's body, its proof and its promise.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anyio
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from rekor_types import Dsse
from tests.unit.verify.conftest import HOST, Instance

from dhallmark.digest import Digest
from dhallmark.errors import ConfigError, SigningError
from dhallmark.sign.key import PemKey, public_pem
from dhallmark.sign.keyed import sign_release_with_key
from dhallmark.statement import COSIGN_SIGN_V1, Statement, Subject
from dhallmark.verdict import Outcome
from dhallmark.verify.bundle import verify_bundle
from dhallmark.verify.demands import Demands
from dhallmark.verify.keys import ManagedKey
from dhallmark.verify.period import Period
from dhallmark.verify.terms import Terms

Json = dict[str, Any]

LOGGED = Demands(log_entries=1, scts=0)
PAYLOAD = Statement.build(
    predicate_type=COSIGN_SIGN_V1, subjects=[Subject("registry.example/web", Digest.of(b"artifact"))], predicate={}
).payload


class Log:
    """A Rekor v1 log of one instance."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.requests: list[Json] = []

    def answer(self, request: Json) -> Json:
        """What `POST /api/v1/log/entries` answers (Rekor's openapi.yaml, LogEntry)."""
        self.requests.append(request)
        proposed = request["spec"]["proposedContent"]
        envelope = json.loads(proposed["envelope"])
        body = {
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "envelopeHash": _sha256(proposed["envelope"].encode()),
                "payloadHash": _sha256(base64.b64decode(envelope["payload"])),
                "signatures": [
                    {"signature": signature["sig"], "verifier": verifier}
                    for signature, verifier in zip(envelope["signatures"], proposed["verifiers"], strict=True)
                ],
            },
        }
        entry = self.instance._entry(body, integrated=datetime.now(UTC), origin=f"{HOST} - 7", signer=HOST)
        proof = entry["inclusionProof"]
        return {
            "24296fb24b8ad77a": {
                "body": entry["canonicalizedBody"],
                "integratedTime": int(entry["integratedTime"]),
                "logID": base64.b64decode(entry["logId"]["keyId"]).hex(),
                "logIndex": int(entry["logIndex"]),
                "verification": {
                    "inclusionProof": {
                        "checkpoint": proof["checkpoint"]["envelope"],
                        "hashes": [base64.b64decode(one).hex() for one in proof["hashes"]],
                        "logIndex": int(proof["logIndex"]),
                        "rootHash": base64.b64decode(proof["rootHash"]).hex(),
                        "treeSize": int(proof["treeSize"]),
                    },
                    "signedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"],
                },
            }
        }


def _sha256(content: bytes) -> Json:
    return {"algorithm": "sha256", "value": hashlib.sha256(content).hexdigest()}


@pytest.fixture
def log() -> Log:
    return Log(Instance())


@pytest.fixture
def trust_config(log: Log, tmp_path: Path) -> Iterator[Path]:
    """A trust config of an instance that has nothing but a log of the first version."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            content = json.dumps(log.answer(request)).encode()
            self.send_response(201)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    service = {
        "url": f"http://127.0.0.1:{server.server_address[1]}",
        "majorApiVersion": 1,
        "validFor": {"start": "2020-01-01T00:00:00Z"},
        "operator": "unit.test",
    }
    path = tmp_path / "trust_config.json"
    path.write_text(
        json.dumps(
            {
                "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
                "trustedRoot": log.instance.trusted_root(),
                "signingConfig": {
                    "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
                    "caUrls": [],
                    "oidcUrls": [],
                    "rekorTlogUrls": [service],
                    "rekorTlogConfig": {"selector": "ANY"},
                    "tsaUrls": [],
                    "tsaConfig": {"selector": "ANY"},
                },
            }
        )
    )
    try:
        yield path
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def build(tmp_path: Path) -> Path:
    folder = tmp_path / "build"
    (folder / "statements").mkdir(parents=True)
    (folder / "statements" / "sign.json").write_bytes(PAYLOAD)
    return folder


@pytest.mark.parametrize(
    "key",
    [PemKey(ec.generate_private_key(ec.SECP256R1())), PemKey(ed25519.Ed25519PrivateKey.generate())],
    ids=["P-256", "Ed25519"],
)
def test_a_log_of_the_first_version_gives_entry_and_time(
    log: Log, trust_config: Path, build: Path, key: PemKey
) -> None:
    managed = ManagedKey.parse(public_pem(key), period=Period(None, datetime.now(UTC) + timedelta(days=1)))
    anyio.run(
        partial(sign_release_with_key, build, key=key, trust_config=trust_config, demands=LOGGED, trusted=[managed])
    )
    (request,) = log.requests
    Dsse.model_validate(request)  # the shape that Rekor's own schema has for it
    assert base64.b64decode(request["spec"]["proposedContent"]["verifiers"][0]) == public_pem(key)
    bundle = (build / "bundles" / "sign.sigstore.json").read_bytes()
    result = verify_bundle(bundle, Terms(log.instance.trust(), [managed], LOGGED))
    assert result.verdict.outcome is Outcome.ACCEPTED, result.verdict.to_json()
    assert len(result.times) == 1


def test_an_answer_about_another_signature_is_not_kept(log: Log, trust_config: Path, build: Path) -> None:
    other = PemKey(ec.generate_private_key(ec.SECP256R1()))
    answer = log.answer

    def swap(request: Json) -> Json:
        request["spec"]["proposedContent"]["verifiers"] = [base64.b64encode(public_pem(other)).decode()]
        return answer(request)

    log.answer = swap  # type: ignore[method-assign]
    key = PemKey(ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(SigningError, match=r"does not verify: rejected\(log.entry-mismatch\)"):
        anyio.run(partial(sign_release_with_key, build, key=key, trust_config=trust_config, demands=LOGGED))
    assert not (build / "bundles").exists()


def test_a_signing_config_that_cannot_be_followed_is_refused(trust_config: Path, build: Path) -> None:
    body = json.loads(trust_config.read_text())
    body["signingConfig"]["tsaConfig"] = {"selector": "EXACT", "count": 2}
    trust_config.write_text(json.dumps(body))
    key = PemKey(ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(ConfigError, match="names no usable service"):
        anyio.run(partial(sign_release_with_key, build, key=key, trust_config=trust_config, demands=LOGGED))


def test_a_signing_config_that_asks_for_several_logs_is_not_followed_by_half(trust_config: Path, build: Path) -> None:
    body = json.loads(trust_config.read_text())
    (log,) = body["signingConfig"]["rekorTlogUrls"]
    body["signingConfig"].update(
        rekorTlogUrls=[log, {**log, "operator": "other.test"}], rekorTlogConfig={"selector": "ALL"}
    )
    trust_config.write_text(json.dumps(body))
    key = PemKey(ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(ConfigError, match="entries in 2 transparency logs"):
        anyio.run(partial(sign_release_with_key, build, key=key, trust_config=trust_config, demands=LOGGED))
