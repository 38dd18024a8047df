"""Texts that an expression matches, by its own structure: RE2 itself says whether they really do."""

from __future__ import annotations

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.expressions import MAX_SAMPLES, Sample, samples

_QUIET = re2.Options()
_QUIET.log_errors = False

MATCHED = [
    "",
    "a",
    "a|b|",
    r"https://github\.com/acme/platform",
    r"^https://github\.com/[^/]+/platform(-[a-z0-9]+)?/\.github/workflows/(release|publish)\.ya?ml@.+$",
    r"(?i)https://EXAMPLE\.test",
    r"(?P<owner>acme|other)/(?:x){2,3}y{0}z{,2}",
    r"[[:alpha:]][[:^digit:]_][^\]a-z]\d\D\w\W\s\S",
    r"[]a]+[^]a]*[a\]-]",
    r"\Qa.b|(\E\.\x41\x{263a}\t\pL\p{Greek}*",
    r"(?s:.*)\n?",
    r"refs/tags/v\d+\.\d+\.\d+(?:-rc\.\d+)?\z",
    r"\A[0-9a-f]{40}\b",
    r"(a{3}){2}",
    r"x*?y+?z??",
]


@pytest.mark.parametrize("pattern", MATCHED)
def test_there_is_a_sample_that_re2_matches(pattern: str) -> None:
    found = samples(pattern)
    assert any(re2.fullmatch(pattern, sample.text) for sample in found), found
    assert all(len(sample.text) == len(sample.literal) for sample in found)
    assert len(found) <= MAX_SAMPLES


def test_every_alternative_has_a_sample() -> None:
    found = {sample.text for sample in samples(r"acme/(web|api|mail)@(main|v[0-9])")}
    assert {"acme/web@main", "acme/api@main", "acme/mail@main", "acme/web@v0"} <= found


def test_what_is_open_is_filled_with_the_rest_of_a_workflow() -> None:
    found = {sample.text for sample in samples(r"https://github\.com/acme/.*")}
    assert "https://github.com/acme/platform/.github/workflows/release.yaml@refs/heads/main" in found


def test_what_was_chosen_is_told_from_what_is_spelt() -> None:
    assert samples(r"a\.[0-9]{2}.+")[0] == Sample("a.00x", "11000")
    # A single dot is taken for one that somebody forgot to escape.
    assert samples("a.b")[0] == Sample("a.b", "111")


@pytest.mark.parametrize(
    "pattern", ["(", ")", "[", "[a", "[[:nope:]]", "\\", r"\xZZ", r"\Qabc", "(" * 60 + ")" * 60, "a{1000}" * 3]
)
def test_what_cannot_be_read_or_is_huge_has_no_sample_or_a_short_one(pattern: str) -> None:
    assert all(len(sample.text) <= 2048 for sample in samples(pattern))


_PIECES = st.sampled_from(
    [
        *("a", r"\.", ".", ".*", ".+", "[a-z]", "[^/]+", "(", ")", "(?:", "|", "?", "*", "+", "{2}", "{0,3}", "^", "$"),
        *(r"\d", r"\pL", "[[:digit:]]", "@refs/heads/main", "https://", r"\Q.\E", "(?i)", "]", "-", "\\"),
    ]
)


@given(st.lists(_PIECES, max_size=14).map("".join))
def test_any_expression_has_few_samples_and_where_it_is_simple_they_match(pattern: str) -> None:
    found = samples(pattern)
    assert len(found) <= MAX_SAMPLES
    try:
        compiled = re2.compile(pattern, _QUIET)
    except re2.error:
        return
    # Anchors inside, and flags, can leave nothing that matches; without them the first sample does.
    if found and not any(mark in pattern for mark in ("^", "$", "(?i)")):
        assert compiled.fullmatch(found[0].text), (pattern, found[0])


@given(st.text(max_size=40))
def test_any_text_is_read_or_not(pattern: str) -> None:
    assert len(samples(pattern)) <= MAX_SAMPLES
