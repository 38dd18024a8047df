"""Forgers, and the trust root in which their authorities stand."""

from __future__ import annotations

import json

import pytest

from dhallmark.controls.forging.authorities import Forgers
from dhallmark.controls.forging.bundle import Forger
from dhallmark.controls.prepare import merge_trust
from dhallmark.digest import Digest
from dhallmark.identity import Identity
from dhallmark.statement import COSIGN_SIGN_V1, Statement, Subject
from dhallmark.verify.trust import TrustRoot

_EMPTY = (
    b'{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",'
    b' "tlogs": [], "certificateAuthorities": [], "ctlogs": []}'
)


@pytest.fixture(scope="session")
def forgers() -> Forgers:
    return Forgers.make()


@pytest.fixture(scope="session")
def forger(forgers: Forgers) -> Forger:
    return Forger(forgers)


@pytest.fixture(scope="session")
def trust(forgers: Forgers) -> TrustRoot:
    content = _EMPTY
    for root in forgers.trusted_roots:
        content = merge_trust(content, json.dumps(root).encode())
    return TrustRoot.parse(content)


@pytest.fixture(scope="session")
def signer() -> Identity:
    return Identity(
        issuer="https://issuer.test",
        subject="https://git.test/acme/web/release.yml@refs/heads/main",
        extensions={"sourceRepositoryURI": "https://git.test/acme/web"},
    )


@pytest.fixture(scope="session")
def payload() -> bytes:
    subject = Subject("registry.test/web", Digest.of(b"web"))
    return Statement.build(predicate_type=COSIGN_SIGN_V1, subjects=[subject], predicate={}).payload
