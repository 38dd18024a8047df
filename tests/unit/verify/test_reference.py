"""References as users write them."""

from __future__ import annotations

import pytest

from dhallmark.errors import UsageError
from dhallmark.verify.reference import Reference

HEX = "ab" * 32


@pytest.mark.parametrize(
    ("text", "repository", "tag"),
    [
        (f"registry.test/acme/web@sha256:{HEX}", "registry.test/acme/web", ""),
        (f"localhost:5000/web@sha256:{HEX}", "localhost:5000/web", ""),
        ("registry.test/acme/web:1.2.3", "registry.test/acme/web", "1.2.3"),
        ("localhost:5000/acme/web:latest", "localhost:5000/acme/web", "latest"),
    ],
)
def test_a_reference_has_a_tag_or_a_digest(text: str, repository: str, tag: str) -> None:
    reference = Reference.parse(text)
    assert (reference.repository, reference.tag) == (repository, tag)
    assert (reference.digest is None) is bool(tag)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "web",
        "registry.test/web",
        "localhost:5000/web",
        "web:1",
        "registry.test/web@sha256:abc",
        f"registry.test/web:1@sha256:{HEX}",
        f"registry.test/web@sha512:{HEX}{HEX}",
    ],
)
def test_anything_else_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        Reference.parse(text)


def test_a_repository_stands_for_all_its_tags() -> None:
    reference = Reference.parse_any("localhost:5000/acme/web")
    assert reference.is_repository
    assert str(reference) == reference.repository == "localhost:5000/acme/web"


@pytest.mark.parametrize("text", [f"registry.test/web@sha256:{HEX}", "registry.test/web:1"])
def test_a_reference_is_written_as_it_was_read(text: str) -> None:
    assert str(Reference.parse_any(text)) == text


@pytest.mark.parametrize("text", ["registry.test/web:", "registry.test/web:1\x1b[31m", f"r.test/w:1@sha256:{HEX}"])
def test_what_cannot_be_pulled_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        Reference.parse_any(text)
