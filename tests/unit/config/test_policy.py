from typing import Any

import pytest
from pydantic import ValidationError

from dhallmark.config.policy import Policy

RULE: dict[str, Any] = {"issuer": "https://issuer.example.test", "subject": "https://git.example.test/acme"}
GOOD: dict[str, Any] = {
    "schemaVersion": 1,
    "identities": {"release": RULE},
    "statements": [{"predicateType": "https://slsa.dev/provenance/v1", "identities": ["release"]}],
    "source": {"repository": "https://git.example.test/acme/platform"},
    "builders": ["https://dhallmark.example.test/builder"],
}


def test_a_good_policy_is_read() -> None:
    policy = Policy.model_validate(GOOD)
    assert policy.source is not None
    assert not policy.source.allow_dirty
    assert policy.max_subjects == 1024


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"subject": "s"}, "exactly one of issuer and issuerRegExp"),
        ({"issuer": "i"}, "exactly one of subject and subjectRegExp"),
        ({"issuer": "i", "issuerRegExp": "i", "subject": "s"}, "exactly one of issuer"),
        ({"issuer": "i", "subjectRegExp": "("}, "not an RE2 expression"),
        ({"issuer": "i", "subjectRegExp": "(?=x)"}, "not an RE2 expression"),
        (RULE | {"extensions": {"sourceRepo": "x"}}, "no Fulcio extension 'sourceRepo'"),
        (RULE | {"isuer": "x"}, "Extra inputs"),
    ],
)
def test_an_identity_must_be_whole(rule: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Policy.model_validate(GOOD | {"identities": {"release": rule}})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"identities": {}}, "at least 1 item"),
        ({"statements": []}, "at least one statement"),
        ({"builders": []}, "source and builders are needed"),
        ({"statements": [{"predicateType": "t", "identities": ["nobody"]}]}, "no identity 'nobody'"),
        ({"statements": [{"predicateType": "t", "identities": []}]}, "at least 1 item"),
        ({"maxSubjects": 0}, "greater than or equal to 1"),
        (
            {"statements": [{"predicateType": "t", "identities": ["release"], "steps": ["bake"]}]},
            "Input should be 'resolve'",
        ),
    ],
)
def test_a_policy_that_demands_nothing_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Policy.model_validate(GOOD | change)
