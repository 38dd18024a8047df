from typing import Any

import pytest
from pydantic import ValidationError

from dhallmark.config.model import Config

GOOD: dict[str, Any] = {
    "schemaVersion": 1,
    "project": "acme",
    "version": "1.2.3",
    "source": {"repository": "https://git.example.test/acme/platform"},
    "layers": ["platform"],
    "environments": {"dev": {"values": "environments/dev.dhall"}},
    "applications": {"dns": {"entry": "apps/dns.dhall", "layer": "platform"}},
    "publish": {"registry": "127.0.0.1:5000", "repository": "acme", "staging": "staging/acme", "plainHttp": True},
    "policy": "policy.yaml",
}


def test_a_good_file_is_read_and_frozen() -> None:
    config = Config.model_validate(GOOD)
    assert config.publish.plain_http
    assert config.signing.mode == "keyless"
    with pytest.raises(ValidationError, match="frozen"):
        config.project = "other"  # type: ignore[misc] # mypy, too, sees that it is frozen


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pubish": {}}, "Extra inputs are not permitted"),
        ({"schemaVersion": 2}, "Input should be 1"),
        ({"version": "1.2"}, "String should match pattern"),
        ({"version": "1.2.3+build"}, "String should match pattern"),
        ({"project": "Acme"}, "String should match pattern"),
        ({"project": "a" * 54}, "String should match pattern"),
        ({"project": "dns"}, "umbrella chart has this name"),
        ({"layers": []}, "at least 1 item"),
        ({"layers": ["platform", "platform"]}, "stands twice"),
        ({"environments": {}}, "at least 1 item"),
        ({"applications": {}}, "at least 1 item"),
        ({"applications": {"dns": {"entry": "a.dhall", "layer": "nowhere"}}}, "no layer 'nowhere'; layers: platform"),
        (
            {"applications": {"dns": {"entry": "a.dhall", "layer": "platform", "environments": ["qa"]}}},
            "no environment 'qa'; environments: dev",
        ),
        ({"policy": "/etc/policy.yaml"}, "relative path"),
        ({"policy": "../policy.yaml"}, "relative path"),
        ({"policy": ""}, "relative path"),
        ({"publish": GOOD["publish"] | {"staging": "acme"}}, "staging must stand outside"),
        ({"publish": GOOD["publish"] | {"staging": "acme/staging"}}, "staging must stand outside"),
        ({"publish": GOOD["publish"] | {"registry": "https://r.example.test"}}, "String should match pattern"),
        ({"publish": GOOD["publish"] | {"repository": "Acme/"}}, "String should match pattern"),
    ],
)
def test_a_wrong_file_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Config.model_validate(GOOD | change)
