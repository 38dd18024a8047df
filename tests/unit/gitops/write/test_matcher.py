"""One matcher for what a policy says of several identities: exactly those, or none."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import re2
from tests.unit.controls.consumers.conftest import ISSUER, SUBJECT

from dhallmark.config.identities import IdentityRule
from dhallmark.config.policy import Policy
from dhallmark.errors import UsageError
from dhallmark.gitops.write.matcher import Matcher, anchored, identities_of, one_matcher, signature_rules


def rule(**fields: str) -> IdentityRule:
    return IdentityRule.model_validate({"issuer": ISSUER, "subject": SUBJECT} | fields)


def matches(matcher: Matcher, issuer: str, subject: str) -> bool:
    """As Flux and cosign ask: anywhere in the text."""
    return bool(re2.search(matcher.issuer, issuer)) and bool(re2.search(matcher.subject, subject))


def test_an_exact_identity_is_matched_and_nothing_beside_it() -> None:
    matcher = one_matcher([rule()])
    assert matches(matcher, ISSUER, SUBJECT)
    for subject in (SUBJECT + "-evil", "x" + SUBJECT, SUBJECT.replace(".yml", "Xyml"), SUBJECT + "\n"):
        assert not matches(matcher, ISSUER, subject), subject
    assert not matches(matcher, ISSUER.replace(".", "x"), SUBJECT)


def test_an_expression_matches_the_whole_text() -> None:
    pattern = IdentityRule.model_validate({"issuer": ISSUER, "subjectRegExp": "https://a|https://b"})
    matcher = one_matcher([pattern])
    assert matches(matcher, ISSUER, "https://a")
    assert not matches(matcher, ISSUER, "https://a/evil")
    assert not matches(matcher, ISSUER, "evil https://b")


def test_identities_that_share_an_issuer_fit_into_one_matcher() -> None:
    matcher = one_matcher([rule(), rule(subject="https://other")])
    assert matches(matcher, ISSUER, SUBJECT)
    assert matches(matcher, ISSUER, "https://other")
    assert not matches(matcher, ISSUER, "https://other/x")


def test_identities_that_share_nothing_fit_into_none() -> None:
    with pytest.raises(UsageError, match="2 identities of different issuers"):
        one_matcher([rule(), rule(issuer="https://gitlab.com", subject="https://other")])
    with pytest.raises(UsageError, match="no identity"):
        one_matcher([])


def test_anchors_stand_around_the_whole_of_an_alternative() -> None:
    assert not re2.search(anchored("a|b"), "ax")
    assert re2.search(anchored("a|b"), "b")


def test_admission_looks_for_the_signature_or_for_anything(policy: Callable[..., Policy]) -> None:
    link = {
        "predicateType": "https://in-toto.io/attestation/link/v0.3",
        "identities": ["builder"],
        "steps": ["render"],
    }
    identities = {"release": {"issuer": ISSUER, "subject": SUBJECT}, "builder": {"issuer": ISSUER, "subject": "b"}}
    signature = {"predicateType": "https://sigstore.dev/cosign/sign/v1", "identities": ["release"]}
    both = policy(identities=identities, statements=[link, signature])
    assert [rule.subject for rule in identities_of(both, signature_rules(both))] == [SUBJECT]
    alone = policy(identities=identities, statements=[link])
    assert [rule.subject for rule in identities_of(alone, signature_rules(alone))] == ["b"]
