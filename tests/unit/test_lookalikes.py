"""What a loose expression lets in is found; an exact one lets in nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.lookalikes import Kind, admitted, lookalikes

_ACME = r"^https://github\.com/acme/platform"
_RELEASE = rf"{_ACME}/\.github/workflows/release\.yaml@refs/heads/main$"

TIGHT = [
    _RELEASE,
    r"^https://token\.actions\.githubusercontent\.com$",
    r"^https://github\.com/acme/(web|api)/\.github/workflows/(x|y)\.yml@refs/tags/v[0-9]+\.[0-9]+\.[0-9]+$",
    r"^https://gitlab\.com/acme/platform//\.gitlab-ci\.yml@refs/heads/main$",
    r"^release@acme\.example$",
]
LOOSE = [
    (r"^https://github.com/acme/platform/\.github/workflows/release\.yaml@refs/heads/main$", {Kind.DOT}),
    (_RELEASE.removeprefix("^"), {Kind.HOST}),
    (rf"{_ACME}.*$", {Kind.REPOSITORY, Kind.WORKFLOW, Kind.REF}),
    (rf"{_ACME}/.*$", {Kind.WORKFLOW, Kind.REF}),
    (r"^https://github\.com/acme/.+$", {Kind.ANY_REPOSITORY}),
    (r"^https://github\.com/[^/]+/platform/\.github/workflows/release\.yaml@refs/heads/main$", {Kind.OWNER}),
    (rf"{_ACME}/\.github/workflows/release\.yaml@.+$", {Kind.REF}),
    (rf"{_ACME}/\.github/workflows/release\.yaml@[0-9a-f]{{40}}$", {Kind.COMMIT}),
    (r"@acme\.example$", {Kind.ADDRESS}),
    (r"^release@acme.example$", {Kind.DOT}),
    (rf"{_ACME}/\.github/workflows/release\.yaml@refs/heads/main", {Kind.BRANCH}),
    (rf"{_ACME}/\.github/workflows/release\.yaml@refs/(heads|tags)/.*$", {Kind.REF}),
    (rf"{_ACME}/\.github/workflows/release\.yaml@refs/tags/v[0-9].*$", {Kind.BRANCH}),
    (rf"{_ACME.replace('https', 'https?')}/\.github/workflows/release\.yaml@refs/heads/main$", {Kind.SCHEME}),
    (r"^https://[^/]+/acme/platform/\.github/workflows/release\.yaml@refs/heads/main$", {Kind.HOST}),
    # Each alternative is tried: the tight one does not hide the loose one behind it.
    (rf"{_RELEASE}|^https://gitlab\.com/acme/.*$", {Kind.ANY_REPOSITORY}),
    (r".*", {Kind.ANYBODY}),
    ("", {Kind.ANYBODY}),
]


@pytest.mark.parametrize("pattern", TIGHT)
def test_a_tight_expression_lets_in_nothing(pattern: str) -> None:
    assert admitted(pattern, anchored=False) == ()


@pytest.mark.parametrize(("pattern", "kinds"), LOOSE)
def test_a_loose_expression_lets_in_what_its_looseness_says(pattern: str, kinds: set[Kind]) -> None:
    assert {one.kind for one in admitted(pattern, anchored=False)} == kinds


def test_a_consumer_that_matches_the_whole_text_needs_no_anchors() -> None:
    bare = _RELEASE.strip("^$")
    assert {one.kind for one in admitted(bare, anchored=False)} >= {Kind.HOST}
    assert admitted(bare, anchored=True) == ()


def test_identities_that_are_meant_say_more_than_the_expression() -> None:
    meant = ["https://github.com/acme/platform/.github/workflows/release.yaml@refs/heads/main"]
    found = admitted(r"^https://github\.com/[a-z]+/[a-z-]+/\.github/.*$", anchored=False, meant=meant)
    assert {one.kind for one in found} >= {Kind.OWNER}
    assert all(one.text not in meant for one in found)


@pytest.mark.parametrize("pattern", ["(", "(?=x)", "[", r"\1"])
def test_what_re2_cannot_compile_is_an_error(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"[a-z]"):
        admitted(pattern, anchored=False)


@given(st.text(max_size=60))
def test_any_text_is_tried_or_refused(pattern: str) -> None:
    try:
        found = admitted(pattern, anchored=False)
    except ValueError:
        return
    assert len({one.kind for one in found}) == len(found)


@given(st.text(max_size=60))
def test_any_identity_has_lookalikes_that_are_not_it(identity: str) -> None:
    assert all(one.text != identity for one in lookalikes(identity) if one.kind is not Kind.DOT)
