"""Any policy text gives a policy, or an error that says line and field."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dhallmark.config.load import parse_policy
from dhallmark.config.policy import Policy
from dhallmark.errors import ConfigError

Path = tuple[str | int, ...]
EVERYTHING: dict[str, Any] = {
    "schemaVersion": 1,
    "version": 3,
    "expires": "2027-01-01T00:00:00Z",
    "identities": {
        "release": {
            "issuer": "https://issuer.test",
            "subjectRegExp": r"https://git\.test/acme/release@[0-9a-f]{40}",
            "subjectKind": "uri",
            "extensions": {"sourceRepositoryURI": "https://git.test/acme", "buildSignerDigest": ["ab" * 20, "cd" * 20]},
            "reachable": {"buildSignerDigest": {"bundle": "w.bundle", "branches": ["refs/heads/main"]}},
        },
        "hsm": {"key": "keys/hsm.pem", "validFrom": "2026-01-01T00:00:00Z", "validUntil": "2027-01-01T00:00:00+02:00"},
        "auditor": {"issuerRegExp": r"https://issuer\.test", "subject": "audit@acme.test"},
    },
    "statements": [
        {"predicateType": "https://sigstore.dev/cosign/sign/v1", "identities": ["release", "hsm"], "threshold": 2},
        {"predicateType": "https://slsa.dev/provenance/v1", "identities": ["release"], "maxAge": "12h"},
        {
            "predicateType": "https://in-toto.io/attestation/link/v0.3",
            "identities": ["release"],
            "steps": ["resolve", "publish"],
        },
        {
            "predicateType": "https://in-toto.io/attestation/test-result/v0.1",
            "identities": ["auditor"],
            "result": "WARNED",
            "passedTests": ["controls"],
            "subjects": "artifact",
            "allowUnnamed": True,
        },
        {
            "predicateType": "https://slsa.dev/verification_summary/v1",
            "identities": ["auditor"],
            "summary": {
                "verifiers": ["https://verifier.test"],
                "resources": ["oci://registry.test/web"],
                "policies": ["sha256:" + "ab" * 32],
                "levels": ["SLSA_BUILD_LEVEL_2"],
            },
        },
    ],
    "signature": {"identities": ["hsm"], "threshold": 1, "maxAge": "1d"},
    "layout": {
        "identities": ["auditor"],
        "file": "layout.json",
        "minimumVersion": 2,
        "signedSince": "2026-01-01T00:00:00Z",
    },
    "source": {
        "repository": "https://git.test/acme",
        "allowDirty": False,
        "refs": ["refs/heads/main"],
        "revisions": ["ab" * 20],
        "reachable": {"bundle": "s.bundle", "branches": ["refs/heads/main"]},
    },
    "builders": ["https://builder.test"],
    "versions": {"minimum": "1.4.0", "artifacts": {"registry.test/acme/prod": "1.5.0"}, "parameter": "version"},
    "freshness": {"maxAge": "90d"},
    "evidence": {"logEntries": 1, "timestamps": 1, "scts": 1},
    "formats": ["bundle", "legacy"],
    "trustRoot": {
        "accepted": [{"digest": "sha256:" + "cd" * 32, "confirmed": "2026-11-01T00:00:00Z"}],
        "maxAge": "30d",
    },
    "maxSubjects": 10,
}


def places(value: object, here: Path = ()) -> list[Path]:
    """Every place in a document, from the outside in."""
    items: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    return [here] + [place for key, item in items for place in places(item, (*here, key))]


def change(document: Any, place: Path, act: Callable[[Any, str | int], None]) -> Any:  # noqa: ANN401
    whole: Any = copy.deepcopy(document)
    parent = whole
    for step in place[:-1]:
        parent = parent[step]
    act(parent, place[-1])
    return whole


def parsed(content: bytes) -> Policy | ConfigError:
    try:
        return parse_policy(content, file="policy.yaml")
    except ConfigError as error:
        return error


def is_told(error: ConfigError, *, of_model: bool) -> bool:
    """Whether an error says where; one of the whole file has line 1 and no field."""
    where = error.where
    if where is None or where.file != "policy.yaml" or not error.message:
        return False
    return not of_model or (where.line is not None and (where.field is not None or where.line == 1))


PLACES = [place for place in places(EVERYTHING) if place]
KEYS = sorted({str(step) for place in PLACES for step in place if isinstance(step, str)})
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(
        ["1d", "2026-01-01T00:00:00Z", "sha256:" + "ef" * 32, "1.0.0", "release", "(", ".*", "../x", "/x", "\0"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*KEYS, "x", ""]), inner, max_size=3),
    max_leaves=5,
)


def test_a_policy_with_every_key_is_read() -> None:
    assert isinstance(parsed(yaml.safe_dump(EVERYTHING).encode()), Policy)
    # The properties below mutate all there is.
    schema = Policy.model_json_schema(by_alias=True)
    known = set(schema["properties"]) | {key for part in schema["$defs"].values() for key in part.get("properties", ())}
    assert known - set(KEYS) == set()


@settings(max_examples=100)
@given(st.sampled_from(PLACES), VALUES)
def test_any_value_at_any_place_is_read_or_told_with_its_line(place: Path, value: object) -> None:
    def put(parent: Any, key: str | int) -> None:  # noqa: ANN401
        parent[key] = value

    found = parsed(yaml.safe_dump(change(EVERYTHING, place, put), allow_unicode=True).encode(errors="surrogatepass"))
    if isinstance(found, ConfigError):
        assert all(is_told(error, of_model=True) for error in (found, *found.others)), (found, found.others)


@settings(max_examples=40)
@given(st.sampled_from(PLACES), st.text(max_size=6))
def test_a_key_that_is_left_out_or_misspelt_is_read_or_told(place: Path, name: str) -> None:
    def leave_out(parent: Any, key: str | int) -> None:  # noqa: ANN401
        del parent[key]

    def misspell(parent: Any, key: str | int) -> None:  # noqa: ANN401
        if isinstance(parent, dict):
            parent[f"{key}{name}"] = parent.pop(key)

    for act in (leave_out, misspell):
        found = parsed(yaml.safe_dump(change(EVERYTHING, place, act), allow_unicode=True).encode())
        if isinstance(found, ConfigError):
            assert all(is_told(error, of_model=True) for error in (found, *found.others)), (found, found.others)


@settings(max_examples=60)
@given(st.binary(max_size=60), st.integers(0, 3000), st.integers(0, 30))
def test_any_bytes_in_the_middle_are_read_or_told(piece: bytes, start: int, length: int) -> None:
    content = yaml.safe_dump(EVERYTHING).encode()
    found = parsed(content[:start] + piece + content[start + length :])
    assert isinstance(found, Policy) or all(is_told(error, of_model=False) for error in (found, *found.others))
