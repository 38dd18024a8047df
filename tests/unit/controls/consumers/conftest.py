"""Policies as files, and what consumers' programs were recorded to answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dhallmark.config.load import load_policy
from dhallmark.config.policy import Policy

ISSUER = "https://token.actions.githubusercontent.com"
SUBJECT = "https://github.com/acme/platform/.github/workflows/release.yml@refs/heads/main"
RELEASE = {"issuer": ISSUER, "subject": SUBJECT}
SIGNATURE = {"predicateType": "https://sigstore.dev/cosign/sign/v1", "identities": ["release"]}
PUBLIC_KEY = (
    "-----BEGIN PUBLIC KEY-----\n"
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE2G2Y+2tabdTV5BcGiBIx0a9fAFwr\n"
    "kBbmLSGtks4L3qX6yYY0zufBnhC8Ur/iy55GhWP/9A/bY2LhC30M9+RYtw==\n"
    "-----END PUBLIC KEY-----\n"
)


@pytest.fixture
def policy(tmp_path: Path) -> Callable[..., Policy]:
    """Make a policy of a release identity and a rule for its signature, with other parts where they are given."""

    def make(**parts: Any) -> Policy:  # noqa: ANN401
        body = {"schemaVersion": 1, "identities": {"release": RELEASE}, "statements": [SIGNATURE], **parts}
        (tmp_path / "policy.yaml").write_text(json.dumps(body))
        (tmp_path / "key.pem").write_text(PUBLIC_KEY)
        return load_policy(tmp_path / "policy.yaml")

    return make
