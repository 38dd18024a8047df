"""One matcher for what a policy says of several identities: exactly those, or none."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.controls.consumers.conftest import ISSUER, SUBJECT

from dhallmark.config.identities import IdentityRule
from dhallmark.config.policy import Policy
from dhallmark.errors import InputError, UsageError
from dhallmark.gitops.write.matcher import (
    Matcher,
    anchored,
    identities_of,
    one_matcher,
    require_equal,
    require_tight,
    signature_rules,
)


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


FLOWS = r"https://github\.com/acme/flows/\.github/workflows/release\.yml"
FLOW = "https://github.com/acme/flows/.github/workflows/release.yml"
OLD, NEW, FORK = "a" * 40, "b" * 40, "f" * 40


def pinned(pattern: str, *commits: str, **more: object) -> IdentityRule:
    extensions = {"buildSignerDigest": list(commits)} if commits else {}
    return IdentityRule.model_validate({"issuer": ISSUER, "subjectRegExp": pattern, "extensions": extensions} | more)


@pytest.mark.parametrize(
    "commit", ["[0-9a-f]{40}", "[a-f0-9]{40}", "[0-9a-fA-F]{40}", "[[:xdigit:]]{40}", r"\w{40}", "[0-9a-f]+"]
)
def test_listed_commits_stand_in_the_subject(commit: str) -> None:
    rule = pinned(f"{FLOWS}@{commit}", OLD, NEW)
    matcher = one_matcher([rule])
    assert matches(matcher, ISSUER, f"{FLOW}@{OLD}")
    assert matches(matcher, ISSUER, f"{FLOW}@{NEW}")
    assert not matches(matcher, ISSUER, f"{FLOW}@{FORK}")
    require_tight("release", rule)
    require_equal(matcher, [rule])


def test_every_alternative_of_an_expression_gets_the_list() -> None:
    matcher = one_matcher([pinned(f"{FLOWS}@[0-9a-f]{{40}}|https://b/c@[0-9a-f]{{40}}", OLD)])
    assert matches(matcher, ISSUER, f"https://b/c@{OLD}")
    assert not matches(matcher, ISSUER, f"https://b/c@{FORK}")


@pytest.mark.parametrize(
    "rule",
    [
        pinned(f"{FLOWS}@.+", OLD),
        pinned(f"{FLOWS}@[0-9a-f]{{7,40}}", OLD),
        pinned(f"{FLOWS}@[0-9a-f]{{40}}", "short"),
        pinned(
            f"{FLOWS}@[0-9a-f]{{40}}",
            reachable={"buildSignerDigest": {"bundle": "w.bundle", "branches": ["refs/heads/main"]}},
        ),
    ],
    ids=["open", "short commits", "no commits", "reachable alone"],
)
def test_commits_that_consumers_would_not_see_are_refused(rule: IdentityRule) -> None:
    with pytest.raises(InputError, match="'release' cannot be said") as caught:
        require_tight("release", rule)
    assert "buildSignerDigest" in (caught.value.hint or "")


IDENTITIES = [
    [rule()],
    [rule(), rule(subject="https://github.com/acme/other/.github/workflows/x.yml@refs/tags/v1")],
    [rule(subject="a@example.com", subjectKind="email"), rule(subject="b@example.com", subjectKind="email")],
    [pinned(f"{FLOWS}@[0-9a-f]{{40}}", OLD, NEW), rule()],
    [pinned("https://github\\.com/acme/[a-z]+/\\.github/workflows/release\\.yml@refs/heads/main"), rule()],
    [pinned("(?i)https://github\\.com/ACME/x@refs/heads/main"), rule()],
    [rule(issuer="https://a.example"), rule(issuer="https://b.example")],
]


@pytest.mark.parametrize("identities", IDENTITIES)
def test_one_matcher_is_equal_to_the_set(identities: list[IdentityRule]) -> None:
    require_equal(one_matcher(identities), identities)


@pytest.mark.parametrize(
    "loose",
    [
        lambda matcher: Matcher(matcher.issuer, matcher.subject.removesuffix("$")),
        lambda matcher: Matcher(matcher.issuer, matcher.subject.removeprefix("^")),
        lambda matcher: Matcher(matcher.issuer, matcher.subject.replace("\\.", ".")),
        lambda matcher: Matcher(matcher.issuer.replace("\\.", "."), matcher.subject),
        lambda matcher: Matcher(matcher.issuer, matcher.subject.replace("refs/heads/main", ".*")),
        lambda matcher: Matcher(matcher.issuer, "^x$"),
    ],
)
def test_a_matcher_that_is_wider_or_narrower_is_found(loose: Callable[[Matcher], Matcher]) -> None:
    identities = [rule(), rule(subject="https://other.example/x@refs/heads/main")]
    with pytest.raises(InputError, match=r"would (let in|refuse)"):
        require_equal(loose(one_matcher(identities)), identities)


_PART = st.text(alphabet="ab.c-/+*(){}[]|^$?\\ @~#&", min_size=1, max_size=12)


@given(subjects=st.lists(_PART, min_size=1, max_size=4, unique=True), stranger=_PART)
def test_exact_identities_are_matched_literally_whatever_is_in_them(subjects: list[str], stranger: str) -> None:
    matcher = one_matcher([rule(subject=f"https://x/{text}") for text in subjects])
    for text in (*subjects, stranger, f"{subjects[0]}x"):
        assert matches(matcher, ISSUER, f"https://x/{text}") == (text in subjects)
