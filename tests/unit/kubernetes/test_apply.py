"""What the API server says and stores, read into checks."""

from __future__ import annotations

import pytest

from dhallmark.kubernetes.apply import _refused, differences, is_native
from dhallmark.reasons import Reason

WANTED = {"spec": {"url": "oci://x", "verify": {"provider": "cosign", "list": [{"a": 1}, {"b": True}]}}}


@pytest.mark.parametrize(
    ("stored", "found"),
    [
        (WANTED, []),
        ({**WANTED, "status": {"conditions": []}, "more": 1}, []),
        ({"spec": {"url": "oci://x"}}, [("spec.verify", "is gone")]),
        ({"spec": {**WANTED["spec"], "url": "oci://y"}}, [("spec.url", "has another value")]),
        (
            {"spec": {"url": "oci://x", "verify": {"provider": "cosign", "list": [{"a": 1}]}}},
            [("spec.verify.list", "has another number of items")],
        ),
        (
            {"spec": {"url": "oci://x", "verify": {"provider": "cosign", "list": [{"a": 1}, {"b": 1}]}}},
            [("spec.verify.list[1].b", "has another value")],
        ),
        ({"spec": {"url": "oci://x", "verify": "cosign"}}, [("spec.verify", "is another kind of value")]),
        ({}, [("spec", "is gone")]),
    ],
)
def test_what_is_gone_or_changed_is_named_by_its_path(stored: object, found: list[tuple[str, str]]) -> None:
    assert list(differences(WANTED, stored)) == found


@pytest.mark.parametrize("wanted", [{"a": None}, {"a": {}}, {"a": []}, {"status": {"x": 1}}])
def test_what_means_the_same_without_its_key_is_not_missed(wanted: object) -> None:
    assert list(differences(wanted, {})) == []


def test_each_unknown_key_is_a_finding_of_its_own() -> None:
    message = (
        'POST https://127.0.0.1/x: OCIRepository in version "v1" cannot be handled as a OCIRepository: strict decoding '
        'error: unknown field "spec.verify.subject", duplicate field "spec.url", unknown field "spec.verify.subject"'
    )
    found = list(_refused(message))
    assert [(one.reason, one.evidence["field"]) for one in found] == [
        (Reason.MANIFEST_UNKNOWN_FIELD, "spec.verify.subject"),
        (Reason.MANIFEST_UNKNOWN_FIELD, "spec.url"),
    ]


def test_another_refusal_keeps_the_servers_words_and_the_field() -> None:
    (found,) = _refused('POST https://x: OCIRepository "c" is invalid: spec.url: Invalid value: "http://x": must match')
    assert found.reason is Reason.MANIFEST_REFUSED
    assert found.evidence == {"field": "spec.url"}
    assert found.detail.startswith('OCIRepository "c" is invalid')


@pytest.mark.parametrize(
    ("api_version", "native"),
    [
        ("v1", True),
        ("apps/v1", True),
        ("networking.k8s.io/v1", True),
        ("source.toolkit.fluxcd.io/v1", False),
        ("kyverno.io/v1", False),
    ],
)
def test_kubernetes_own_kinds_are_told_from_definitions(api_version: str, *, native: bool) -> None:
    assert is_native(api_version) is native
