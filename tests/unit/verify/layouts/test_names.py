"""Names of artifacts: which are plain, and which are one file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.reasons import Reason
from dhallmark.verify.layouts.names import MAX_NAME, check_name, check_names
from dhallmark.verify.refusal import Refusal


@pytest.mark.parametrize(
    "name",
    [
        "web.dhall",
        "build/render/prod/web/Chart.yaml",
        "dir:build/render/prod/web",
        "registry.example:5000/acme/prod/web",
        "https://example.test/k8s/package.dhall",
        "git+https://github.com/acme/platform@refs/heads/main",
        "git+https://github.com/acme/platform#deploy",
        "pkg:docker/alpine@3.20?platform=linux%2Famd64",
        "...",
        ".hidden",
        "Straße.txt",
    ],
)
def test_plain_names(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../x",
        "a/../b",
        "a/..",
        "a/./b",
        "/etc/passwd",
        "//host/x",
        "a//b",
        "a/",
        "a\\b",
        "..\\x",
        "C:/windows",
        "file:///etc/passwd",
        "dir:/etc",
        "dir:../x",
        "https:///x",
        "a\nb",
        "a\0b",
        "a\u202eb",
        "e\u0301",
        "a" * (MAX_NAME + 1),
    ],
)
def test_names_that_lead_elsewhere_or_are_spelt_in_two_ways(name: str) -> None:
    with pytest.raises(Refusal) as refused:
        check_name(name)
    assert refused.value.reason is Reason.STEP_ARTIFACT_NAME


@pytest.mark.parametrize(
    "names",
    [
        ("a/Chart.yaml", "a/chart.yaml"),
        ("Web/x", "web/y"),
        ("straße", "STRASSE"),
        ("Ähre/x", "ähre/y"),
        ("dir:Build/x", "dir:build/x"),
        ("\u017fet", "set"),
    ],
)
def test_two_names_of_one_file(names: tuple[str, str]) -> None:
    with pytest.raises(Refusal) as refused:
        check_names(names)
    assert refused.value.reason is Reason.STEP_ARTIFACT_NAME


def test_one_folder_may_hold_many_files() -> None:
    check_names(["a/b/c", "a/b/d", "a/e", "f", "dir:a/b"])


@given(st.lists(st.text()))
def test_any_names_are_accepted_or_refused(names: list[str]) -> None:
    assert reason_of(names) in {None, Reason.STEP_ARTIFACT_NAME}
    if reason_of(names) is None:
        assert len({name.casefold() for name in names}) == len(set(names))


def reason_of(names: list[str]) -> Reason | None:
    try:
        check_names(names)
    except Refusal as refusal:
        return refusal.reason
    return None
